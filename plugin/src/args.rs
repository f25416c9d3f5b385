//! The command line. What kubectl has, has kubectl's names.

pub mod completion;
pub mod dashboard;
pub mod doctor;
pub mod format;
pub mod init;
pub mod install;
pub mod lint;
pub mod policy;
pub mod set;
pub mod verbs;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::completion::CompletionArgs;
use self::dashboard::DashboardArgs;
use self::doctor::DoctorArgs;
use self::format::{ListFormat, Machine};
use self::init::InitArgs;
use self::install::{InstallArgs, UninstallArgs, UpgradeArgs};
use self::lint::LintArgs;
use self::policy::{CanIArgs, PolicyArgs};
use self::set::SetArgs;
use self::verbs::{ExplainArgs, Guards, HistoryArgs, WaitArgs, Which, release_or_none};

const EXIT_CODES: &str = "\
Exit codes:
  0  done: what was asked for has happened
  1  usage error, error of the Kubernetes API, or nothing to do
  2  the release failed or was rolled back
  3  timeout
  4  no such Canary
  5  forbidden, by a policy or for lack of rights
  6  superseded by a newer release

Of several Canaries the worst is told: 2, then 5, 1, 4, 3, 6.

kubectl takes no flags before a plugin's name: write `kubectl canary -n test …`.";

/// Watch and steer canary releases.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-canary",
    bin_name = "kubectl canary",
    version,
    after_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show one Canary in detail, or all in a table
    Status(StatusArgs),
    /// Let a release go on: open the gate it waits at, or take the next step
    Promote(PromoteArgs),
    /// Send all traffic back to the primary and end the release
    #[command(visible_alias = "abort")]
    ///
    /// With --to, release a version that was promoted once again: as a canary that is followed to
    /// its end, or with --fast without analysis.
    Rollback(RollbackArgs),
    /// Hold a release at its weight
    Pause(PauseArgs),
    /// Let a paused release go on; the dwell that remained is kept
    Resume(RequestArgs),
    /// Start the revision that failed last once more
    Retry(RequestArgs),
    /// Start a release, and wait for its end
    Set(SetArgs),
    /// Wait until a release is promoted, paused, held, failed, or over
    ///
    /// Exits with 0 when it is, with 2 or 6 as soon as the release has failed or was superseded
    /// instead, and with 1 if it ended well and what is waited for cannot come any more.
    Wait(WaitArgs),
    /// Show the last releases, or what differs between two of them
    History(HistoryArgs),
    /// Say why a Canary is where it is, and what to do about it
    Explain(ExplainArgs),
    /// Show the policies, or judge files by them
    Policy(PolicyArgs),
    /// Ask whether something could be done now
    CanI(CanIArgs),
    /// Write a Canary for a Deployment
    Init(InitArgs),
    /// Check manifests before they are applied: fields, rules, references
    Lint(LintArgs),
    /// Look whether the installation works, and whether a Canary can be released
    Doctor(DoctorArgs),
    /// Watch and steer releases in the browser, by a page on 127.0.0.1
    ///
    /// The printed address works once, for one browser. Ctrl-C ends the dashboard.
    #[command(visible_alias = "open")]
    Dashboard(DashboardArgs),
    /// Install the server, its rights, policies and CRDs
    Install(InstallArgs),
    /// Bring an installation to this version, or change its settings
    Upgrade(UpgradeArgs),
    /// Remove the server; Canaries stay, and their applications are served on
    Uninstall(UninstallArgs),
    /// Show the versions of the plugin and of the cluster's side
    Version(VersionArgs),
    /// Print a completion script for a shell, or for kubectl
    Completion(CompletionArgs),
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Canary, as NAME or canary/NAME; all of the namespace without it
    pub name: Option<CanaryName>,
    /// All namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    pub all_namespaces: bool,
    /// Follow: one Canary until its release ends (at rest: until the next one has), all until Ctrl-C
    ///
    /// A terminal is redrawn; otherwise a line is written for each change. The exit code tells
    /// how the release ended: 0 promoted, 2 failed or rolled back, 6 superseded.
    #[arg(short, long)]
    pub watch: bool,
    /// ReplicaSets shown of each Deployment, newest first; by default those with pods
    #[arg(long, value_name = "N", requires = "name")]
    pub revisions: Option<usize>,
    /// Output format
    #[arg(short, long, value_parser = format::STATUS)]
    pub output: Option<ListFormat>,
}

