//! ApisixRoute: the user's rule for the apex Service, copied with two weighted backends and a
//! priority above the original, which stays as it is.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::Routes;
use serde_json::{Value, json};

use crate::api::Kind;
use crate::router::{Live, RouteError, Router, Weights};
use crate::target::{generated, untracked};

/// Above every priority that a user would give.
const PRIORITY: i64 = 10_000;
/// Of a backend that names none, as the ingress controller has it.
const DEFAULT_WEIGHT: i64 = 100;

pub struct Apisix;

// === impl Apisix ===

impl Router for Apisix {
    fn kind(&self) -> Kind {
        Kind::Route
    }

    fn names(&self, canary: &Canary) -> Result<(String, String), RouteError> {
        let source = canary.route().ok_or(RouteError::NoReference)?;
        let generated = canary.canary_route().ok_or(RouteError::NoReference)?;
        Ok((source.name.clone(), generated))
    }

    fn read(&self, canary: &Canary, live: Live<'_>) -> Option<Routes> {
        let weights = *self.weights(canary, live.generated?).first()?;
        let [primary, of_canary] = weights.map(|weight| weight.unwrap_or(DEFAULT_WEIGHT).max(0));
        let total = primary.checked_add(of_canary).filter(|total| *total > 0)?;
        // Rounded up: a canary that has anything has something.
        let share = (of_canary.checked_mul(100)?.checked_add(total - 1)?) / total;
        Some(Routes::to_canary(share))
    }

    fn weights(&self, canary: &Canary, generated: &Value) -> Vec<Weights> {
        let ours = [canary.primary_service(), canary.canary_service()];
        let weights = rules(generated).iter().filter_map(|rule| {
            let backends = backends(rule);
            let of = |service: &String| {
                backends
                    .iter()
                    .find(|backend| backend["serviceName"] == service.as_str())
            };
            let found = ours.each_ref().map(of);
            let weight = |backend: Option<&Value>| match backend {
                Some(backend) => backend["weight"].as_i64(),
                None => Some(0),
            };
            found.iter().any(Option::is_some).then(|| found.map(weight))
        });
        weights.collect()
    }

    fn write(&self, canary: &Canary, live: Live<'_>, to: Routes) -> Result<Value, RouteError> {
        let (source_name, generated_name) = self.names(canary)?;
        let route = format!("{source_name}.{}", canary.namespace_name());
        let source = live.source.ok_or_else(|| RouteError::Missing {
            route: route.clone(),
        })?;
        let rule = weighted(find_rule(canary, source, route)?, canary, to);
        let mut spec = json!({ "http": [rule] });
        if let Some(class) = source.pointer("/spec/ingressClassName") {
            spec["ingressClassName"] = class.clone();
        }
        let mut annotations = untracked(
            source
                .pointer("/metadata/annotations")
                .and_then(Value::as_object),
        );
        for (key, value) in [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION] {
            annotations.insert(key.to_owned(), json!(value));
        }
        let object = json!({
            "apiVersion": "apisix.apache.org/v2",
            "kind": "ApisixRoute",
            "metadata": {
                "name": generated_name,
                "namespace": canary.metadata.namespace,
                "labels": untracked(source.pointer("/metadata/labels").and_then(Value::as_object)),
                "annotations": annotations,
            },
            "spec": spec,
        });
        Ok(generated::own(object, canary))
    }

    fn source_ports(&self, canary: &Canary, live: Live<'_>) -> Vec<Value> {
        let rules = live.source.map(rules).unwrap_or_default().iter();
        let backends = rules.flat_map(backends);
        let apex = backends.filter(|backend| backend["serviceName"] == canary.apex());
        let mut ports: Vec<Value> = apex.map(|backend| backend["servicePort"].clone()).collect();
        ports.retain(|port| !port.is_null());
        ports
    }

    fn port(&self, canary: &Canary, generated: &Value) -> Option<Value> {
        let mut backends = rules(generated).iter().flat_map(backends);
        let primary = canary.primary_service();
        let found = backends.find(|backend| backend["serviceName"] == primary.as_str())?;
        found.get("servicePort").cloned()
    }

    fn set_port(&self, generated: &mut Value, port: &Value) {
        let rules = generated.pointer_mut("/spec/http");
        let rules = rules.and_then(Value::as_array_mut).into_iter().flatten();
        for rule in rules {
            let backends = rule["backends"].as_array_mut();
            for backend in backends.into_iter().flatten() {
                backend["servicePort"] = port.clone();
            }
        }
    }

    fn reweigh(&self, canary: &Canary, generated: &Value, to: Routes) -> Option<Value> {
        let mut route = generated.clone();
        route["apiVersion"] = json!("apisix.apache.org/v2");
        route["kind"] = json!("ApisixRoute");
        let (primary, canary) = (canary.primary_service(), canary.canary_service());
        let mut found = false;
        let rules = route.pointer_mut("/spec/http")?.as_array_mut()?;
        for backend in rules
            .iter_mut()
            .filter_map(|rule| rule["backends"].as_array_mut())
            .flatten()
        {
            if backend["serviceName"] == primary.as_str() {
                backend["weight"] = json!(to.primary);
                found = true;
            } else if backend["serviceName"] == canary.as_str() {
                backend["weight"] = json!(to.canary);
            }
        }
        found.then_some(route)
    }

    fn by_service_address(&self, live: Live<'_>) -> bool {
        let backends = live.generated.map(rules).unwrap_or_default().first();
        backends.is_some_and(|rule| {
            rule.pointer("/backends/0/resolveGranularity") == Some(&json!("service"))
        })
    }
}

fn rules(route: &Value) -> &[Value] {
    route
        .pointer("/spec/http")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn backends(rule: &Value) -> &[Value] {
    rule["backends"].as_array().map_or(&[], Vec::as_slice)
}

/// The first rule that sends traffic to the apex Service, which must be its only backend.
fn find_rule<'a>(
    canary: &Canary,
    source: &'a Value,
    route: String,
) -> Result<&'a Value, RouteError> {
    let rules = rules(source);
    if rules.is_empty() {
        return Err(RouteError::NoRules { route });
    }
    let apex = canary.apex();
    let found = rules.iter().find(|rule| {
        backends(rule)
            .iter()
            .any(|backend| backend["serviceName"] == apex)
    });
    let Some(rule) = found else {
        return Err(RouteError::NoBackend {
            apex: apex.to_owned(),
            route,
        });
    };
    // An upstream beside it takes its own part of the traffic, whatever the weights are.
    let upstreams = rule["upstreams"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    if backends(rule).len() != 1 || upstreams {
        let rule = rule["name"].as_str().unwrap_or_default().to_owned();
        return Err(RouteError::SeveralBackends { route, rule });
    }
    Ok(rule)
}

fn weighted(rule: &Value, canary: &Canary, to: Routes) -> Value {
    let backend = |service: String, weight: i64| {
        let mut backend = rule["backends"][0].clone();
        backend["serviceName"] = json!(service);
        backend["weight"] = json!(weight);
        backend
    };
    let mut rule = rule.clone();
    rule["priority"] = json!(PRIORITY);
    rule["backends"] = json!([
        backend(canary.primary_service(), to.primary),
        backend(canary.canary_service(), to.canary),
    ]);
    rule
}

#[cfg(test)]
mod tests;
