//! A first Canary for a Deployment, with the reasons beside the fields. Pure.
//!
//! ```text
//!  Deployment, Services, routes (of files or of the cluster) ─► draft ─► YAML that passes lint
//! ```

use std::fmt::Write as _;

use canary_core::canary::Canary;
use serde_json::Value;

use crate::args::init::Provider;
use crate::beside::{Sides, Trouble};
use crate::exit::Error;
use crate::service::{first_port, selects};

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub deployment: Value,
    pub services: Vec<Value>,
    pub routes: Vec<Value>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub namespace: String,
    pub provider: Provider,
    pub port: Option<u16>,
    pub target_port: Option<u16>,
    pub route: Option<String>,
    pub metrics_server: Option<String>,
    pub metric_template: bool,
}

/// What is chosen.
struct Choice<'a> {
    wish: &'a Wish,
    name: &'a str,
    apex: String,
    port: i64,
    target_port: String,
    route: Option<String>,
}

/// The YAML.
pub fn yaml(around: &Around, wish: &Wish) -> Result<String, Error> {
    let choice = choose(around, wish)?;
    let mut text = String::new();
    if wish.metric_template {
        text += &choice.metric_template();
        text += "---\n";
    }
    text += &choice.head();
    text += &choice.analysis();
    Ok(text)
}

/// What becomes of it once it is applied, line by line.
pub fn consequences(canary: &Canary, around: &Around) -> Vec<String> {
    let target = canary.target_name();
    let mut lines = vec![
        format!("once applied, these are made beside Deployment {target}:"),
        format!(
            "  Deployment {}, which serves from then on",
            canary.primary_name()
        ),
        format!(
            "  Services {} and {}",
            canary.primary_service(),
            canary.canary_service()
        ),
    ];
    let apex = canary.apex();
    if named(&around.services, apex).is_some() {
        lines.push(format!(
            "  Service {apex} is there, and selects the primary's pods from then on"
        ));
    } else {
        lines.push(format!("  Service {apex}, which you send requests to"));
    }
    if let Some(route) = canary.canary_route() {
        lines.push(format!(
            "  ApisixRoute {route}, which carries the weights; yours is not written"
        ));
    }
    lines.push(format!(
        "Deployment {target} is scaled to 0 and becomes the place where you change the image"
    ));
    if !around.deployment["spec"]["replicas"].is_null() {
        lines.push("leave spec.replicas out of its manifest: at rest it is 0".to_owned());
    }
    lines.extend(left_behind(canary, around));
    lines
}

/// Services that would lead to nobody once the target is at rest.
fn left_behind(canary: &Canary, around: &Around) -> Vec<String> {
    let Some(sides) = Sides::of(canary, &around.deployment, None) else {
        return Vec::new();
    };
    let troubles = around.services.iter().flat_map(|service| {
        // Of a listed object the kind is not repeated.
        let mut service = service.clone();
        service["kind"] = Value::from("Service");
        sides.trouble(&service)
    });
    let line = |it: Trouble| format!("{}: the Canary waits until you {}", it.message, it.hint);
    troubles.map(line).collect()
}

fn choose<'a>(around: &'a Around, wish: &'a Wish) -> Result<Choice<'a>, Error> {
    let name = around.deployment["metadata"]["name"]
        .as_str()
        .unwrap_or_default();
    let service = service(around, name);
    let apex = service
        .and_then(|it| it["metadata"]["name"].as_str())
        .unwrap_or(name);
    let there = service.and_then(first_port);
    let port = wish.port.map(i64::from).or(there).unwrap_or(80);
    Ok(Choice {
        wish,
        name,
        apex: apex.to_owned(),
        port,
        target_port: target_port(around, wish)?,
        route: route(around, wish, apex)?,
    })
}

/// The Service of the Deployment's name, or the only one that selects its pods.
fn service<'a>(around: &'a Around, name: &str) -> Option<&'a Value> {
    let labels = &around.deployment["spec"]["template"]["metadata"]["labels"];
    named(&around.services, name).or_else(|| {
        let selecting = around.services.iter();
        let mut selecting = selecting.filter(|service| selects(service, labels));
        selecting.next().filter(|_| selecting.next().is_none())
    })
}

fn named<'a>(all: &'a [Value], name: &str) -> Option<&'a Value> {
    all.iter().find(|it| it["metadata"]["name"] == name)
}

fn target_port(around: &Around, wish: &Wish) -> Result<String, Error> {
    if let Some(port) = wish.target_port {
        return Ok(port.to_string());
    }
    let containers = around.deployment.pointer("/spec/template/spec/containers");
    let mut ports = containers
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|container| container["ports"].as_array())
        .flatten();
    let first = ports.next().and_then(|port| {
        let name = port["name"].as_str().map(scalar);
        name.or_else(|| Some(port["containerPort"].as_i64()?.to_string()))
    });
    first.ok_or_else(|| Error::NothingToDo {
        message: "the Deployment names no port of its containers".to_owned(),
        hint: Some("say which one serves: --target-port PORT".to_owned()),
    })
}

