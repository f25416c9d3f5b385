//! `init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::dns_name;
use super::set::DeploymentName;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Deployment that is to be released, as deployment/NAME
    #[arg(value_name = "deployment/NAME")]
    pub target: DeploymentName,
    /// Read the Deployment, its Service and its route from files instead of the cluster: a file,
    /// `-` for standard input, or a directory; may be repeated
    #[arg(short, long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Port of the Service [default: that of the Service there is, or 80]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub service: Option<u16>,
    /// Port of the pods, by number [default: the first that the Deployment names]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub target_port: Option<u16>,
    /// What shifts the traffic
    #[arg(long, value_enum, default_value_t = Provider::Apisix)]
    pub provider: Provider,
    /// ApisixRoute that leads to the Service [default: the one that does]
    #[arg(long, value_name = "NAME", value_parser = dns_name)]
    pub route: Option<String>,
    /// Prometheus to ask; without it the server's own
    #[arg(long, value_name = "URL")]
    pub metrics_server: Option<String>,
    /// Also write a MetricTemplate, as an example of a check of your own; needs --metrics-server
    #[arg(long, requires = "metrics_server")]
    pub metric_template: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// By weight, step by step
    Apisix,
    /// All at once, after checks of the new version (blue/green)
    Kubernetes,
}
