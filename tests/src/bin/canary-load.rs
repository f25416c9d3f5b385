//! Drives a host with requests and prints what became of them: see `canary_tests::fixtures::load`.

use std::time::Duration;

use canary_tests::fixtures::load::{Load, Plan};
use canary_tests::fixtures::{duration, until_stopped};
use clap::Parser;

/// Sends requests at a steady rate, half of them on kept connections.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to connect.
    #[arg(long, value_name = "HOST:PORT")]
    address: String,
    /// The Host header.
    #[arg(long)]
    host: String,
    #[arg(long, default_value = "/api/info")]
    path: String,
    /// Requests a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// When to stop; also stopped by Ctrl-C.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// How long a request may take.
    #[arg(long, default_value = "5s", value_parser = duration)]
    timeout: Duration,
    /// Print JSON, second by second.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let load = Load::start(Plan {
        address: args.address,
        host: args.host,
        path: args.path,
        rate: args.rate,
        timeout: args.timeout,
    });
    until_stopped(async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    })
    .await;
    let report = load.stop().await;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
