//! Whether the two sides serve: pods that are ready, and a Service that leads to them.

use crate::message::Message;
use crate::release::draft::Draft;

// === impl Draft ===

impl Draft<'_> {
    /// Whoever is sent to the primary finds a pod: one that is ready, and that its Service leads to.
    pub fn primary_serves(&self) -> bool {
        let primary = self.facts.primary.as_ref();
        primary.is_some_and(|primary| primary.ready > 0) && self.facts.serving.primary > 0
    }

    /// The same of the canary, where anybody is sent to it at all.
    pub fn canary_serves(&self) -> bool {
        self.target().ready > 0 && self.is_reachable()
    }

    /// A pod that its Service does not lead to is as good as none.
    fn is_reachable(&self) -> bool {
        !self.has_traffic() || self.facts.serving.canary > 0
    }

    /// What people are told when everybody is sent back because the canary does not serve.
    pub fn lost(&self) -> Message {
        if self.target().ready > 0 {
            Message::Unreachable
        } else {
            Message::NoReadyPods
        }
    }

    /// Why the canary cannot be trusted with traffic.
    pub fn not_ready(&self) -> Option<String> {
        let target = self.target();
        if !target.is_ready() {
            return Some(target.why());
        }
        if target.ready == 0 {
            return Some("no pod is ready".to_owned());
        }
        let service = self.canary.canary_service();
        (!self.is_reachable()).then(|| format!("Service {service} leads to none of its pods"))
    }
}
