//! What sends traffic to a side: pure pairs of reading and writing, one file and one row a provider.
//!
//! ```text
//!  live objects ─► read()  ─► Routes
//!  Routes       ─► write() ─► the generated object, whole
//! ```

pub mod apisix;

use canary_core::canary::Canary;
use canary_core::release::Routes;
use serde_json::Value;

use crate::api::Kind;

/// Objects that a router looks at, as the caches have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Live<'a> {
    /// The user's own route.
    pub source: Option<&'a Value>,
    /// The one that we generate.
    pub generated: Option<&'a Value>,
}

/// Weights of primary and canary in one rule.
pub type Weights = [Option<i64>; 2];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("apisix route selector is empty")]
    NoReference,
    #[error("APISIX route {route} get query error: not found")]
    Missing { route: String },
    #[error("APISIX route {route}'s spec.http is empty")]
    NoRules { route: String },
    #[error("Can not find {apex} backend on apisix route {route}")]
    NoBackend { apex: String, route: String },
    #[error("APISIX route {route}'s http route {rule} only one http backend is supported")]
    SeveralBackends { route: String, rule: String },
}

pub trait Router: Sync {
    fn kind(&self) -> Kind;
    /// Names of the user's route and of the generated one.
    fn names(&self, canary: &Canary) -> Result<(String, String), RouteError>;
    /// Shares in per cent, whatever the weights add up to. None where the generated object does not exist or
    /// says nothing sensible.
    fn read(&self, canary: &Canary, live: Live<'_>) -> Option<Routes>;
    /// Weights as they stand in each rule that has ours; none of a backend that says none.
    fn weights(&self, canary: &Canary, generated: &Value) -> Vec<Weights>;
    /// The generated object with these weights.
    fn write(&self, canary: &Canary, live: Live<'_>, to: Routes) -> Result<Value, RouteError>;
    /// Ports of the apex Service that the user's route names; first that of the rule that is copied.
    fn source_ports(&self, canary: &Canary, live: Live<'_>) -> Vec<Value>;
    /// The port of the generated Services that a generated route names.
    fn port(&self, canary: &Canary, generated: &Value) -> Option<Value>;
    /// Lets a generated route name that port of the generated Services.
    fn set_port(&self, generated: &mut Value, port: &Value);
    /// The generated object as it stands, with other weights: for when its source cannot be followed. None
    /// where it has no place for them.
    fn reweigh(&self, canary: &Canary, generated: &Value, to: Routes) -> Option<Value>;
    /// The route in words of the metrics that it is measured by needs the canary's own address.
    fn by_service_address(&self, live: Live<'_>) -> bool;
}

/// The router of a provider; none for one that has no traffic control.
pub fn router(provider: &str) -> Option<&'static dyn Router> {
    match provider {
        "apisix" => Some(&apisix::Apisix),
        _ => None,
    }
}
