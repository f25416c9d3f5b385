//! `canary-webhook`: admission webhook and controller of kubectl-canary.

use std::process::ExitCode;
use std::sync::Arc;

use canary_webhook::admission::Flood;
use canary_webhook::args::{Args, Command, parse};
use canary_webhook::{clock, server, telemetry};

/// Reviews are many small allocations of a moment, and glibc's or musl's own allocator is the slowest part of
/// them. How soon memory goes back to the system is set where it is built: `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = match parse(std::env::args()) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    let result = match args.command {
        Some(Command::Crd) => canary_core::crd::yaml()
            .map(|yaml| print!("{yaml}"))
            .map_err(Into::into),
        None => run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    telemetry::init(args.log_level, args.zap_encoding, clock::wall)?;
    for successor in &args.dropped {
        tracing::warn!("{successor}");
    }
    // One provider for all TLS in the process; a second install would be a second one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let flood = Arc::new(Flood::of_this_process());
    let idle = flood.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_park(move || idle.idle())
        .build()?;
    runtime.block_on(server::run(args, flood))
}
