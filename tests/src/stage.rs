//! Where the user's scenario is played: on a real node, or beside a control plane whose pods are simulated.
//!
//! ```text
//!  real       podinfo, gateway, Prometheus, load tester and our server in pods
//!  simulated  kwok's pods; gateway, two applications and a scripted Prometheus in this process,
//!             our server as a child process
//! ```

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::node::Node;
use crate::{scenario, tools};

mod simulated;

pub use simulated::Simulated;

/// A cluster with everything but the user's YAML.
pub enum Stage {
    /// Real pods.
    Real(Box<Node>),
    /// Simulated pods with real traffic.
    Simulated(Box<Simulated>),
}

impl Stage {
    /// Real pods.
    pub async fn real() -> Result<Self> {
        let node = Node::start().await?;
        scenario::prepare(&node).await?;
        scenario::install(&node).await?;
        Ok(Self::Real(Box::new(node)))
    }

    /// Simulated pods.
    pub async fn simulated() -> Result<Self> {
        Ok(Self::Simulated(Box::new(Simulated::start().await?)))
    }

    /// Why this machine cannot have real pods, if it cannot.
    pub fn missing_for_real() -> Option<String> {
        if !cfg!(target_os = "linux") {
            return Some("real pods need Linux".to_owned());
        }
        Node::possible()
            .and_then(|()| tools::require("prometheus").map(drop))
            .err()
            .map(|error| error.to_string())
    }

    /// The cluster.
    pub fn plane(&self) -> &ControlPlane {
        match self {
            Self::Real(node) => node.plane(),
            Self::Simulated(simulated) => simulated.plane(),
        }
    }

    /// Where the gateway takes requests.
    pub fn gateway(&self) -> String {
        match self {
            Self::Real(node) => format!("{}:{}", node.address(), scenario::GATEWAY_PORT),
            Self::Simulated(simulated) => simulated.gateway(),
        }
    }

    /// Makes podinfo of that version known; a faulty one answers errors of its own.
    pub async fn publish(&self, version: &str, faulty: bool) -> Result<()> {
        match self {
            Self::Real(node) => {
                let env: &[(&str, &str)] = if faulty {
                    &[("PODINFO_RANDOM_ERROR", "true")]
                } else {
                    &[]
                };
                node.import_image(&scenario::podinfo(version, env)?).await
            }
            Self::Simulated(simulated) => {
                simulated.publish(version, faulty);
                Ok(())
            }
        }
    }
}
