//! Answers to admission reviews: pure decisions behind a thin HTTP rim.
//!
//! ```text
//!  API server ──► http ─┬─ /mutate ───► mutate ───┬─ stamps   who started which revision
//!                       │                         ├─ wishes   who asked for what
//!                       │                         └─ sentence what kubectl prints
//!                       └─ /validate ─┬─► validate ──► core::validate
//!                                     │       ▲
//!                                     │  View: what the watch caches know
//!                                     └─► rights   where no policy of the API server asks for them
//! ```
//!
//! Nothing rests on an answer. The controller sees every change by its own watch and refuses what
//! [`validate`] refuses; an answer that never comes costs attribution and a warning. Hence no API
//! call in here but the one of [`Rights`], no write, and no state.

mod answer;
mod flood;
mod http;
mod metrics;
mod mutate;
mod patch;
mod policy;
mod review;
mod rights;
mod sentence;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use canary_core::canary::Canary;
use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionRequest;

use crate::caches::{Labels, Stated};
use crate::clock::Cpu;
use crate::health::Health;

pub use answer::{Answer, Refusal, Verdict};
pub use flood::Flood;
pub use http::router;
pub use metrics::AdmissionMetrics;
pub use mutate::mutate;
pub use rights::{Right, Rights};
pub use validate::validate;

/// The objects stay raw JSON outside their metadata: a type of ours would drop the fields that a
/// newer API server knows.
pub type Request = AdmissionRequest<DynamicObject>;

/// What the watch caches know. Tests answer from memory.
pub trait View: Send + Sync + 'static {
    /// The Canaries of a namespace that name this target.
    fn canaries_for(&self, namespace: &str, target: &str) -> Vec<Arc<Canary>>;
    /// Canaries of a namespace whose release runs, but for the one of that name.
    fn others_releasing(&self, namespace: &str, canary: Option<&str>) -> usize;
    /// `spec.strategy.type` of a Deployment; none if there is no such Deployment.
    fn target_strategy(&self, namespace: &str, name: &str) -> Option<String>;
    /// The `CanaryPolicies` that apply to a namespace, by name.
    fn policies(&self, namespace: &str) -> Vec<Arc<Stated>>;
    /// Whether a Service selects pods with these labels.
    fn is_served(&self, namespace: &str, labels: &Labels) -> bool;
    /// Why the Services of a Canary that nobody has adopted yet would select the pods of others, if they would.
    fn shared_selector(&self, namespace: &str, canary: &Canary) -> Option<String>;
    /// What the adoption of a Canary that nobody has adopted yet would do to other Services of its target.
    fn other_services(&self, namespace: &str, canary: &Canary) -> Option<String>;
    fn now(&self) -> Timestamp;
    /// Whether every cache has been filled once.
    fn synced(&self) -> bool;
}

/// Who we are.
#[derive(Clone, Debug)]
pub struct Config {
    /// User name of our own writes, which are never reviewed.
    pub own_user: String,
    /// Our own namespace, where nothing is reviewed.
    pub own_namespace: String,
    /// Provider of a Canary that names none.
    pub default_provider: String,
}

/// What the router needs.
#[derive(Clone)]
pub struct State {
    pub view: Arc<dyn View>,
    pub config: Arc<Config>,
    pub rights: Arc<dyn Rights>,
    pub health: Arc<Health>,
    pub metrics: AdmissionMetrics,
    pub flood: Arc<Flood>,
    /// Monotonic time since some start.
    pub elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
    pub cpu: Cpu,
}

/// The resources that reviews are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Deployment,
    Canary,
    MetricTemplate,
    Policy,
}

// === impl Subject ===

impl Subject {
    /// What `request` is about, if it is for us to say anything. The registration selects the
    /// same; a selector that somebody widened must not make us answer for more.
    fn of(request: &Request, config: &Config) -> Option<Self> {
        let ours = request.user_info.username.as_deref() == Some(config.own_user.as_str());
        let at_home = request.namespace.as_deref() == Some(config.own_namespace.as_str());
        let part = request
            .sub_resource
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        if ours || at_home || part {
            return None;
        }
        match (
            request.resource.group.as_str(),
            request.resource.resource.as_str(),
        ) {
            ("apps", "deployments") => Some(Self::Deployment),
            ("flagger.app", "canaries") => Some(Self::Canary),
            ("flagger.app", "metrictemplates") => Some(Self::MetricTemplate),
            ("policy.kubectl-canary.dev", "canarypolicies") => Some(Self::Policy),
            _ => None,
        }
    }
}
