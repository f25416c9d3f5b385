//! `policy`, `can-i`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::CanaryName;
use super::format::{self, ListFormat, Machine};

#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub verb: PolicyVerb,
}

#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Show the policies of the cluster, and what they freeze
    List(PolicyListArgs),
    /// Judge Deployments and Canaries in files by policies
    ///
    /// The policies are those in the files, or else those of the cluster. What needs a release in
    /// progress is not judged, and every object counts as new; --dry-run=server asks the API
    /// server itself. Exits with 5 if a policy forbids an object.
    Test(PolicyTestArgs),
}

#[derive(Debug, Args)]
pub struct PolicyListArgs {
    /// Output format
    #[arg(short, long, value_parser = format::POLICIES)]
    pub output: Option<ListFormat>,
}

#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    /// File with objects, `-` for standard input, or a directory of .yaml, .yml and .json
    /// files; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Who judges: this program, or the API server by a dry run
    #[arg(long, value_enum, value_name = "client|server", default_value_t = DryRun::Client)]
    pub dry_run: DryRun,
    /// Moment to judge at, as 2026-12-24T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: PolicyTestReport`"))]
    pub output: Option<Machine>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Without a request, if the policies are in the files
    #[default]
    Client,
    /// The objects are applied without being stored
    Server,
}

#[derive(Debug, Args)]
pub struct CanIArgs {
    #[command(subcommand)]
    pub what: CanI,
}

#[derive(Debug, Subcommand)]
pub enum CanI {
    /// Say whether a new version could be released now, and if not, what blocks it until when
    ///
    /// Exits with 0 if it could, and with 5 if a policy or your rights forbid it.
    Release(CanIReleaseArgs),
}

#[derive(Debug, Args)]
pub struct CanIReleaseArgs {
    /// Canary, as NAME or canary/NAME
    pub name: CanaryName,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: CanIReport`"))]
    pub output: Option<Machine>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "write a time as 2026-12-24T12:00:00Z".to_owned())
}
