//! The API server's own judgement, by a dry run.

use serde_json::{Value, json};

use super::judge::{Judged, Said, Verdict};
use crate::client::{Cluster, Review};
use crate::exit::Error;

/// Applies Deployments and Canaries without storing them.
pub async fn judge(cluster: &Cluster, objects: Vec<Value>) -> Result<Vec<Judged>, Error> {
    let mut judged = Vec::new();
    for mut object in objects {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let kind = match (version.split('/').next(), object["kind"].as_str()) {
            (Some("apps"), Some("Deployment")) => "Deployment",
            (Some("flagger.app"), Some("Canary")) => "Canary",
            _ => continue,
        };
        if object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!(cluster.namespace);
        }
        let text = |key: &str| {
            object["metadata"][key]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let (namespace, name) = (text("namespace"), text("name"));
        let review = cluster.dry_run(&object, &namespace, &name).await?;
        judged.push(of(kind, namespace, name, review));
    }
    Ok(judged)
}

fn of(kind: &'static str, namespace: String, name: String, review: Review) -> Judged {
    let verdict = match (&review.denied, review.warnings.is_empty()) {
        (Some(_), _) => Verdict::Denied,
        (None, false) => Verdict::Warned,
        (None, true) => Verdict::Allowed,
    };
    let said = review.denied.into_iter().chain(review.warnings);
    Judged {
        kind,
        namespace,
        name,
        verdict,
        objections: said.map(Said::words).collect(),
    }
}
