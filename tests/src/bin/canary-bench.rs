//! Measures how fast releases, reviews and the plugin are; fails if a figure misses its bar.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use canary_tests::bench::{self, Part};
use canary_tests::tools::folder;
use clap::Parser;

/// Measures how fast releases, reviews and the plugin are; fails if a figure misses its bar.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Canaries that the server keeps; 30 of them are changed.
    #[arg(long, env = "CANARIES", default_value_t = 30)]
    canaries: usize,
    /// Only the figures of releases.
    #[arg(long, conflicts_with = "admission")]
    releases: bool,
    /// Only the figures of admission.
    #[arg(long)]
    admission: bool,
    /// Only the figures of the plugin.
    #[arg(long, conflicts_with_all = ["releases", "admission"])]
    plugin: bool,
    /// Another build of the server, to compare: what it answers on one CPU is told on stderr, in the same run.
    #[arg(long = "build", value_name = "PROGRAM")]
    builds: Vec<PathBuf>,
}

impl Args {
    const fn part(&self) -> Part {
        match (self.releases, self.admission, self.plugin) {
            (true, _, _) => Part::Releases,
            (_, true, _) => Part::Admission,
            (_, _, true) => Part::Plugin,
            _ => Part::All,
        }
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    ensure!(
        !cfg!(debug_assertions),
        "a debug build says nothing about speed: cargo run --release --bin canary-bench"
    );
    // A drop, not an exit: it is the drop that cleans up.
    tokio::select! {
        report = bench::run(args.canaries, args.part(), &args.builds) => finish(&report?),
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

fn finish(report: &bench::Report) -> Result<ExitCode> {
    let path = folder("target/bench/results.json");
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let json = serde_json::to_string_pretty(&report.json())?;
    std::fs::write(&path, json + "\n")
        .with_context(|| format!("cannot write {}", path.display()))?;
    print!("{report}");
    println!("written to target/bench/results.json");
    Ok(if report.passes() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
