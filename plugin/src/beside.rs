//! What else looks at the pods of a target, and does not find those of its primary: the server has no right to
//! read it, and so the plugin says it. Pure.
//!
//! ```text
//!  NetworkPolicy   the pods it is for, and those it lets through
//!  PodMonitor      the pods it scrapes
//!  ServiceMonitor  the Services it scrapes
//!  VerticalPodAutoscaler  the workload it sizes
//! ```

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{self, Labels, ORDER, Selector};
use serde_json::Value;

/// Group, version and kind of what is looked at.
pub const KINDS: [(&str, &str, &str); 4] = [
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("monitoring.coreos.com", "v1", "PodMonitor"),
    ("monitoring.coreos.com", "v1", "ServiceMonitor"),
    ("autoscaling.k8s.io", "v1", "VerticalPodAutoscaler"),
];

/// The two sides of a Canary, as far as they are known.
pub struct Sides<'a> {
    canary: &'a Canary,
    selector: Selector,
    target: Labels,
    primary: Labels,
}

/// An object that finds the target's pods alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The field that says so.
    pub path: &'static str,
    pub message: String,
    pub hint: String,
}

// === impl Sides ===

impl<'a> Sides<'a> {
    /// None if the target cannot be told from its primary: others complain about that.
    pub fn of(canary: &'a Canary, target: &Value, primary: Option<&Value>) -> Option<Self> {
        let order = ORDER.map(str::to_owned);
        let of = |live: &Value| selector::labels_of(live.pointer("/spec/selector"));
        let own = primary.map(of);
        let selector = Selector::of(&of(target), own.as_ref(), &order).ok()?;
        let pods = |live: &Value| labels(live.pointer("/spec/template/metadata/labels"));
        let mut of_primary = pods(primary.unwrap_or(target));
        of_primary.extend(selector.primary().clone());
        Some(Self {
            canary,
            target: pods(target),
            primary: of_primary,
            selector,
        })
    }

    /// What is wrong with an object of one of [`KINDS`], or with a Service, of which the server tells too.
    pub fn trouble(&self, object: &Value) -> Vec<Trouble> {
        match object["kind"].as_str() {
            Some("NetworkPolicy") => self.network_policy(object),
            Some("PodMonitor") => {
                let found = self.of_target_alone(&object["spec"]["selector"]);
                let what = "scrapes the pods of";
                Vec::from_iter(found.then(|| self.pods(object, "spec.selector", what)))
            }
            Some("ServiceMonitor") => Vec::from_iter(self.service_monitor(object)),
            Some("VerticalPodAutoscaler") => Vec::from_iter(self.vertical(object)),
            Some("Service") => Vec::from_iter(self.service(object)),
            _ => Vec::new(),
        }
    }

    fn of_target_alone(&self, selector: &Value) -> bool {
        selector::matches(selector, &self.target) && !selector::matches(selector, &self.primary)
    }

    fn network_policy(&self, object: &Value) -> Vec<Trouble> {
        let spec = &object["spec"];
        let mut found = Vec::new();
        if self.of_target_alone(&spec["podSelector"]) {
            found.push(self.pods(object, "spec.podSelector", "is for the pods of"));
        }
        for (rules, peers, path, what) in [
            ("ingress", "from", "spec.ingress", "lets in the pods of"),
            ("egress", "to", "spec.egress", "lets out to the pods of"),
        ] {
            let rules = spec[rules].as_array().into_iter().flatten();
            let mut peers = rules.filter_map(|rule| rule[peers].as_array()).flatten();
            // With a namespaceSelector it may speak of other pods.
            let here = |peer: &Value| peer["namespaceSelector"].is_null();
            if peers.any(|peer| here(peer) && self.of_target_alone(&peer["podSelector"])) {
                found.push(self.pods(object, path, what));
            }
        }
        found
    }

