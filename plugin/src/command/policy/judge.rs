//! What policies have against objects in files. Pure.

use std::collections::BTreeMap;
use std::fmt;

use canary_core::canary::Canary;
use canary_core::policy::{self, CanaryPolicy, Enforcement, Moment, Objection, Policy, review};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::exit::Error;
use crate::service::selects;

/// The objects of some files, by what they are to us.
#[derive(Default)]
pub struct Bundle {
    pub policies: Vec<CanaryPolicy>,
    pub deployments: Vec<Value>,
    pub canaries: Vec<Canary>,
    services: Vec<Value>,
    /// Labels of the namespaces that are known.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub verdict: Verdict,
    pub objections: Vec<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    Allowed,
    Audited,
    Warned,
    Denied,
}

/// One objection, or what the API server said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

// === impl Bundle ===

impl Bundle {
    /// Sorts objects; those without a namespace are in `namespace`. What is none of ours is left
    /// out.
    pub fn new(objects: Vec<Value>, namespace: &str) -> Result<Self, Error> {
        let mut bundle = Self::default();
        for mut object in objects {
            let version = object["apiVersion"].as_str().unwrap_or_default();
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let key = (group.to_owned(), kind);
            let cluster_wide = matches!(key.1.as_str(), "CanaryPolicy" | "Namespace");
            if !cluster_wide && object["metadata"]["namespace"].is_null() {
                object["metadata"]["namespace"] = json!(namespace);
            }
            match (key.0.as_str(), key.1.as_str()) {
                ("policy.kubectl-canary.dev", "CanaryPolicy") => {
                    bundle.policies.push(typed(object)?);
                }
                ("flagger.app", "Canary") => bundle.canaries.push(typed(object)?),
                ("apps", "Deployment") => bundle.deployments.push(object),
                ("", "Service") => bundle.services.push(object),
                ("", "Namespace") => {
                    let labels = object["metadata"]["labels"].take();
                    let labels = serde_json::from_value(labels).unwrap_or_default();
                    bundle.namespaces.insert(name(&object), labels);
                }
                _ => {}
            }
        }
        Ok(bundle)
    }

    /// The namespaces that its objects are in.
    pub fn places(&self) -> Vec<String> {
        let deployments = self.deployments.iter().map(namespace);
        let canaries = self.canaries.iter().filter_map(ResourceExt::namespace);
        let mut places: Vec<_> = deployments.chain(canaries).collect();
        places.sort();
        places.dedup();
        places
    }

    /// What cannot be meant in its policies.
    pub fn check_policies(&self, now: Timestamp) -> Result<(), Error> {
        for policy in &self.policies {
            if let Some(why) = policy::not_ready(policy, now) {
                let name = policy.name_any();
                return Err(Error::Usage(format!("CanaryPolicy {name}: {why}")));
            }
        }
        Ok(())
    }

    /// Judges every object as if it were created. A policy for a namespace whose labels nobody
    /// knows is taken to apply.
    pub fn judge(&self, policies: &[Policy], now: Timestamp) -> Vec<Judged> {
        let deployments = self.deployments.iter().map(|object| {
            let place = namespace(object);
            let found = self.applying(policies, &place);
            let found = found.flat_map(|policy| self.deployment(policy, object, &place, now));
            Judged::new("Deployment", place.clone(), name(object), found.collect())
        });
        let canaries = self.canaries.iter().map(|canary| {
            let place = canary.namespace().unwrap_or_default();
            let found = self.applying(policies, &place);
            let found = found.flat_map(|policy| review::canary(policy, None, canary));
            Judged::new("Canary", place.clone(), canary.name_any(), found.collect())
        });
        deployments.chain(canaries).collect()
    }

    fn applying<'a>(
        &self,
        policies: &'a [Policy],
        namespace: &str,
    ) -> impl Iterator<Item = &'a Policy> + use<'a> {
        let labels = self.namespaces.get(namespace).cloned();
        let applies =
            move |policy: &&Policy| labels.as_ref().is_none_or(|labels| policy.applies(labels));
        policies.iter().filter(applies)
    }

    fn deployment(
        &self,
        policy: &Policy,
        object: &Value,
        place: &str,
        now: Timestamp,
    ) -> Vec<Objection> {
        let name = name(object);
        let template = &object["spec"]["template"];
        let canary = self.canaries.iter().find(|canary| {
            canary.namespace().as_deref() == Some(place)
                && canary.spec.target_ref.kind == "Deployment"
                && canary.spec.target_ref.name == name
        });
        let change = review::Change {
            name: &name,
            before: None,
            after: template,
            served: self.services.iter().any(|service| {
                namespace(service) == place && selects(service, &template["metadata"]["labels"])
            }),
            moment: Moment {
                canary,
                others_releasing: 0,
                now,
            },
        };
        review::deployment(policy, &change)
    }
}

// === impl Judged ===

impl Judged {
    fn new(
        kind: &'static str,
        namespace: String,
        name: String,
        objections: Vec<Objection>,
    ) -> Self {
        let worst = objections
            .iter()
            .map(|objection| match objection.enforcement {
                Enforcement::Deny => Verdict::Denied,
                Enforcement::Warn => Verdict::Warned,
                Enforcement::Audit => Verdict::Audited,
            });
        Self {
            kind,
            namespace,
            name,
            verdict: worst.max().unwrap_or(Verdict::Allowed),
            objections: objections.into_iter().map(Said::from).collect(),
        }
    }

    /// One line for each objection, or one that says there is none.
    pub fn lines(&self) -> Vec<String> {
        let object = format!("{} {}/{}", self.kind, self.namespace, self.name);
        if self.objections.is_empty() {
            return vec![format!("{:<8} {object}", self.verdict.to_string())];
        }
        let line = |said: &Said| {
            let verdict = match said.enforcement {
                Some(Enforcement::Deny) => Verdict::Denied,
                Some(Enforcement::Warn) => Verdict::Warned,
                Some(Enforcement::Audit) => Verdict::Audited,
                None => self.verdict,
            };
            format!("{:<8} {object}: {said}", verdict.to_string())
        };
        self.objections.iter().map(line).collect()
    }
}

impl Said {
    /// What somebody else said in one sentence.
    pub fn words(message: String) -> Self {
        Self {
            policy: None,
            enforcement: None,
            field: None,
            message,
            until: None,
        }
    }
}

impl From<Objection> for Said {
    fn from(objection: Objection) -> Self {
        Self {
            policy: Some(objection.policy),
            enforcement: Some(objection.enforcement),
            field: Some(objection.field),
            message: objection.message,
            until: objection.until,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(policy), Some(field)) = (&self.policy, &self.field) {
            write!(f, "CanaryPolicy {policy}: {field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Allowed => "allowed",
            Self::Audited => "audited",
            Self::Warned => "warned",
            Self::Denied => "denied",
        })
    }
}

fn typed<T: DeserializeOwned>(object: Value) -> Result<T, Error> {
    let what = format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        name(&object)
    );
    serde_json::from_value(object)
        .map_err(|error| Error::Usage(format!("{what} cannot be read: {error}")))
}

fn name(object: &Value) -> String {
    object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn namespace(object: &Value) -> String {
    object["metadata"]["namespace"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
