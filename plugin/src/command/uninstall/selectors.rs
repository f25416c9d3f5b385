//! What the Services of each Canary would select under Flagger, which keeps one label of the target's selector
//! alone: nothing, if the primary was made with another, or the pods of others.

use std::collections::BTreeMap;

use canary_core::names;
use canary_core::selector::ORDER;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

use super::canaries::Left;
use crate::client::Cluster;
use crate::exit::Error;

/// Kinds whose pods outlive a task.
const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// A workload of a namespace.
struct Workload {
    kind: &'static str,
    object: Value,
}

/// A sentence for each Canary that Flagger would not serve by its own pods alone.
pub async fn troubles(
    cluster: &Cluster,
    canaries: &[Left],
    server: Option<&Value>,
) -> Result<Vec<String>, Error> {
    let order = order(server);
    let mut by_namespace: BTreeMap<&str, Vec<&Left>> = BTreeMap::new();
    for canary in canaries {
        by_namespace
            .entry(canary.namespace())
            .or_default()
            .push(canary);
    }
    let mut troubles = Vec::new();
    for (namespace, canaries) in by_namespace {
        let mut workloads = Vec::new();
        for kind in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
            let found = cluster.look_at_all(Some(namespace), &resource).await?;
            let found = found.unwrap_or_default().into_iter();
            workloads.extend(found.map(|object| Workload { kind, object }));
        }
        for canary in canaries {
            let trouble = trouble(canary.target(), &workloads, &order);
            troubles.extend(trouble.map(|trouble| format!("canary {canary}: {trouble}")));
        }
    }
    Ok(troubles)
}

/// The labels that our server goes by, which are those that Flagger was told too: it has the same flag.
fn order(server: Option<&Value>) -> Vec<String> {
    const FLAG: &str = "--selector-labels=";
    let arguments = server.and_then(|server| {
        let container = server.pointer("/spec/template/spec/containers/0")?;
        container["args"].as_array()
    });
    let mut arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
    let told = arguments.find_map(|argument| argument.strip_prefix(FLAG));
    told.map_or_else(
        || ORDER.map(str::to_owned).to_vec(),
        |told| told.split(',').map(str::to_owned).collect(),
    )
}

fn trouble(target: &str, workloads: &[Workload], order: &[String]) -> Option<String> {
    let named = |name: &str| {
        let mut deployments = workloads.iter().filter(|it| it.kind == "Deployment");
        deployments.find(|it| it.name() == name)
    };
    let primary_name = names::primary_of(target);
    // What is not there Flagger does not find either.
    let of_target = named(target)?;
    let labels = &of_target.object["spec"]["selector"]["matchLabels"];
    let key = order.iter().find(|key| labels[key.as_str()].is_string());
    let Some(key) = key else {
        return Some(format!(
            "the selector of Deployment {target} has none of the labels {}: Flagger would not release it",
            order.join(", ")
        ));
    };
    let value = labels[key.as_str()].as_str().unwrap_or_default();
    let suffixed = names::primary_of(value);
    if let Some(primary) = named(&primary_name)
        && primary.label(key) != suffixed
    {
        return Some(format!(
            "its Services would select {key}={suffixed}, which no pod of Deployment {primary_name} has"
        ));
    }
    let foreign: Vec<String> = workloads
        .iter()
        .filter(|it| it.kind != "Deployment" || (it.name() != target && it.name() != primary_name))
        .filter(|it| [value, suffixed.as_str()].contains(&it.label(key)))
        .map(|it| format!("{} {}", it.kind, it.name()))
        .collect();
    (!foreign.is_empty()).then(|| {
        format!(
            "its Services would select {key}={value} and {key}={suffixed} alone, and so the pods of {} too",
            foreign.join(", ")
        )
    })
}

// === impl Workload ===

impl Workload {
    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// What its pods have.
    fn label(&self, key: &str) -> &str {
        let labels = self.object.pointer("/spec/template/metadata/labels");
        labels
            .and_then(|labels| labels[key].as_str())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &'static str, name: &str, labels: &Value) -> Workload {
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}},
            },
        });
        Workload { kind, object }
    }

    fn judged(workloads: &[Workload]) -> String {
        trouble("web", workloads, &order(None)).unwrap_or_default()
    }

    #[test]
    fn a_target_that_its_label_tells_is_left_to_flagger() {
        let mut all = vec![
            workload("Deployment", "web", &json!({"app": "web", "tier": "a"})),
            workload(
                "Deployment",
                "web-primary",
                &json!({"app": "web-primary", "tier": "a"}),
            ),
            workload("Deployment", "api", &json!({"app": "api", "tier": "a"})),
        ];
        assert_eq!(judged(&all), "");
        all.remove(0);
        assert_eq!(judged(&all), "", "there is no target");
    }

    #[test]
    fn a_primary_that_another_label_tells_would_have_no_pods_behind_its_services() {
        let all = [
            workload("Deployment", "web", &json!({"app": "storefront"})),
            workload("Deployment", "web-primary", &json!({"app": "web-primary"})),
        ];
        let text = judged(&all);
        assert!(
            text.contains("app=storefront-primary, which no pod of"),
            "{text}"
        );
    }

    #[test]
    fn the_pods_of_others_are_named() {
        let shop = |name: &str, component: &str| json!({"app.kubernetes.io/name": name, "component": component});
        let all = [
            workload("Deployment", "web", &shop("shop", "a")),
            workload("Deployment", "web-primary", &shop("shop-primary", "a")),
            workload("StatefulSet", "web", &shop("shop", "db")),
            workload("Deployment", "worker-primary", &shop("shop-primary", "b")),
        ];
        let text = judged(&all);
        assert!(
            text.ends_with("StatefulSet web, Deployment worker-primary too"),
            "{text}"
        );
    }

    #[test]
    fn a_target_without_a_label_that_flagger_looks_at_is_named() {
        let all = [workload("Deployment", "web", &json!({"tier": "a"}))];
        assert!(
            judged(&all).contains("none of the labels app, name"),
            "{}",
            judged(&all)
        );
        let server = json!({"spec": {"template": {"spec": {"containers": [
            {"args": ["--selector-labels=tier,app"]},
        ]}}}});
        assert_eq!(trouble("web", &all, &order(Some(&server))), None);
    }
}
