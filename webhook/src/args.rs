//! Flags of the server. Those that Flagger has keep its names; Go's `-x` is accepted for `--x`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};

use crate::others::OtherServices;
use crate::telemetry::{Format, Level};
use crate::transport::Resolve;

/// Admission webhook and controller of kubectl-canary
#[derive(Clone, Debug, Parser)]
#[command(name = "canary-webhook", version, args_override_self = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Path to a kubeconfig; only needed outside a cluster
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// Watch only this namespace; all of them if empty
    #[arg(long, default_value = "", env = "CANARY_NAMESPACE")]
    pub namespace: String,

    /// Namespace that the server itself runs in: its lease and its certificate are there
    #[arg(
        long,
        default_value = "canary-system",
        env = "POD_NAMESPACE",
        alias = "leader-election-namespace"
    )]
    pub own_namespace: String,

    /// Name of this process among its replicas, no two of which may have the same. Without one it makes one up
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// User name of the server's own writes, which admission lets pass
    #[arg(long, default_value = "", value_name = "USER")]
    pub own_user: String,

    /// Provider of Canaries that name none
    #[arg(long, default_value = "apisix")]
    pub mesh_provider: String,

    /// Prometheus that built-in and inline queries are sent to
    #[arg(long, default_value = "http://prometheus:9090")]
    pub metrics_server: String,

    /// Measure primary and canary together in built-in checks, as Flagger does
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    pub mixed_metrics: bool,

    /// Port of /metrics and /healthz
    #[arg(long, default_value_t = 8080)]
    pub port: u16,

    /// Address of the admission webhook
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub admission_address: SocketAddr,

    /// URL at which the API server reaches the webhook; by its Service if empty
    #[arg(long, default_value = "", value_name = "URL")]
    pub admission_url: String,

    /// Name of the webhook's Service
    #[arg(long, default_value = "canary-webhook")]
    pub service_name: String,

    /// Secret with certificate and key that somebody else keeps, such as cert-manager; if empty, the
    /// server keeps one of its own and makes its CA known to the API server
    #[arg(
        long,
        default_value = "",
        env = "CANARY_TLS_SECRET",
        value_name = "NAME"
    )]
    pub tls_secret: String,

    /// How long a CA of ours is valid
    #[arg(long, default_value = "87600h", value_parser = duration, hide = true)]
    pub ca_duration: Duration,

    /// How long a certificate of ours is valid
    #[arg(long, default_value = "2160h", value_parser = duration, hide = true)]
    pub certificate_duration: Duration,

    /// How long after its publication every API server trusts a CA
    #[arg(long, default_value = "10s", value_parser = duration, hide = true)]
    pub ca_trusted_after: Duration,

    /// How long the server goes on answering reviews after it was told to end, until nobody sends any
    #[arg(long, default_value = "5s", value_parser = duration, value_name = "DURATION")]
    pub shutdown_delay: Duration,

    /// Labels that tell a target's pods, in order of preference
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "app,name,app.kubernetes.io/name"
    )]
    pub selector_labels: Vec<String>,

    /// Prefixes of labels that generated workloads and configuration keep; * for all
    #[arg(long, value_delimiter = ',', default_value = "")]
    pub include_label_prefix: Vec<String>,

    /// An adoption that leaves other Services of the target without pods
    #[arg(long, value_enum, default_value_t, env = "CANARY_OTHER_SERVICES")]
    pub other_services: OtherServices,

    /// Whether `CanaryPolicies` apply: off for an installation without the right to read them
    #[arg(long, value_enum, default_value_t = Policies::On, env = "CANARY_POLICIES")]
    pub policies: Policies,

    /// Track ConfigMaps and Secrets of targets
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, default_value_t = true, default_missing_value = "true")]
    pub enable_config_tracking: bool,

    /// Intervals below it are raised to it
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub min_interval: Duration,

    /// How long connections may take to leave a side after its traffic did
    #[arg(long, default_value = "2s", value_parser = duration, value_name = "DURATION")]
    pub drain: Duration,

    /// Reach HOST:PORT at ADDRESS, as curl does; may be given several times
    #[arg(long, value_name = "HOST:PORT:ADDRESS")]
    pub resolve: Vec<Resolve>,

    /// Webhooks of Canaries that are called at a time in a namespace, and likewise queries of metric
    /// servers; others wait their turn, and no rollback does
    #[arg(long, default_value_t = 8, value_parser = at_least_one, value_name = "N")]
    pub calls_per_namespace: usize,

    /// No webhook of a Canary is waited for longer than this, whatever its timeout
    #[arg(long, default_value = "1h", value_parser = duration, value_name = "DURATION")]
    pub max_webhook_timeout: Duration,

    /// Webhook that every event is sent to, unless a Canary has its own
    #[arg(
        long,
        default_value = "",
        env = "EVENT_WEBHOOK_URL",
        value_name = "URL"
    )]
    pub event_webhook: String,

    #[command(flatten)]
    pub alerts: AlertArgs,

    /// Source component of Events
    #[arg(long, default_value = "flagger")]
    pub event_component: String,

    #[arg(long, value_enum, default_value_t = Level::Info)]
    pub log_level: Level,

    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub zap_encoding: Format,

    /// Flags of Flagger's that were given and mean nothing here, each with its successor
    #[arg(skip)]
    pub dropped: Vec<String>,
}

