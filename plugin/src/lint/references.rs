//! What one object of the files says of another one.
//!
//! Files may hold a part of an application only: that something is missing is said where another object of its
//! kind is there, and as a warning, since it may lie in the cluster.

use canary_core::canary::{Canary, Metric};
use canary_core::query::check_variables;
use canary_core::template::MetricTemplate;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::rules::typed;
use super::{Check, Finding, Manifest, Severity};
use crate::beside::{KINDS, Sides, Trouble};
use crate::service::{has_port, shown};

const FLAGGER: &str = "flagger.app";

/// A Canary of the files, and all of them.
struct Around<'a> {
    all: &'a [Manifest],
    manifest: &'a Manifest,
    canary: Canary,
    found: Vec<Finding>,
}

/// Everything that does not fit together.
pub fn check(all: &[Manifest]) -> Vec<Finding> {
    let mut found = Vec::new();
    for manifest in all.iter().filter(|it| it.is(FLAGGER, "Canary")) {
        // One that cannot be read has been complained about.
        if let Ok(canary) = typed(manifest) {
            let mut around = Around {
                all,
                manifest,
                canary,
                found: Vec::new(),
            };
            around.target();
            around.route();
            around.autoscaler();
            around.service();
            around.metrics();
            around.alerts();
            around.beside();
            found.append(&mut around.found);
        }
    }
    found.extend(shared_targets(all));
    found
}

/// Of two Canaries for one target only the older acts.
fn shared_targets(all: &[Manifest]) -> Vec<Finding> {
    let canaries: Vec<_> = all.iter().filter(|it| it.is(FLAGGER, "Canary")).collect();
    let target = |it: &Manifest| {
        (
            it.text("/spec/targetRef/kind").to_owned(),
            it.text("/spec/targetRef/name").to_owned(),
        )
    };
    let mut found = Vec::new();
    for (index, later) in canaries.iter().enumerate() {
        let wanted = target(later);
        let first = canaries[..index].iter().find(|earlier| {
            target(earlier) == wanted
                && together(earlier.namespace(), later.namespace())
                && earlier.name() != later.name()
        });
        if let Some(first) = first
            && !wanted.1.is_empty()
        {
            let (kind, name) = wanted;
            let message = format!(
                "{kind} {name} is the target of Canary {} too: only the older one would act",
                first.name()
            );
            let path = "spec.targetRef.name";
            found.push(later.finding(Severity::Error, Check::Reference, path, message));
        }
    }
    found
}

/// An object without a namespace goes wherever it is applied.
fn together(one: &str, other: &str) -> bool {
    one == other || one.is_empty() || other.is_empty()
}

// === impl Around ===

impl<'a> Around<'a> {
    fn say(&mut self, about: &Manifest, severity: Severity, path: &str, message: String) {
        self.found
            .push(about.finding(severity, Check::Reference, path, message));
    }

    fn warn(&mut self, path: &str, message: String) {
        self.say(self.manifest, Severity::Warning, path, message);
    }

