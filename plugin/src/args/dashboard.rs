//! `dashboard`.

use clap::Args;

#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Port on 127.0.0.1 [default: a free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Only print the address
    #[arg(long)]
    pub no_browser: bool,
    /// Show everything, change nothing
    #[arg(long)]
    pub read_only: bool,
}
