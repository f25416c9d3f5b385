//! `install`, `upgrade`, `uninstall`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration;

/// What is chosen of an installation.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// Provider of Canaries that name none
    #[arg(long, value_name = "PROVIDER")]
    pub mesh_provider: Option<String>,
    /// Prometheus that built-in and inline queries are sent to
    #[arg(long, value_name = "URL")]
    pub metrics_server: Option<String>,
    /// Image of the server, with a tag or digest
    #[arg(long)]
    pub image: Option<String>,
    /// Replicas of the server; each answers admission, one of them runs the controller
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub replicas: Option<u16>,
    /// Further flags of the server, as `canary-webhook --help` lists them
    #[arg(last = true, value_name = "SERVER FLAGS")]
    pub server_flags: Vec<String>,
}

/// How objects are applied and waited for.
#[derive(Clone, Copy, Debug, Args)]
pub struct ApplyArgs {
    /// Print the objects as YAML, and change nothing
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value_t = DryRun::None, default_missing_value = "client")]
    pub dry_run: DryRun,
    /// Overwrite fields that another tool has applied
    #[arg(long)]
    pub force_conflicts: bool,
    /// Do not wait until the server is ready
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait (0: without end)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m")]
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    #[default]
    None,
    Client,
}

#[derive(Debug, Args)]
pub struct InstallArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// Install although Flagger runs: it must not watch the same namespaces
    #[arg(long)]
    pub beside_flagger: bool,
}

#[derive(Debug, Args)]
pub struct UpgradeArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub apply: ApplyArgs,
    /// Install if nothing is installed
    #[arg(long)]
    pub install: bool,
}

#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// First revert each Canary, then delete all Canaries, what was generated for them, and the CRDs
    #[arg(long, conflicts_with = "for_flagger")]
    pub purge: bool,
    /// Leave each Canary so that Flagger takes it over without a release
    #[arg(long)]
    pub for_flagger: bool,
    /// With --for-flagger: go on though Services would select no pods, or those of others
    #[arg(long, requires = "for_flagger")]
    pub force: bool,
    /// List what would be deleted, and change nothing
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value_t = DryRun::None, default_missing_value = "client")]
    pub dry_run: DryRun,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// How long to wait (0: without end)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub timeout: Duration,
}
