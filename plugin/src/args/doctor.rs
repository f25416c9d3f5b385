//! `doctor`.

use clap::Args;

use super::CanaryName;
use super::format::{self, Machine};

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing failed; warnings and what is not visible to you do not count
  1  something failed, usage error, or error of the Kubernetes API
  4  no such Canary";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DoctorArgs {
    /// Canary, as NAME or canary/NAME: also look at what it needs
    pub name: Option<CanaryName>,
    /// Metrics server to ask, instead of the one that the server or the Canary names
    ///
    /// It is asked through the API server, as a Service: http://NAME.NAMESPACE:PORT.
    #[arg(long, value_name = "URL")]
    pub metrics_server: Option<String>,
    /// Output format
    #[arg(short, long, value_parser = format::machine("`kind: DoctorReport`"))]
    pub output: Option<Machine>,
}
