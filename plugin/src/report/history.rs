//! The releases of a Canary, and what differs between two of them.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::release::worst;
use canary_core::revision::{changed_images, images};
use canary_core::status::{ImageChange, MetricCheck, Outcome, Release, ReleaseRecord};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{API_VERSION, Meta, is_running};

/// Machine-readable, and versioned as all reports are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: Meta,
    /// The newest first; that in progress too.
    pub releases: Vec<Past>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    pub number: i64,
    pub revision: String,
    pub from: String,
    pub images: Vec<ImageChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    pub started_at: Timestamp,
    /// None while it is in progress, as with the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Highest weight that it reached.
    pub weight: i64,
    /// Of its last checks, the one that came off worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<MetricCheck>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What differs between two releases.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: Meta,
    pub from: Side,
    pub to: Side,
    pub images: Vec<ImageChange>,
    /// Places of the pod template; images are above.
    pub template: Vec<Difference>,
    /// What cannot be known, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    pub number: i64,
    pub revision: String,
}

/// One place in a pod template.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

// === impl History ===

impl History {
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        let current = status.release.as_ref();
        let mut releases: Vec<Past> = status.history.iter().map(Past::ended).collect();
        if let Some(release) = current
            && releases.iter().all(|past| past.number != release.number)
        {
            releases.insert(0, Past::current(release, is_running(status.phase)));
        }
        Self {
            api_version: API_VERSION,
            kind: "CanaryHistory",
            metadata: Meta {
                namespace: canary.namespace_name().to_owned(),
                name: canary.metadata.name.clone().unwrap_or_default(),
            },
            releases,
        }
    }

    pub fn release(&self, number: i64) -> Option<&Past> {
        self.releases.iter().find(|past| past.number == number)
    }
}

// === impl Past ===

impl Past {
    fn ended(record: &ReleaseRecord) -> Self {
        let record = record.clone();
        let took = record.ended_at.duration_since(record.started_at);
        Self {
            number: record.number,
            revision: record.revision,
            from: record.from,
            images: record.images,
            by: record.by,
            started_at: record.started_at,
            ended_at: Some(record.ended_at),
            duration_seconds: Some(took.as_secs()),
            outcome: Some(record.outcome),
            weight: record.weight,
            worst: record.worst,
            message: record.message,
        }
    }

    /// One that is not among the records: it runs, or was taken over from another controller.
    fn current(release: &Release, running: bool) -> Self {
        let ended = release.ended_at.filter(|_| !running);
        let took = ended.map(|end| end.duration_since(release.started_at).as_secs());
        Self {
            number: release.number,
            revision: release.revision.clone(),
            from: release.from.clone(),
            images: release.images.clone(),
            by: release.by.clone(),
            started_at: release.started_at,
            ended_at: ended,
            duration_seconds: took,
            outcome: release.outcome.filter(|_| !running),
            weight: release.peak_weight,
            worst: worst(&release.checks).cloned(),
            message: release.message.clone(),
        }
    }

    fn side(&self) -> Side {
        Side {
            number: self.number,
            revision: self.revision.clone(),
        }
    }
}

// === impl Diff ===

impl Diff {
    /// `templates` are those that are kept of the two, and why one is not.
    pub fn between(
        history: &History,
        (from, to): (&Past, &Past),
        templates: (&Result<Value, String>, &Result<Value, String>),
    ) -> Self {
        let (images, template) = match templates {
            (Ok(old), Ok(new)) => (
                changed_images(images(old), images(new)),
                differences(old, new),
            ),
            _ => (known_images(from, to), Vec::new()),
        };
        let sides = [(from, templates.0), (to, templates.1)];
        let unknown = sides.into_iter().filter_map(|(past, template)| {
            let why = template.as_ref().err()?;
            let number = past.number;
            Some(format!("the template of release {number} {why}"))
        });
        let mut unknown: Vec<String> = unknown.collect();
        if !unknown.is_empty() {
            unknown.push(
                "so only images are compared, as far as the history of the Canary names them"
                    .to_owned(),
            );
        }
        Self {
            api_version: API_VERSION,
            kind: "CanaryRevisionDiff",
            metadata: history.metadata.clone(),
            from: from.side(),
            to: to.side(),
            images,
            template,
            unknown,
        }
    }
}

