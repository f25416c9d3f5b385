//! What an absent field means: the one home of every default of a Canary.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;

use super::{Canary, CanaryAnalysis, Hook, LocalObjectReference, Metric};
use crate::hook::HookKind;
use crate::names;

/// Time between checks where the spec gives none.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
/// Window of a metric where the spec gives none.
pub const DEFAULT_METRIC_INTERVAL: &str = "1m";
const DEFAULT_PROGRESS_DEADLINE: i64 = 600;
const DEFAULT_HOOK_TIMEOUT: Duration = Duration::from_secs(10);
const ALL: i64 = 100;

/// How traffic moves to the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Step by step, by weight.
    Canary,
    /// All at once, after a number of checks without traffic.
    BlueGreen,
    /// The requests that match, for a number of checks.
    AbTesting,
}

impl Strategy {
    /// The name that metrics and alerts use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::BlueGreen => "blue-green",
            Self::AbTesting => "ab-testing",
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What Go can say: 292 years.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

/// A duration as Go writes it (`90s`, `1m30s`); none if it is negative, no duration, or longer than Go
/// can say. Not read by kube, whose reader panics at one that does not fit, and at `1h-5m`.
pub fn duration(text: &str) -> Option<Duration> {
    if text.starts_with('-') {
        return None;
    }
    let mut rest = text.trim_start_matches('+');
    let mut total = Duration::ZERO;
    while !rest.is_empty() && rest != "0" {
        let (number, after) = rest.split_at(rest.find(char::is_alphabetic)?);
        let end = after.find(|c: char| !c.is_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = number.parse::<f64>().ok()? * seconds_of(unit)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    (total <= LONGEST).then_some(total)
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        // The micro sign, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

/// An empty string is an absent one, as in Flagger.
fn set(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

// === impl Canary: names ===

impl Canary {
    /// `<name>.<namespace>`, as logs and events write it.
    pub fn id(&self) -> String {
        format!("{}.{}", self.name_any(), self.namespace_name())
    }

    /// The namespace; empty on an object that was never stored.
    pub fn namespace_name(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn target_name(&self) -> &str {
        &self.spec.target_ref.name
    }

    /// Name of the Service that users call.
    pub fn apex(&self) -> &str {
        set(self.spec.service.name.as_ref()).unwrap_or_else(|| self.target_name())
    }

    pub fn primary_service(&self) -> String {
        names::primary_of(self.apex())
    }

    pub fn canary_service(&self) -> String {
        names::canary_of(self.apex())
    }

    /// Name of the primary workload.
    pub fn primary_name(&self) -> String {
        names::primary_of(self.target_name())
    }

    /// The user's route; none if there is no reference or no name in it.
    pub fn route(&self) -> Option<&LocalObjectReference> {
        self.spec
            .route_ref
            .as_ref()
            .filter(|route| !route.name.is_empty())
    }

    /// Name of the generated route.
    pub fn canary_route(&self) -> Option<String> {
        let route = self.route()?;
        Some(names::canary_of(&format!("{}-{}", route.name, self.apex())))
    }
}

// === impl Canary: the run ===

impl Canary {
    pub fn analysis(&self) -> &CanaryAnalysis {
        &self.spec.analysis
    }

    pub fn suspended(&self) -> bool {
        self.spec.suspend.unwrap_or_default()
    }

    /// Promote without checks; a Canary without analysis has none to make.
    pub fn skip_analysis(&self) -> bool {
        self.spec.skip_analysis.unwrap_or_default()
            || self.spec.analysis == CanaryAnalysis::default()
    }

    pub fn revert_on_deletion(&self) -> bool {
        self.spec.revert_on_deletion.unwrap_or_default()
    }

    /// A target with strategy `Recreate` is accepted, outages and all.
    pub fn accepts_recreate(&self) -> bool {
        let accepted = self.annotations().get(names::ALLOW_RECREATE);
        accepted.is_some_and(|value| value == "true")
    }

    pub fn accepts_shared_selector(&self) -> bool {
        let accepted = self.annotations().get(names::ALLOW_SHARED_SELECTOR);
        accepted.is_some_and(|value| value == "true")
    }

    /// The provider, or the server's own where the spec names none.
    pub fn provider_or<'a>(&'a self, default: &'a str) -> &'a str {
        set(self.spec.provider.as_ref()).unwrap_or(default)
    }

    /// The Prometheus of built-in and inline queries, or the server's own.
    pub fn metrics_server_or<'a>(&'a self, default: &'a str) -> &'a str {
        set(self.spec.metrics_server.as_ref()).unwrap_or(default)
    }

    /// Time between two checks. The least that a server allows is the server's to apply.
    pub fn interval(&self) -> Duration {
        set(self.spec.analysis.interval.as_ref())
            .and_then(duration)
            .unwrap_or(DEFAULT_INTERVAL)
    }

    /// Failed checks that roll the release back.
    pub fn threshold(&self) -> i64 {
        self.spec.analysis.threshold.filter(|n| *n > 0).unwrap_or(1)
    }

    pub fn progress_deadline(&self) -> Duration {
        let seconds = self
            .spec
            .progress_deadline_seconds
            .unwrap_or(DEFAULT_PROGRESS_DEADLINE);
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    /// Percentage of the primary's updated pods that must be available.
    pub fn primary_ready_threshold(&self) -> i64 {
        self.spec.analysis.primary_ready_threshold.unwrap_or(ALL)
    }

    /// Percentage of the canary's updated pods that must be available.
    pub fn canary_ready_threshold(&self) -> i64 {
        self.spec.analysis.canary_ready_threshold.unwrap_or(ALL)
    }

    pub fn strategy(&self) -> Strategy {
        match (self.iterations() > 0, self.spec.analysis.match_.is_empty()) {
            (true, false) => Strategy::AbTesting,
            (true, true) => Strategy::BlueGreen,
            (false, _) => Strategy::Canary,
        }
    }

    /// Checks of a blue/green or A/B release; 0 for a weighted one.
    pub fn iterations(&self) -> i64 {
        self.spec.analysis.iterations.unwrap_or_default()
    }

    /// What each step adds; 0 if the steps are listed.
    pub fn step_weight(&self) -> i64 {
        self.spec.analysis.step_weight.unwrap_or_default()
    }

    /// The listed steps; empty if `stepWeight` is given, which wins.
    pub fn step_weights(&self) -> &[i64] {
        if self.step_weight() > 0 {
            &[]
        } else {
            &self.spec.analysis.step_weights
        }
    }

    /// What each step of a promotion gives back; 0 for all at once.
    pub fn step_weight_promotion(&self) -> i64 {
        self.spec.analysis.step_weight_promotion.unwrap_or_default()
    }

    /// Weight at which a weighted release is promoted. Listed steps end at their last.
    pub fn max_weight(&self) -> i64 {
        let analysis = &self.spec.analysis;
        match analysis.step_weights.last() {
            Some(last) => ALL.min(*last),
            None => analysis.max_weight.filter(|n| *n > 0).unwrap_or(ALL),
        }
    }

    pub fn mirror(&self) -> bool {
        self.spec.analysis.mirror.unwrap_or_default()
    }

    /// The hooks of one kind, with their position in the spec.
    pub fn hooks(&self, kind: HookKind) -> impl Iterator<Item = (usize, &Hook)> {
        let hooks = self.spec.analysis.webhooks.iter().enumerate();
        hooks.filter(move |(_, hook)| hook.kind() == Some(kind))
    }
}

// === impl Canary: Services ===

impl Canary {
    pub fn port_name(&self) -> &str {
        set(self.spec.service.port_name.as_ref()).unwrap_or("http")
    }

    pub fn app_protocol(&self) -> Option<&str> {
        set(self.spec.service.app_protocol.as_ref())
    }

    /// Port of the pods; an empty or zero one is absent.
    pub fn target_port(&self) -> IntOrString {
        match &self.spec.service.target_port {
            Some(IntOrString::Int(port)) if *port != 0 => IntOrString::Int(*port),
            Some(IntOrString::String(port)) if !port.is_empty() => {
                IntOrString::String(port.clone())
            }
            _ => IntOrString::Int(self.spec.service.port),
        }
    }

    pub fn port_discovery(&self) -> bool {
        self.spec.service.port_discovery.unwrap_or_default()
    }

    pub fn headless(&self) -> bool {
        self.spec.service.headless.unwrap_or_default()
    }
}

// === impl Hook ===

impl Hook {
    /// When it is called; none if the type is unknown.
    pub fn kind(&self) -> Option<HookKind> {
        self.type_.as_deref().unwrap_or_default().parse().ok()
    }

    pub fn timeout(&self) -> Duration {
        set(self.timeout.as_ref())
            .and_then(duration)
            .unwrap_or(DEFAULT_HOOK_TIMEOUT)
    }

    /// How often a call that failed is repeated.
    pub fn retries(&self) -> u32 {
        self.retries
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default()
    }

    pub fn mutes_alert(&self) -> bool {
        self.mute_alert.unwrap_or_default()
    }

    pub fn skips_verification(&self) -> bool {
        self.disable_tls.unwrap_or_default()
    }
}

// === impl Metric ===

impl Metric {
    /// The window of the query.
    pub fn interval(&self) -> &str {
        set(self.interval.as_ref()).unwrap_or(DEFAULT_METRIC_INTERVAL)
    }

    /// The inline query.
    pub fn inline_query(&self) -> Option<&str> {
        set(self.query.as_ref())
    }
}