    /// An apex of the user's keeps the labels that the monitor goes by; the canary's Service has none of them.
    fn service_monitor(&self, object: &Value) -> Option<Trouble> {
        let selector = &object["spec"]["selector"];
        let service = self.canary.canary_service();
        let custom = self.canary.spec.service.canary.as_ref();
        let mut of_canary: Labels = custom.map(|it| it.labels.clone()).unwrap_or_default();
        of_canary.insert(self.selector.key().to_owned(), service.clone());
        let apex = self.canary.apex();
        // By its own labels, or by those that everybody gives it.
        let mut of_apex = self.target.clone();
        of_apex.insert(self.selector.key().to_owned(), apex.to_owned());
        let finds = |labels: &Labels| selector::matches(selector, labels);
        let misses = (finds(&self.target) || finds(&of_apex)) && !finds(&of_canary);
        let wanted = labels(selector.get("matchLabels"));
        misses.then(|| Trouble {
            path: "spec.selector",
            message: format!(
                "{} scrapes Service {apex} and not {service}, so the canary's pods are not scraped",
                named(object)
            ),
            hint: format!(
                "add a label of your own that it selects by to spec.service.canary.labels of the Canary; it selects by {}",
                selector::shown(&wanted)
            ),
        })
    }

    /// A Service of somebody else's that finds the target's pods and not the primary's, and of which nobody
    /// has said what is to become of it. The server holds an adoption for the same.
    pub fn is_left_behind(&self, service: &Value) -> bool {
        let name = service["metadata"]["name"].as_str().unwrap_or_default();
        let canary = self.canary;
        let (primary, of_canary) = (canary.primary_service(), canary.canary_service());
        let own = [canary.apex(), &primary, &of_canary].contains(&name);
        let follow = service["metadata"]["annotations"][names::FOLLOW].as_str();
        let says = [Some(names::FOLLOW_PRIMARY), Some(names::FOLLOW_IGNORE)].contains(&follow);
        // A Service's selector is of labels alone, and an empty one finds nothing.
        let wanted = labels(service.pointer("/spec/selector"));
        let finds = |pods: &Labels| selector::selects(&wanted, pods);
        !own && !says
            && !crate::service::is_generated(service)
            && finds(&self.target)
            && !finds(&self.primary)
    }

    /// Those of the budgets that cover the target's pods, if none covers the primary's: one is enough,
    /// wherever it comes from.
    pub fn budgets_left_behind<'b>(&self, budgets: &'b [Value]) -> Vec<&'b Value> {
        let covers =
            |budget: &Value, pods: &Labels| selector::matches(&budget["spec"]["selector"], pods);
        if budgets.iter().any(|it| covers(it, &self.primary)) {
            return Vec::new();
        }
        let of_target = budgets.iter().filter(|it| covers(it, &self.target));
        of_target.collect()
    }

    /// Labels that only the primary's pods have, as kubectl writes a selector.
    pub fn of_primary_alone(&self) -> String {
        let own = self.primary.iter();
        let differing = own.filter(|(key, value)| {
            let other = self.target.get(*key);
            other.is_some_and(|other| other != *value)
        });
        let differing = differing.map(|(key, value)| (key.clone(), value.clone()));
        selector::shown(&differing.collect())
    }

    fn service(&self, object: &Value) -> Option<Trouble> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let canary = self.canary;
        self.is_left_behind(object).then(|| Trouble {
            path: "spec.selector",
            message: format!(
                "Service {name} leads to the pods of {} alone, and to none while it is at rest",
                canary.target_name()
            ),
            hint: format!(
                "annotate it {}={} (pointed at the primary, as {} is) or {}",
                names::FOLLOW,
                names::FOLLOW_PRIMARY,
                canary.apex(),
                names::FOLLOW_IGNORE
            ),
        })
    }

    fn vertical(&self, object: &Value) -> Option<Trouble> {
        let sized = &object["spec"]["targetRef"];
        let target = self.canary.target_name();
        let found = sized["kind"] == "Deployment" && sized["name"] == target;
        let primary = names::primary_of(target);
        found.then(|| Trouble {
            path: "spec.targetRef.name",
            message: format!("{} sizes {target} and not {primary}", named(object)),
            hint: format!("make one for Deployment {primary} too"),
        })
    }

    fn pods(&self, object: &Value, path: &'static str, what: &str) -> Trouble {
        let target = self.canary.target_name();
        let key = self.selector.key();
        let value = |labels: &Labels| labels.get(key).cloned().unwrap_or_default();
        let (of_target, of_primary) = (
            value(self.selector.target()),
            value(self.selector.primary()),
        );
        Trouble {
            path,
            message: format!(
                "{} {what} {target} and not those of {}",
                named(object),
                names::primary_of(target)
            ),
            hint: format!(
                "select both: matchExpressions: [{{key: {key}, operator: In, values: [{of_target}, {of_primary}]}}], or by labels that both have"
            ),
        }
    }
}

