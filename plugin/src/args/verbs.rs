//! `wait`, `history`, `explain`, and what the verbs that ask for something have in common.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::format::{self, HistoryFormat, Machine};
use super::{CanaryName, duration};

/// Which Canaries a verb is for. Naming one is a decision; several are asked about once more.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Canaries, as NAME or canary/NAME
    #[arg(
        value_name = "NAME",
        required_unless_present_any = ["selector", "all_namespaces"],
        conflicts_with_all = ["selector", "all_namespaces"],
    )]
    pub names: Vec<CanaryName>,
    /// Canaries with these labels, as KEY=VALUE,…: those for which there is something to do
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Canaries of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Do not ask before acting on several
    #[arg(short, long)]
    pub yes: bool,
}

/// What keeps a request from doing something else than what its author looked at.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Guards {
    /// Do nothing, and exit with 6, unless this release is the one there is
    #[arg(long, value_name = "rN", value_parser = release, conflicts_with_all = ["selector", "all_namespaces"])]
    pub expect_release: Option<i64>,
    /// Say what would be asked, and ask for nothing; `server` lets admission and policies answer
    #[arg(long, value_enum, value_name = "client|server", default_value_t = DryRun::None, hide_default_value = true, hide_possible_values = true)]
    pub dry_run: DryRun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Canary, as NAME or canary/NAME
    pub name: CanaryName,
    /// What to wait for; what is so already needs no waiting
    #[arg(long = "for", value_enum, value_name = "WHAT", default_value_t = Goal::Any)]
    pub goal: Goal,
    /// Release to wait for, which may not have begun yet [default: the one in progress or about to
    /// begin, or else the last one]
    #[arg(long, value_name = "rN", value_parser = release)]
    pub release: Option<i64>,
    /// How long to wait (0: without end)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
    /// Say nothing but errors: the exit code is the answer
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the Canary as it is at the end; changes go to standard error
    #[arg(short, long, value_parser = format::machine("`kind: CanaryReport`"))]
    pub output: Option<Machine>,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// The primary runs the new revision
    Promoted,
    /// A person holds the release
    Paused,
    /// The release waits for a gate, an approval or a policy
    Held,
    /// The release failed or was rolled back
    Failed,
    /// The release has ended; the exit code tells how
    Any,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct HistoryArgs {
    /// Canary, as NAME or canary/NAME
    #[arg(required = true)]
    pub name: Option<CanaryName>,
    /// Output format
    #[arg(short, long, value_parser = format::HISTORY)]
    pub output: Option<HistoryFormat>,
    #[command(subcommand)]
    pub verb: Option<HistoryVerb>,
}

#[derive(Debug, Subcommand)]
pub enum HistoryVerb {
    /// Show what differs between two releases
    Diff(DiffArgs),
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Canary, as NAME or canary/NAME
    pub name: CanaryName,
    /// Number of a release
    #[arg(value_parser = release)]
    pub from: i64,
    /// Number of another release
    #[arg(value_parser = release)]
    pub to: i64,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: CanaryRevisionDiff`"))]
    pub output: Option<Machine>,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Canary, as NAME or canary/NAME
    pub name: CanaryName,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: CanaryExplanation`"))]
    pub output: Option<Machine>,
}

// === impl DryRun ===

impl DryRun {
    /// Behind what is said to have happened, as kubectl has it.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// `r42` or `42`.
fn release(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('r').unwrap_or(text);
    digits
        .parse()
        .ok()
        .filter(|number| *number > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| "write the number of a release as r42 or 42".to_owned())
}

/// As `release`; 0 is none.
pub(super) fn release_or_none(text: &str) -> Result<i64, String> {
    match text {
        "0" => Ok(0),
        _ => release(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_with_or_without_its_letter() {
        assert_eq!((release("r42"), release("7")), (Ok(42), Ok(7)));
        assert_eq!(
            (release_or_none("0"), release_or_none("r4")),
            (Ok(0), Ok(4))
        );
        assert!(release_or_none("00").is_err());
        for odd in [
            "",
            "r",
            "0",
            "-1",
            "+1",
            "rr1",
            "1r",
            "99999999999999999999",
        ] {
            assert!(release(odd).is_err(), "{odd}");
        }
    }
}