/// Whether `CanaryPolicies` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Policies {
    /// Nothing is promoted while they cannot be read
    On,
    /// As if there were none
    Off,
}

/// Who is told of the releases of Canaries that name no alerts of their own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AlertArgs {
    /// Name of this cluster, as alerts tell it
    #[arg(long, default_value = "")]
    pub cluster_name: String,
    /// Slack's incoming webhook, for Canaries without alerts of their own
    #[arg(
        long,
        default_value = "",
        env = "SLACK_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub slack_url: String,
    #[arg(long, default_value = "", env = "SLACK_TOKEN", hide_env_values = true)]
    pub slack_token: String,
    #[arg(
        long,
        default_value = "",
        env = "SLACK_PROXY_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub slack_proxy_url: String,
    #[arg(long, default_value = "flagger")]
    pub slack_user: String,
    #[arg(long, default_value = "")]
    pub slack_channel: String,
    /// Teams' connector or Workflow, instead of Slack
    #[arg(
        long,
        default_value = "",
        env = "MSTEAMS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub msteams_url: String,
    #[arg(
        long,
        default_value = "",
        env = "MSTEAMS_PROXY_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub msteams_proxy_url: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the custom resource definitions
    Crd,
}

/// Flagger's flags without a meaning here, and what took their place.
const DROPPED: [(&str, &str); 11] = [
    ("control-loop-interval", "nothing is polled"),
    ("threadiness", "each Canary has a task of its own"),
    ("enable-leader-election", "the lease is always used"),
    (
        "kubeconfig-qps",
        "the server asks only when something changed",
    ),
    (
        "kubeconfig-burst",
        "the server asks only when something changed",
    ),
    (
        "kubeconfig-service-mesh",
        "routes are in the cluster of the Canary",
    ),
    ("master", "name the server in the kubeconfig"),
    ("zap-replace-globals", "there is one log"),
    (
        "ingress-annotations-prefix",
        "the nginx provider is not supported yet",
    ),
    ("ingress-class", "the contour provider is not supported yet"),
    (
        "no-cross-namespace-refs",
        "grant the server no rights in other namespaces",
    ),
];

fn duration(text: &str) -> Result<Duration, String> {
    canary_core::canary::duration(text)
        .ok_or_else(|| format!("{text} is no duration: use 10s or 1m30s"))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{text} is no number of at least 1")),
    }
}

/// Reads the command line as Go's flag package would.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Args, clap::Error> {
    let (kept, dropped) = split_dropped(args.into_iter().map(double_dash));
    let mut args = Args::try_parse_from(kept)?;
    args.include_label_prefix
        .retain(|prefix| !prefix.is_empty());
    args.dropped = dropped;
    Ok(args)
}

fn double_dash(arg: String) -> String {
    let single = arg
        .strip_prefix('-')
        .filter(|rest| rest.len() > 1 && rest.starts_with(|c: char| c.is_ascii_lowercase()));
    match single {
        Some(rest) => format!("--{rest}"),
        None => arg,
    }
}

fn split_dropped(args: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let name = arg
            .strip_prefix("--")
            .map(|rest| rest.split('=').next().unwrap_or(rest));
        let found = name.and_then(|name| DROPPED.iter().find(|(dropped, _)| *dropped == name));
        let Some((name, successor)) = found else {
            kept.push(arg);
            continue;
        };
        dropped.push(format!("--{name} means nothing here: {successor}"));
        if !arg.contains('=') {
            args.next_if(|value| !value.starts_with('-'));
        }
    }
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn read(args: &[&str]) -> Result<Args, clap::Error> {
        parse(
            std::iter::once("canary-webhook")
                .chain(args.iter().copied())
                .map(str::to_owned),
        )
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_single_dash_is_as_good_as_two() {
        let args = read(&[
            "-mesh-provider",
            "kubernetes",
            "-enable-config-tracking=false",
            "-log-level",
            "debug",
        ])
        .unwrap();
        assert_eq!(
            (args.mesh_provider.as_str(), args.enable_config_tracking),
            ("kubernetes", false)
        );
    }

    #[test]
    fn a_flag_that_means_nothing_here_says_what_took_its_place() {
        let args = read(&[
            "-threadiness",
            "4",
            "-control-loop-interval=10s",
            "--port=9000",
        ])
        .unwrap();
        assert_eq!(args.port, 9000);
        assert_eq!(
            args.dropped,
            [
                "--threadiness means nothing here: each Canary has a task of its own",
                "--control-loop-interval means nothing here: nothing is polled",
            ]
        );
    }

    #[test]
    fn of_a_flag_given_twice_the_last_counts_and_resolve_adds_up() {
        let args = read(&[
            "--port=1",
            "--port=2",
            "--resolve=a:1:127.0.0.1",
            "--resolve=b:1:127.0.0.1",
        ])
        .unwrap();
        assert_eq!((args.port, args.resolve.len()), (2, 2));
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        assert!(read(&["--no-such-flag"]).is_err());
        assert!(read(&["--drain", "soon"]).is_err());
        assert!(read(&["--calls-per-namespace", "0"]).is_err());
    }
}
