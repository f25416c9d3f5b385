//! `kubectl canary`: watch and steer canary releases.
//!
//! ```text
//!  args ─► command ─┬─► client ─► API server       kubeconfig: which one
//!                   ├─► report ─► render ─► output (pure: data to text)
//!                   └─► exit: one line of cause, one of hint, one code
//! ```

pub mod args;
mod beside;
pub mod client;
pub mod command;
pub mod complete;
pub mod dashboard;
pub mod doctor;
pub mod draft;
pub mod env;
pub mod exit;
pub mod files;
pub mod follow;
pub mod jsonpath;
pub mod kubeconfig;
pub mod lint;
pub mod manifests;
pub mod output;
pub mod owner;
pub mod render;
pub mod report;
pub mod service;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::env::Env;
use crate::exit::code;

/// Parses, runs, reports.
pub fn run(words: impl IntoIterator<Item = OsString>, env: &Env) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    if let Some(words) = command::complete::asked(&words) {
        return command::complete::run(&words, env);
    }
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if cli.global.v >= 6 {
        log_requests(cli.global.v);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return exit::Error::Output(error).report(),
    };
    let result = runtime.block_on(command::run(cli, env));
    // A name server that does not answer must not hold the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => error.report(),
    }
}

/// Help and version are no errors; everything else is 1, because 2 means a failed release.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let printed = error.print();
    match printed {
        Ok(()) | Err(_) if asked => ExitCode::from(code::OK),
        _ => ExitCode::from(code::ERROR),
    }
}

fn log_requests(level: u8) {
    let filter = if level >= 8 {
        "kube=trace,tower=debug,hyper=debug"
    } else {
        "kube=debug"
    };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
