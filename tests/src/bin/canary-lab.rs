//! A cluster to try things by hand: prints its kubeconfig, and is gone when it is interrupted.

use canary_tests::control_plane::ControlPlane;
use canary_tests::node::Node;
use clap::{Parser, ValueEnum};

/// A cluster to try things by hand.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// What is real.
    #[arg(value_enum, default_value = "control-plane")]
    level: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    /// The API server and the controllers; pods are simulated.
    ControlPlane,
    /// Also pods, Services and DNS (Linux, root).
    Node,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Args::parse().level {
        Level::ControlPlane => hold(&ControlPlane::start().await?).await,
        Level::Node => hold(Node::start().await?.plane()).await,
    }
}

async fn hold(plane: &ControlPlane) -> anyhow::Result<()> {
    println!("export KUBECONFIG={}", plane.admin_kubeconfig().display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
