//! What each provider can do, and what of Flagger's list is supported yet.
//!
//! The CRDs accept every name that Flagger accepts. A name that is known but not supported is
//! refused by [`crate::validate`], by name, so that nothing is routed by a provider that we do
//! not have.

use crate::query::{DURATION, SUCCESS_RATE};

/// What a traffic provider can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// There is a router for it.
    pub supported: bool,
    /// It splits traffic by weight.
    pub weighted: bool,
    /// It routes by what a request carries.
    pub ab: bool,
    /// It copies requests to the canary.
    pub mirror: bool,
    /// It can switch all traffic at once.
    pub blue_green: bool,
    /// It keeps a user on one version by a cookie.
    pub session_affinity: bool,
}

/// Switches all traffic at once, and that is all.
const SWITCH: Capability = Capability {
    supported: false,
    weighted: false,
    ab: false,
    mirror: false,
    blue_green: true,
    session_affinity: false,
};
/// Splits by weight too.
const WEIGHTED: Capability = Capability {
    weighted: true,
    ..SWITCH
};
/// Routes by header too.
const HEADERS: Capability = Capability {
    ab: true,
    ..WEIGHTED
};
/// Copies requests and keeps sessions too.
const FULL: Capability = Capability {
    mirror: true,
    session_affinity: true,
    ..HEADERS
};

const fn supported(capability: Capability) -> Capability {
    Capability {
        supported: true,
        ..capability
    }
}

/// Traffic providers: one row each, in the order of the CRD's enum.
pub const PROVIDERS: &[(&str, Capability)] = &[
    ("apisix", supported(WEIGHTED)),
    ("appmesh", HEADERS),
    ("appmesh:v1beta2", HEADERS),
    ("contour", HEADERS),
    ("gatewayapi:v1", FULL),
    ("gatewayapi:v1beta1", FULL),
    ("gloo", HEADERS),
    ("istio", FULL),
    (
        "knative",
        Capability {
            blue_green: false,
            ..WEIGHTED
        },
    ),
    ("kubernetes", supported(SWITCH)),
    ("kuma", WEIGHTED),
    ("linkerd", WEIGHTED),
    ("nginx", HEADERS),
    ("osm", WEIGHTED),
    ("skipper", WEIGHTED),
    ("smi:v1alpha1", WEIGHTED),
    ("smi:v1alpha2", WEIGHTED),
    ("smi:v1alpha3", WEIGHTED),
    ("traefik", WEIGHTED),
];

/// Kinds of target, and whether they are supported yet.
pub const TARGET_KINDS: &[(&str, bool)] = &[
    ("DaemonSet", false),
    ("Deployment", true),
    ("Service", false),
];

/// Kinds of autoscaler, and whether they are supported yet.
pub const AUTOSCALER_KINDS: &[(&str, bool)] =
    &[("HorizontalPodAutoscaler", true), ("ScaledObject", false)];

/// Metric providers of a `MetricTemplate`, and whether they are supported yet.
pub const METRIC_PROVIDERS: &[(&str, bool)] = &[
    ("prometheus", true),
    ("influxdb", false),
    ("datadog", false),
    ("externalmetrics", false),
    ("stackdriver", false),
    ("cloudwatch", false),
    ("newrelic", false),
    ("graphite", false),
    ("dynatrace", false),
    ("keptn", false),
    ("splunk", false),
];

/// Types of an `AlertProvider`, and whether alerts are delivered to them.
pub const ALERT_PROVIDERS: &[(&str, bool)] = &[
    ("slack", true),
    ("msteams", true),
    ("discord", true),
    ("rocket", true),
    ("gchat", true),
    // Ours.
    ("alertmanager", true),
    ("cloudevents", true),
];

/// Metrics that need no query.
pub const BUILTIN_METRICS: &[&str] = &[SUCCESS_RATE, DURATION];

/// What `provider` can do; none if it is not one of Flagger's.
pub fn capability(provider: &str) -> Option<Capability> {
    find(PROVIDERS, provider)
}

/// Whether a target of this kind is supported; none if it is not one of Flagger's.
pub fn target_kind(kind: &str) -> Option<bool> {
    find(TARGET_KINDS, kind)
}

/// Whether an autoscaler of this kind is supported; none if it is not one of Flagger's.
pub fn autoscaler_kind(kind: &str) -> Option<bool> {
    find(AUTOSCALER_KINDS, kind)
}

/// Whether this metric provider is supported; none if it is not one of Flagger's.
pub fn metric_provider(type_: &str) -> Option<bool> {
    find(METRIC_PROVIDERS, type_)
}

/// Whether alerts are delivered to this type; none if it is unknown.
pub fn alert_provider(type_: &str) -> Option<bool> {
    find(ALERT_PROVIDERS, type_)
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apisix_splits_by_weight_and_switches_and_does_nothing_else() {
        let apisix = capability("apisix").unwrap();
        assert!(apisix.supported && apisix.weighted && apisix.blue_green);
        assert!(!apisix.ab && !apisix.mirror && !apisix.session_affinity);
    }

    #[test]
    fn kubernetes_only_switches() {
        let kubernetes = capability("kubernetes").unwrap();
        assert!(kubernetes.supported && kubernetes.blue_green);
        assert!(!kubernetes.weighted && !kubernetes.ab && !kubernetes.mirror);
    }

    #[test]
    fn of_the_others_none_is_supported_yet() {
        let supported: Vec<_> = PROVIDERS.iter().filter(|(_, can)| can.supported).collect();
        assert_eq!(supported.len(), 2);
        assert_eq!(
            capability("istio").map(|can| (can.supported, can.mirror)),
            Some((false, true))
        );
    }

    #[test]
    fn a_name_that_flagger_does_not_know_is_unknown() {
        assert_eq!(capability("haproxy"), None);
        assert_eq!(target_kind("StatefulSet"), None);
        assert_eq!(metric_provider("loki"), None);
        assert_eq!(alert_provider("email"), None);
        assert_eq!(autoscaler_kind("VerticalPodAutoscaler"), None);
    }

    #[test]
    fn the_tables_answer_what_is_supported() {
        assert_eq!(
            (target_kind("Deployment"), target_kind("Service")),
            (Some(true), Some(false))
        );
        assert_eq!(
            (metric_provider("prometheus"), metric_provider("splunk")),
            (Some(true), Some(false))
        );
        assert_eq!(alert_provider("slack"), Some(true));
    }
}