/// What the records say of the images of both: each names only what it changed.
fn known_images(from: &Past, to: &Past) -> Vec<ImageChange> {
    let after = |past: &Past| -> BTreeMap<String, String> {
        let named = past.images.iter();
        named
            .filter_map(|change| Some((change.container.clone(), change.to.clone()?)))
            .collect()
    };
    let (old, new) = (after(from), after(to));
    let both: BTreeSet<&String> = old.keys().filter(|name| new.contains_key(*name)).collect();
    let keep = |all: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let kept = all.iter().filter(|(name, _)| both.contains(name));
        kept.map(|(name, image)| (name.clone(), image.clone()))
            .collect()
    };
    changed_images(keep(&old), keep(&new))
}

/// Where two templates differ, in the order of paths. Images have a place of their own.
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(old), Some(new), &mut found);
    found.retain(|difference| !is_image(&difference.path));
    found
}

/// `spec.containers[app].image`.
fn is_image(path: &str) -> bool {
    let of_container = ["spec.containers[", "spec.initContainers["]
        .iter()
        .any(|list| path.starts_with(list));
    of_container && path.ends_with("].image") && path.matches('[').count() == 1
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let dot = if path.is_empty() { "" } else { "." };
                let path = format!("{path}{dot}{key}");
                compare(&path, left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            let (left, right) = (by_key(left), by_key(right));
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let path = format!("{path}[{key}]");
                compare(
                    &path,
                    left.get(key).copied(),
                    right.get(key).copied(),
                    found,
                );
            }
        }
        _ => found.push(Difference {
            path: path.to_owned(),
            from: old.cloned(),
            to: new.cloned(),
        }),
    }
}

/// Entries by what names them, as the API server merges them, or else by their place.
fn by_key(list: &[Value]) -> BTreeMap<String, &Value> {
    const NAMES: [&str; 5] = ["name", "mountPath", "containerPort", "key", "topologyKey"];
    let named = |key: &str| -> Option<BTreeMap<String, &Value>> {
        let name = |entry: &Value| match &entry[key] {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let named: BTreeMap<String, &Value> = list
            .iter()
            .map(|entry| Some((name(entry)?, entry)))
            .collect::<Option<_>>()?;
        // Two of one name would hide each other.
        (named.len() == list.len()).then_some(named)
    };
    NAMES.into_iter().find_map(named).unwrap_or_else(|| {
        let places = list.iter().enumerate();
        places
            .map(|(at, entry)| (format!("{at:02}"), entry))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_named_as_a_person_would_and_images_stand_apart() {
        let template = |image: &str, level: &str| {
            json!({"spec": {
                "containers": [
                    {"name": "app", "image": image, "env": [{"name": "LOG", "value": level}], "args": ["--a", level]},
                    {"name": "proxy", "image": "p:1"},
                ],
                "terminationGracePeriodSeconds": 30,
            }})
        };
        let mut new = template("a:2", "debug");
        new["spec"]["containers"].as_array_mut().unwrap().pop();
        new["spec"]["hostNetwork"] = json!(true);
        let said: Vec<String> = differences(&template("a:1", "info"), &new)
            .into_iter()
            .map(|it| {
                let said = |value: Option<Value>| value.map_or("-".to_owned(), |it| it.to_string());
                format!("{} {} {}", it.path, said(it.from), said(it.to))
            })
            .collect();
        assert_eq!(
            said,
            [
                "spec.containers[app].args[01] \"info\" \"debug\"",
                "spec.containers[app].env[LOG].value \"info\" \"debug\"",
                "spec.containers[proxy] {\"image\":\"p:1\",\"name\":\"proxy\"} -",
                "spec.hostNetwork - true",
            ]
        );
    }

    #[test]
    fn entries_of_one_name_are_told_apart_by_their_place() {
        let list = |second: i64| json!([{"name": "x", "value": 1}, {"name": "x", "value": second}]);
        let found = differences(&json!({"env": list(2)}), &json!({"env": list(3)}));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "env[01].value");
    }
}
