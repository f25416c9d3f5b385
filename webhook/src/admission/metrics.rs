//! `canary_admission_*`: how many reviews, with what outcome, and how long they took.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds. An answer takes well under a millisecond; the API server gives up after three seconds.
const BUCKETS: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// Counts reviews. Every label value is from a fixed list: no request can make a new series.
#[derive(Clone, Debug)]
pub struct AdmissionMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<WebhookLabel, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    webhook: &'static str,
    operation: &'static str,
    decision: &'static str,
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
        };
        registry.register(
            "canary_admission_requests",
            "Admission reviews by webhook, operation and decision",
            metrics.requests.clone(),
        );
        registry.register(
            "canary_admission_duration_seconds",
            "Time from reading a review to its answer",
            metrics.duration.clone(),
        );
        metrics
    }

    pub(super) fn count(
        &self,
        webhook: &'static str,
        operation: &'static str,
        decision: &'static str,
    ) {
        let labels = RequestLabels {
            webhook,
            operation,
            decision,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn observe(&self, webhook: &'static str, took: Duration) {
        self.duration
            .get_or_create(&WebhookLabel { webhook })
            .observe(took.as_secs_f64());
    }
}