#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// Skip what is left of the analysis: promote now, and wait until it has happened
    #[arg(long, visible_alias = "skip-analysis")]
    pub full: bool,
    #[command(flatten)]
    pub request: RequestArgs,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Release the version of release N again; 0 is what the last promotion replaced
    #[arg(long, value_name = "N", value_parser = release_or_none, conflicts_with_all = ["selector", "all_namespaces"])]
    pub to: Option<i64>,
    /// Promote it as soon as its pods are ready, without analysis
    #[arg(long, requires = "to")]
    pub fast: bool,
    /// Also to a version that needs a ConfigMap or Secret that is not there
    #[arg(long, requires = "to")]
    pub force: bool,
    #[command(flatten)]
    pub request: RequestArgs,
}

#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Resume by itself after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    pub length: Option<Duration>,
    #[command(flatten)]
    pub request: RequestArgs,
}

#[derive(Debug, Args)]
pub struct RequestArgs {
    #[command(flatten)]
    pub which: Which,
    /// Why, for the record: kept in status, and said in the Event
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How long to wait for the outcome (0: without end)
    ///
    /// 60s by default; 10m where the outcome takes a rollout (promote --full, rollback); without end
    /// for the analysis of rollback --to. A request that nobody has answered by then is withdrawn, unless it is a rollback.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub guards: Guards,
}

#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Do not ask the cluster
    #[arg(long)]
    pub client: bool,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: Versions`"))]
    pub output: Option<Machine>,
}

/// The flags that every kubectl command has.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct Global {
    /// Namespace of the request
    #[arg(short, long, global = true, value_parser = namespace)]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Kubeconfig file, instead of KUBECONFIG and ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,
    /// UID to impersonate
    #[arg(long, global = true, value_name = "UID")]
    pub as_uid: Option<String>,
    /// How long one request to the API server may take (0: without end) [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub request_timeout: Option<Duration>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token
    #[arg(long, global = true)]
    pub token: Option<String>,
    /// File with the certificates of the server's authority
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// File with the client's certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// File with the client's key
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Do not check the server's certificate
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// Name to check the server's certificate for
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Verbosity: from 6 on each request is logged
    #[arg(
        short,
        global = true,
        value_name = "LEVEL",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub v: u8,
    /// Colour; `auto` also heeds `NO_COLOR` and `CLICOLOR_FORCE`
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// A name that can stand in a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryName(pub String);

// === impl CanaryName ===

impl FromStr for CanaryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KINDS: [&str; 4] = [
            "canary",
            "canaries",
            "canary.flagger.app",
            "canaries.flagger.app",
        ];
        let name = match text.split_once('/') {
            Some((kind, name)) if KINDS.contains(&kind.to_ascii_lowercase().as_str()) => name,
            Some((kind, _)) => {
                return Err(format!(
                    "`{kind}` is no kind of Canary: write canary/NAME or NAME"
                ));
            }
            None => text,
        };
        if is_dns_name(name, 253) {
            Ok(Self(name.to_owned()))
        } else {
            Err("a name has lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit".into())
        }
    }
}

fn namespace(text: &str) -> Result<String, String> {
    if is_dns_name(text, 63) && !text.contains('.') {
        Ok(text.to_owned())
    } else {
        Err("a namespace has lower-case letters, digits and `-`".into())
    }
}

fn dns_name(text: &str) -> Result<String, String> {
    if is_dns_name(text, 253) {
        Ok(text.to_owned())
    } else {
        Err("a name has lower-case letters, digits, `-` and `.`, and begins and ends with a letter or digit".into())
    }
}

fn is_dns_name(text: &str, longest: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= longest
        && text.chars().all(inner)
        && outer(text.chars().next())
        && outer(text.chars().next_back())
}

/// `90s`, `1m30s`, `2h`, or a number of seconds as kubectl takes it.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a duration as 30s, 1m30s or 2h".to_owned();
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

/// A duration of which something is left.
fn length(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a pause takes some time: write it as 90s, 30m or 2h".to_owned()),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests;
