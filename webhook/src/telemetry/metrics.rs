//! Metrics of releases under Flagger's names, and ours beside them.
//!
//! Flagger labels by the target's name and never removes a series. We keep the labels, since
//! dashboards select on them, and remove the series of a Canary that is gone.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use canary_core::canary::Strategy;
use canary_core::names;
use canary_core::status::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Prometheus's default buckets, which Flagger uses.
const TICK_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const STRATEGIES: [Strategy; 3] = [Strategy::Canary, Strategy::BlueGreen, Strategy::AbTesting];

/// The target of a Canary: what Flagger's series are labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Workload {
    pub name: String,
    pub namespace: String,
}

/// How a release was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    Completed,
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InfoLabels {
    version: String,
    mesh_provider: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamespaceLabels {
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WeightLabels {
    workload: String,
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MetricLabels {
    name: String,
    namespace: String,
    metric: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    name: String,
    namespace: String,
    deployment_strategy: &'static str,
    analysis_status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    result: &'static str,
}

#[derive(Clone, Debug)]
struct Ticks;

type FloatGauge = Gauge<f64, AtomicU64>;

/// Registered once, then passed to whoever counts.
#[derive(Debug)]
pub struct Metrics {
    info: Family<InfoLabels, Gauge>,
    total: Family<NamespaceLabels, Gauge>,
    status: Family<Workload, Gauge>,
    weight: Family<WeightLabels, Gauge>,
    duration: Family<Workload, Histogram, Ticks>,
    analysis: Family<MetricLabels, FloatGauge>,
    successes: Family<OutcomeLabels, Counter>,
    failures: Family<OutcomeLabels, Counter>,
    reconciles: Family<ResultLabels, Counter>,
    reconcile_duration: Histogram,
    requests: Family<RequestLabels, Counter>,
    alerts: Family<AlertLabels, Counter>,
    /// The metrics seen of each target: a family cannot be asked for its labels.
    analysed: Mutex<HashMap<Workload, BTreeSet<String>>>,
}

// === impl Metrics ===

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            info: Family::default(),
            total: Family::default(),
            status: Family::default(),
            weight: Family::default(),
            duration: Family::new_with_constructor(Ticks),
            analysis: Family::default(),
            successes: Family::default(),
            failures: Family::default(),
            reconciles: Family::default(),
            reconcile_duration: Histogram::new(TICK_BUCKETS),
            requests: Family::default(),
            alerts: Family::default(),
            analysed: Mutex::default(),
        };
        metrics.register_flaggers(registry.sub_registry_with_prefix("flagger"));
        metrics.register_ours(registry.sub_registry_with_prefix("canary"));
        metrics
    }

    fn register_flaggers(&self, registry: &mut Registry) {
        registry.register(
            "info",
            "Version and default provider of the server",
            self.info.clone(),
        );
        registry.register(
            "canary_total",
            "Canaries in a namespace",
            self.total.clone(),
        );
        registry.register(
            "canary_status",
            "0 while a release is in progress, 2 after it failed, else 1",
            self.status.clone(),
        );
        registry.register(
            "canary_weight",
            "Share of the traffic in percent",
            self.weight.clone(),
        );
        registry.register(
            "canary_duration_seconds",
            "Time that one tick of a Canary took",
            self.duration.clone(),
        );
        registry.register(
            "canary_metric_analysis",
            "Last value of a metric of the analysis",
            self.analysis.clone(),
        );
        // The encoder appends `_total` to a counter's name.
        registry.register(
            "canary_successes",
            "Releases that were promoted",
            self.successes.clone(),
        );
        registry.register(
            "canary_failures",
            "Releases that were rolled back",
            self.failures.clone(),
        );
    }

    fn register_ours(&self, registry: &mut Registry) {
        registry.register("reconcile", "Ticks by result", self.reconciles.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Time that a tick took",
            self.reconcile_duration.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the Kubernetes API",
            self.requests.clone(),
        );
        registry.register(
            "alerts",
            "Alerts that were delivered, failed or were dropped",
            self.alerts.clone(),
        );
    }

    pub fn info(&self, version: &str, mesh_provider: &str) {
        let labels = InfoLabels {
            version: version.to_owned(),
            mesh_provider: mesh_provider.to_owned(),
        };
        self.info.get_or_create(&labels).set(1);
    }

    /// The number of Canaries in each namespace that has any.
    pub fn totals(&self, by_namespace: &BTreeMap<String, i64>) {
        self.total.clear();
        for (namespace, count) in by_namespace {
            let namespace = namespace.clone();
            let labels = NamespaceLabels { namespace };
            self.total.get_or_create(&labels).set(*count);
        }
    }

    pub fn phase(&self, target: &Workload, phase: Phase) {
        let value = match phase {
            Phase::Progressing => 0,
            Phase::Failed => 2,
            Phase::New
            | Phase::Initializing
            | Phase::Initialized
            | Phase::Waiting
            | Phase::WaitingPromotion
            | Phase::Promoting
            | Phase::Finalising
            | Phase::Succeeded
            | Phase::Terminating
            | Phase::Terminated => 1,
        };
        self.status.get_or_create(target).set(value);
    }

    pub fn weights(&self, target: &Workload, primary: i64, canary: i64) {
        self.weight.get_or_create(&target.primary()).set(primary);
        self.weight.get_or_create(&target.canary()).set(canary);
    }

    pub fn analysis(&self, target: &Workload, metric: &str, value: f64) {
        self.analysed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(target.clone())
            .or_default()
            .insert(metric.to_owned());
        self.analysis
            .get_or_create(&target.metric(metric))
            .set(value);
    }

    pub fn succeeded(&self, target: &Workload, strategy: Strategy, analysis: Analysis) {
        let labels = target.outcome(strategy, analysis);
        self.successes.get_or_create(&labels).inc();
    }

    pub fn failed(&self, target: &Workload, strategy: Strategy, analysis: Analysis) {
        let labels = target.outcome(strategy, analysis);
        self.failures.get_or_create(&labels).inc();
    }

    /// One tick: its result is a category, such as `ok` or an error's.
    pub fn reconciled(&self, target: &Workload, result: &'static str, took: Duration) {
        let seconds = took.as_secs_f64();
        self.duration.get_or_create(target).observe(seconds);
        self.reconcile_duration.observe(seconds);
        self.reconciles
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// `delivered`, `failed` or `dropped`.
    pub fn alert(&self, result: &'static str) {
        self.alerts.get_or_create(&AlertLabels { result }).inc();
    }

    pub fn api_request(&self, verb: &str, kind: &str) {
        let labels = RequestLabels {
            verb: verb.to_owned(),
            kind: kind.to_owned(),
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Removes the series of a Canary that is gone.
    pub fn forget(&self, target: &Workload) {
        self.status.remove(target);
        self.duration.remove(target);
        self.weight.remove(&target.primary());
        self.weight.remove(&target.canary());
        let analysed = self
            .analysed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(target);
        for metric in analysed.into_iter().flatten() {
            self.analysis.remove(&target.metric(&metric));
        }
        for strategy in STRATEGIES {
            for analysis in [Analysis::Completed, Analysis::Skipped] {
                let labels = target.outcome(strategy, analysis);
                self.successes.remove(&labels);
                self.failures.remove(&labels);
            }
        }
    }
}

// === impl Workload ===

impl Workload {
    fn primary(&self) -> WeightLabels {
        self.weight(names::primary_of(&self.name))
    }

    fn canary(&self) -> WeightLabels {
        self.weight(self.name.clone())
    }

    fn weight(&self, workload: String) -> WeightLabels {
        WeightLabels {
            workload,
            namespace: self.namespace.clone(),
        }
    }

    fn metric(&self, metric: &str) -> MetricLabels {
        MetricLabels {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            metric: metric.to_owned(),
        }
    }

    fn outcome(&self, strategy: Strategy, analysis: Analysis) -> OutcomeLabels {
        OutcomeLabels {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            deployment_strategy: strategy.as_str(),
            analysis_status: match analysis {
                Analysis::Completed => "completed",
                Analysis::Skipped => "skipped",
            },
        }
    }
}

// === impl Ticks ===

impl MetricConstructor<Histogram> for Ticks {
    fn new_metric(&self) -> Histogram {
        Histogram::new(TICK_BUCKETS)
    }
}