    /// The object by that name, in that namespace or the Canary's. A missing one is complained about if there
    /// are others of its kind.
    fn find(
        &mut self,
        (group, kind): (&str, &str),
        namespace: Option<&str>,
        name: &str,
        path: &str,
    ) -> Option<&'a Manifest> {
        let wanted = namespace.unwrap_or_else(|| self.manifest.namespace());
        let mut there = self.all.iter().filter(|it| it.is(group, kind)).peekable();
        there.peek()?;
        let found = there.find(|it| it.name() == name && together(it.namespace(), wanted));
        if found.is_none() && !name.is_empty() {
            self.warn(path, format!("{kind} {name} is not in these files"));
        }
        found
    }

    fn target(&mut self) {
        let target = self.canary.spec.target_ref.clone();
        if target.kind != "Deployment" {
            return;
        }
        let Some(deployment) = self.find(
            ("apps", "Deployment"),
            None,
            &target.name,
            "spec.targetRef.name",
        ) else {
            return;
        };
        let strategy = deployment.text("/spec/strategy/type");
        if strategy == "Recreate" && !self.canary.accepts_recreate() {
            self.say(
                deployment,
                Severity::Error,
                "spec.strategy.type",
                format!(
                    "Canary {} would be refused: Recreate stops every pod before the new ones run; use RollingUpdate",
                    self.manifest.name()
                ),
            );
        }
        if !deployment.value()["spec"]["replicas"].is_null() {
            self.say(
                deployment,
                Severity::Warning,
                "spec.replicas",
                format!(
                    "Canary {} scales the target: leave replicas out, or each apply starts pods that nobody uses",
                    self.manifest.name()
                ),
            );
        }
        self.target_port(deployment);
    }

    /// A named port has to be one of the pods'.
    fn target_port(&mut self, deployment: &Manifest) {
        let IntOrString::String(port) = self.canary.target_port() else {
            return;
        };
        let containers = deployment.value().pointer("/spec/template/spec/containers");
        let ports = containers
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|container| container["ports"].as_array())
            .flatten();
        let names: Vec<&str> = ports.filter_map(|port| port["name"].as_str()).collect();
        if !names.contains(&port.as_str()) {
            let there = if names.is_empty() {
                "has no named port".to_owned()
            } else {
                format!("has {}", names.join(", "))
            };
            let path = if self.canary.spec.service.target_port.is_some() {
                "spec.service.targetPort"
            } else {
                "spec.service.port"
            };
            let name = deployment.name();
            self.warn(
                path,
                format!("Deployment {name} has no port named {port:?}: it {there}"),
            );
        }
    }

    fn route(&mut self) {
        let Some(route) = self.canary.spec.route_ref.clone() else {
            return;
        };
        let kind = ("apisix.apache.org", "ApisixRoute");
        let Some(found) = self.find(kind, None, &route.name, "spec.routeRef.name") else {
            return;
        };
        let apex = self.canary.apex().to_owned();
        let rules = found.value()["spec"]["http"].as_array();
        let mut backends = rules
            .into_iter()
            .flatten()
            .filter_map(|rule| rule["backends"].as_array())
            .flatten();
        if !backends.any(|backend| backend["serviceName"] == apex.as_str()) {
            self.say(
                found,
                Severity::Warning,
                "spec.http",
                format!(
                    "no rule has Service {apex} as its backend, which is what Canary {} releases",
                    self.manifest.name()
                ),
            );
        }
    }

    fn autoscaler(&mut self) {
        let Some(scaler) = self.canary.spec.autoscaler_ref.clone() else {
            return;
        };
        let group = match scaler.kind.as_str() {
            "HorizontalPodAutoscaler" => "autoscaling",
            _ => "keda.sh",
        };
        self.find(
            (group, &scaler.kind),
            None,
            &scaler.name,
            "spec.autoscalerRef.name",
        );
    }

    /// An apex Service that is there keeps its ports; one that is not there is made.
    fn service(&mut self) {
        let (apex, port) = (self.canary.apex().to_owned(), self.canary.spec.service.port);
        let service = self.all.iter().find(|it| {
            it.is("", "Service")
                && it.name() == apex
                && together(it.namespace(), self.manifest.namespace())
        });
        let Some(service) = service else { return };
        if port > 0 && !has_port(service.value(), &Value::from(port)) {
            let ports = service.value()["spec"]["ports"].as_array();
            let ports: Vec<String> = ports.into_iter().flatten().map(shown).collect();
            self.warn(
                "spec.service.port",
                format!(
                    "Service {apex} has no port {port}: it has {}",
                    ports.join(", ")
                ),
            );
        }
    }

    fn metrics(&mut self) {
        let metrics = self.canary.analysis().metrics.clone();
        for (index, metric) in metrics.iter().enumerate() {
            let Some(template) = &metric.template_ref else {
                continue;
            };
            let path = format!("spec.analysis.metrics[{index}].templateRef.name");
            let kind = (FLAGGER, "MetricTemplate");
            let namespace = template.namespace.as_deref();
            if let Some(found) = self.find(kind, namespace, &template.name, &path) {
                self.query(found, metric, index);
            }
        }
    }

    /// The keys that the template's query uses. What else is wrong with it is said of the template.
    fn query(&mut self, template: &Manifest, metric: &Metric, index: usize) {
        let Ok(read) = typed::<MetricTemplate>(template) else {
            return;
        };
        if let Err(error) = check_variables(&read.spec.query, &metric.template_variables) {
            let message = format!("MetricTemplate {}: {error}", template.name());
            let path = format!("spec.analysis.metrics[{index}].templateVariables");
            self.say(self.manifest, Severity::Error, &path, message);
        }
    }

    /// What finds the target's pods, and will not find the primary's.
    fn beside(&mut self) {
        let target = self.all.iter().find(|it| {
            it.is("apps", "Deployment")
                && it.name() == self.canary.target_name()
                && together(it.namespace(), self.manifest.namespace())
        });
        let Some(target) = target else { return };
        let namespace = self.manifest.namespace().to_owned();
        let mut found = Vec::new();
        if let Some(sides) = Sides::of(&self.canary, target.value(), None) {
            for manifest in self.all {
                let looked_at = KINDS
                    .iter()
                    .any(|(group, _, kind)| manifest.is(group, kind))
                    || manifest.is("", "Service");
                if looked_at && together(manifest.namespace(), &namespace) {
                    let troubles = sides.trouble(manifest.value());
                    found.extend(troubles.into_iter().map(|trouble| (manifest, trouble)));
                }
            }
        }
        for (
            manifest,
            Trouble {
                path,
                message,
                hint,
            },
        ) in found
        {
            let message = format!("{message}: {hint}");
            self.say(manifest, Severity::Warning, path, message);
        }
    }

    fn alerts(&mut self) {
        let alerts = self.canary.analysis().alerts.clone();
        for (index, alert) in alerts.iter().enumerate() {
            let path = format!("spec.analysis.alerts[{index}].providerRef.name");
            let provider = &alert.provider_ref;
            let kind = (FLAGGER, "AlertProvider");
            self.find(kind, provider.namespace.as_deref(), &provider.name, &path);
        }
    }
}
