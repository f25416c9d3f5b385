//! `lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::policy::DryRun;

const EXIT_CODES: &str = "\
Exit codes:
  0  no error was found; warnings alone do not count, unless --strict is given
  1  usage error, error of the Kubernetes API, or nothing to check
  2  at least one error was found, or with --strict at least one warning
  5  --dry-run=server: you may not apply an object";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct LintArgs {
    /// File with objects, `-` for standard input, or a directory of .yaml, .yml and .json
    /// files, those of its directories included; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Warnings count as errors
    #[arg(long)]
    pub strict: bool,
    /// `server` also applies each object without storing it, and shows what the API server says
    #[arg(long, value_enum, value_name = "client|server", default_value_t = DryRun::Client)]
    pub dry_run: DryRun,
    /// Provider of Canaries that name none: what the server's flag of this name says
    #[arg(long, value_name = "NAME", default_value = "apisix")]
    pub mesh_provider: String,
    /// Output format
    #[arg(short, long, value_enum)]
    pub output: Option<LintOutput>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LintOutput {
    Json,
    /// SARIF 2.1.0, for code review
    Sarif,
}