fn named(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{} {}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    )
}

fn labels(map: Option<&Value>) -> Labels {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canary(service: &Value) -> Canary {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "test"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "service": service, "analysis": {},
            },
        }))
        .unwrap()
    }

    fn target() -> Value {
        json!({"spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}},
        }})
    }

    fn found(kind: &str, spec: &Value) -> Vec<Trouble> {
        of(&canary(&json!({"port": 80})), kind, spec)
    }

    fn of(canary: &Canary, kind: &str, spec: &Value) -> Vec<Trouble> {
        let target = target();
        let sides = Sides::of(canary, &target, None).unwrap();
        sides.trouble(&json!({"kind": kind, "metadata": {"name": "x"}, "spec": spec}))
    }

    #[test]
    fn a_policy_that_is_for_the_targets_pods_alone_is_named_with_what_to_add() {
        let only = json!({"podSelector": {"matchLabels": {"app": "web"}}});
        let all = found("NetworkPolicy", &only);
        let [trouble] = all.as_slice() else {
            panic!("{all:?}");
        };
        assert_eq!(
            trouble.message,
            "NetworkPolicy x is for the pods of web and not those of web-primary"
        );
        assert!(
            trouble.hint.contains("values: [web, web-primary]"),
            "{trouble:?}"
        );
        for both in [
            json!({"podSelector": {}}),
            json!({"podSelector": {"matchLabels": {"tier": "front"}}}),
            json!({"podSelector": {"matchExpressions": [
                {"key": "app", "operator": "In", "values": ["web", "web-primary"]},
            ]}}),
            json!({"podSelector": {"matchLabels": {"app": "other"}}}),
        ] {
            assert_eq!(found("NetworkPolicy", &both), [], "{both}");
        }
    }

    #[test]
    fn a_policy_of_another_application_that_lets_the_targets_pods_through_is_named_too() {
        let peer = |selector: Value| json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [selector]}]});
        let selector = json!({"matchLabels": {"app": "web"}});
        let all = found("NetworkPolicy", &peer(json!({"podSelector": selector})));
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].path, "spec.ingress");
        let elsewhere = json!({"podSelector": selector, "namespaceSelector": {}});
        assert_eq!(found("NetworkPolicy", &peer(elsewhere)), []);
    }

    #[test]
    fn a_service_that_does_not_say_what_becomes_of_it_is_named() {
        let spec = json!({"selector": {"app": "web"}});
        assert_eq!(found("Service", &spec).len(), 1);
        let both = json!({"selector": {"tier": "front"}});
        assert_eq!(found("Service", &both), []);
        assert_eq!(found("Service", &json!({})), []);
        let (canary, target) = (canary(&json!({"port": 80})), target());
        let sides = Sides::of(&canary, &target, None).unwrap();
        for (name, annotations) in [
            ("web", json!({})),
            ("web-canary", json!({})),
            ("web-grpc", json!({names::FOLLOW: "primary"})),
            ("web-admin", json!({names::FOLLOW: "ignore"})),
        ] {
            let metadata = json!({"name": name, "annotations": annotations});
            let service = json!({"kind": "Service", "metadata": metadata, "spec": spec});
            assert_eq!(sides.trouble(&service), [], "{name}");
        }
    }

    #[test]
    fn monitors_and_vertical_autoscalers_that_find_one_side_are_named() {
        let by_app = json!({"selector": {"matchLabels": {"app": "web"}}});
        assert_eq!(found("PodMonitor", &by_app).len(), 1);
        assert_eq!(found("ServiceMonitor", &by_app).len(), 1);
        let labelled = canary(&json!({"port": 80, "canary": {"labels": {"team": "web"}}}));
        let by_team = json!({"selector": {"matchLabels": {"team": "web"}}});
        assert_eq!(of(&labelled, "ServiceMonitor", &by_team), []);
        let sized = |name: &str| json!({"targetRef": {"kind": "Deployment", "name": name}});
        assert_eq!(found("VerticalPodAutoscaler", &sized("web")).len(), 1);
        assert_eq!(found("VerticalPodAutoscaler", &sized("web-primary")), []);
        assert_eq!(found("ConfigMap", &by_app), []);
    }
}
