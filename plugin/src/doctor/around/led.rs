//! Which Services people come to, and which Deployments by them.

use canary_core::canary::Canary;
use canary_core::selector::selects;
use serde_json::Value;

use super::{Around, named, pod_labels, strings};

pub(super) struct Led<'a> {
    around: &'a Around,
    /// Apex Services: of the spec, and of what is in force.
    apexes: Vec<String>,
    /// Services that no name leads to.
    left: Vec<&'a str>,
}

// === impl Led ===

impl<'a> Led<'a> {
    pub fn of(
        by_names: &[Canary],
        around: &'a Around,
        left: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            around,
            apexes: by_names.iter().map(|it| it.apex().to_owned()).collect(),
            left: left.collect(),
        }
    }

    /// By a route, or by its own name.
    pub fn is_led(&self, service: &Value) -> bool {
        let name = named(service);
        let rules = self.around.routes.iter();
        let rules = rules
            .filter_map(|it| it["spec"]["http"].as_array())
            .flatten();
        let mut backends = rules
            .filter_map(|rule| rule["backends"].as_array())
            .flatten();
        // A weight that is not given counts.
        let routed =
            backends.any(|it| it["serviceName"] == name && it["weight"].as_i64() != Some(0));
        routed || self.apexes.iter().any(|apex| apex == name)
    }

    /// Of pods that were not read nothing is known.
    pub fn may_have_pods(&self, service: &Value) -> bool {
        let pods = self.around.pods.get(named(service));
        pods.is_none_or(|pods| pods.iter().any(|pod| pod.ready))
    }

    /// It has ready pods, and a Service that somebody may come by selects them.
    pub fn serves(&self, deployment: &Value) -> bool {
        let ready = deployment["status"]["readyReplicas"].as_i64().unwrap_or(0);
        let labels = pod_labels(deployment);
        let selecting = |service: &&Value| {
            let selector = strings(service.pointer("/spec/selector"));
            !selector.is_empty() && selects(&selector, &labels)
        };
        let mut services = self.around.services.iter().filter(selecting);
        ready > 0
            && services
                .any(|it| self.is_led(it) || !self.left.iter().any(|name| *name == named(it)))
    }
}