fn route(around: &Around, wish: &Wish, apex: &str) -> Result<Option<String>, Error> {
    if wish.provider == Provider::Kubernetes {
        return Ok(None);
    }
    if let Some(route) = &wish.route {
        return Ok(Some(route.clone()));
    }
    let leads = |route: &&Value| {
        let rules = route["spec"]["http"].as_array().into_iter().flatten();
        let mut backends = rules
            .filter_map(|rule| rule["backends"].as_array())
            .flatten();
        backends.any(|backend| backend["serviceName"] == apex)
    };
    let found: Vec<&str> = around
        .routes
        .iter()
        .filter(leads)
        .filter_map(|route| route["metadata"]["name"].as_str())
        .collect();
    match found.as_slice() {
        [one] => Ok(Some((*one).to_owned())),
        [] => Err(Error::NothingToDo {
            message: format!("no ApisixRoute leads to Service {apex}"),
            hint: Some(
                "name it: --route NAME; without a gateway: --provider kubernetes".to_owned(),
            ),
        }),
        several => Err(Error::NothingToDo {
            message: format!(
                "several ApisixRoutes lead to Service {apex}: {}",
                several.join(", ")
            ),
            hint: Some("name one: --route NAME".to_owned()),
        }),
    }
}

/// A text that YAML reads as one.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "null", "y"];
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-./:".contains(c))
        && !text.ends_with(':')
        && !WORDS.contains(&text)
        && text != "n";
    if plain {
        text.to_owned()
    } else {
        Value::String(text.to_owned()).to_string()
    }
}

// === impl Choice ===

impl Choice<'_> {
    fn head(&self) -> String {
        let (name, namespace) = (scalar(self.name), scalar(&self.wish.namespace));
        let mut text = format!(
            "\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: {name}
  namespace: {namespace}
spec:
"
        );
        text += match self.wish.provider {
            Provider::Apisix => {
                "  # Requests are split by weight, in a route that is generated from yours.\n  provider: apisix\n"
            }
            Provider::Kubernetes => {
                "  # All requests are switched at once, after checks of the new version.\n  provider: kubernetes\n"
            }
        };
        let _ = write!(
            text,
            "  # Change the image here, as ever: that starts a release.
  targetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {name}
"
        );
        text += &self.references();
        text
    }

    /// Route, metrics server and Service.
    fn references(&self) -> String {
        let mut text = String::new();
        if let Some(route) = &self.route {
            let route = scalar(route);
            let _ = write!(
                text,
                "  # It leads to the Service below, and is only read.
  routeRef:
    apiVersion: apisix.apache.org/v2
    kind: ApisixRoute
    name: {route}
"
            );
        }
        if let Some(url) = &self.wish.metrics_server {
            let _ = write!(
                text,
                "  # Prometheus that the built-in checks are asked of.\n  metricsServer: {}\n",
                scalar(url)
            );
        }
        text += "  # A rollout that makes no progress for so long has failed.\n  progressDeadlineSeconds: 600\n";
        text += "  service:\n";
        if self.apex != self.name {
            let _ = writeln!(text, "    name: {}", scalar(&self.apex));
        }
        let _ = write!(
            text,
            "    port: {}\n    # Port of the pods.\n    targetPort: {}\n",
            self.port, self.target_port
        );
        text
    }

    fn analysis(&self) -> String {
        let mut text = "  analysis:
    # Time between two checks.
    interval: 1m
    # Failed checks that roll the release back.
    threshold: 5
"
        .to_owned();
        text += match self.wish.provider {
            Provider::Apisix => {
                "    # Percent of the requests that each step adds, and at which the new version is promoted.
    stepWeight: 10
    maxWeight: 50
"
            }
            Provider::Kubernetes => {
                "    # Checks that have to pass before the switch.\n    iterations: 10\n"
            }
        };
        text += &self.metrics();
        text
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        if self.wish.provider == Provider::Apisix {
            text += "    metrics:
      # Percent of the canary's requests that do not end with 5xx.
      - name: request-success-rate
        thresholdRange:
          min: 99
        interval: 1m
      # Milliseconds in which 99 % of the canary's requests are answered.
      - name: request-duration
        thresholdRange:
          max: 500
        interval: 1m
";
        } else if self.wish.metric_template {
            text += "    metrics:\n";
        } else {
            text += "    # Without metrics only readiness is checked: add a MetricTemplate, or a webhook that tests it.\n";
        }
        if self.wish.metric_template {
            let _ = write!(
                text,
                "      # Your own query, in the MetricTemplate above.
      - name: {name}-errors
        templateRef:
          name: {name}-errors
        thresholdRange:
          max: 1
        interval: 1m
",
                name = self.name
            );
        }
        text
    }

    fn metric_template(&self) -> String {
        let query = match self.wish.provider {
            Provider::Apisix => {
                "    100 * sum(rate(apisix_http_status{route=~\"{{ namespace }}_{{ route }}-{{ service }}-canary_.+\", code=~\"5..\"}[{{ interval }}]))
    / sum(rate(apisix_http_status{route=~\"{{ namespace }}_{{ route }}-{{ service }}-canary_.+\"}[{{ interval }}]))
"
            }
            Provider::Kubernetes => {
                "    100 * sum(rate(http_requests_total{namespace=\"{{ namespace }}\", pod=~\"{{ target }}-[0-9a-z]+-[0-9a-z]+\", status=~\"5..\"}[{{ interval }}]))
    / sum(rate(http_requests_total{namespace=\"{{ namespace }}\", pod=~\"{{ target }}-[0-9a-z]+-[0-9a-z]+\"}[{{ interval }}]))
"
            }
        };
        format!(
            "\
# An example of a check of your own: percent of requests that end with 5xx. It can name namespace, target,
# service, route, interval, and variables.<key> with a key of the metric's templateVariables.
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata:
  name: {name}-errors
  namespace: {namespace}
spec:
  provider:
    type: prometheus
    address: {address}
  query: |
{query}",
            name = self.name,
            namespace = scalar(&self.wish.namespace),
            address = scalar(self.wish.metrics_server.as_deref().unwrap_or_default()),
        )
    }
}

#[cfg(test)]
mod tests;
