//! Flagger's load tester as far as the scenario uses it: see `canary_tests::fixtures::loadtester`.

use std::net::SocketAddr;
use std::time::Duration;

use canary_tests::fixtures::loadtester::LoadTester;
use canary_tests::fixtures::{duration, until_stopped};
use clap::Parser;

/// Runs the commands and keeps the gates that webhooks of a Canary ask for.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[arg(long, default_value = "0.0.0.0:9090")]
    listen: SocketAddr,
    /// How long a command may run.
    #[arg(long, default_value = "1h", value_parser = duration)]
    timeout: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).init();
    let args = Args::parse();
    let tester = LoadTester::start(args.listen, args.timeout).await?;
    tracing::info!(address = %tester.address(), "listening");
    until_stopped(tester.run()).await;
    Ok(())
}
