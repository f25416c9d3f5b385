//! `canary_admission_*`: how many reviews, with what outcome, and how long they took.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds. An answer takes well under a millisecond; the API server gives up after three seconds.
const BUCKETS: [f64; 11] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
];
/// A call of which nothing could be read.
const UNKNOWN: &str = "UNKNOWN";

/// Counts reviews. Every label value is from a fixed list: no request can make a new series.
#[derive(Clone, Debug)]
pub struct AdmissionMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<WebhookLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    panics: Counter,
}

/// A review that is being answered, for as long as the value lives.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    webhook: &'static str,
    operation: &'static str,
    decision: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabel {
    webhook: &'static str,
}

// === impl AdmissionMetrics ===

impl AdmissionMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            panics: Counter::default(),
        };
        registry.register(
            "canary_admission_requests",
            "Admission reviews by webhook, operation, decision and reason",
            metrics.requests.clone(),
        );
        registry.register(
            "canary_admission_duration_seconds",
            "Time from reading a review to its answer",
            metrics.duration.clone(),
        );
        registry.register(
            "canary_admission_in_flight_requests",
            "Admission reviews that are being answered",
            metrics.in_flight.clone(),
        );
        registry.register(
            "canary_admission_panics",
            "Admission reviews whose answer was a defect of ours",
            metrics.panics.clone(),
        );
        metrics
    }

    /// A review that was understood, and answered.
    pub(super) fn count(
        &self,
        webhook: &'static str,
        operation: &'static str,
        (decision, reason): (&'static str, &'static str),
    ) {
        let labels = RequestLabels {
            webhook,
            operation,
            decision,
            reason,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// A call that got no answer of ours: the API server goes on as its `failurePolicy` says.
    pub(super) fn failed(&self, webhook: &'static str, reason: &'static str) {
        self.count(webhook, UNKNOWN, ("failed", reason));
    }

    pub(super) fn panicked(&self, webhook: &'static str) {
        self.failed(webhook, "panic");
        self.panics.inc();
    }

    pub(super) fn observe(&self, webhook: &'static str, took: Duration) {
        self.duration
            .get_or_create(&WebhookLabel { webhook })
            .observe(took.as_secs_f64());
    }

    pub(super) fn begin(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

// === impl InFlight ===

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
