//! What the caches hold while a review is answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use canary_core::canary::Canary;
use canary_core::policy::{Policy, is_releasing};
use canary_webhook::admission::{
    AdmissionMetrics, Config, Flood, Request, Right, Rights, State, View,
};
use canary_webhook::caches::{Labels, Stated};
use canary_webhook::clock::Cpu;
use fastrand::Rng;
use futures::future::BoxFuture;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use crate::corpus::Corpus;
use crate::mutation;

pub const OWN_USER: &str = "system:serviceaccount:canary-system:canary-webhook";
const NOW: &str = "2026-12-24T12:00:00Z";

#[derive(Default)]
struct World {
    canaries: Vec<Arc<Canary>>,
    policies: Vec<Arc<Stated>>,
    strategy: Option<String>,
    served: bool,
    /// What the API server says of rights; none: it has policies that ask.
    rights: Option<Result<bool, String>>,
}

/// A router in a world, and its metrics.
pub struct Server {
    pub name: String,
    pub router: Router,
    registry: Registry,
}

impl View for World {
    fn canaries_for(&self, _: &str, target: &str) -> Vec<Arc<Canary>> {
        let mut found = self.canaries.clone();
        found.retain(|canary| canary.spec.target_ref.name == target);
        found
    }

    fn others_releasing(&self, _: &str, canary: Option<&str>) -> usize {
        let mut others = self.canaries.clone();
        others.retain(|it| it.metadata.name.as_deref() != canary && is_releasing(it));
        others.len()
    }

    fn target_strategy(&self, _: &str, _: &str) -> Option<String> {
        self.strategy.clone()
    }

    fn policies(&self, _: &str) -> Vec<Arc<Stated>> {
        self.policies.clone()
    }

    fn is_served(&self, _: &str, _: &Labels) -> bool {
        self.served
    }

    fn shared_selector(&self, _namespace: &str, canary: &Canary) -> Option<String> {
        let accepts = canary.accepts_shared_selector();
        (!accepts && canary.target_name() == "shared").then(|| "it is shared".to_owned())
    }

    fn other_services(&self, _namespace: &str, canary: &Canary) -> Option<String> {
        (canary.target_name() == "served").then(|| "another Service leads to it".to_owned())
    }

    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    fn synced(&self) -> bool {
        true
    }
}

impl Rights for World {
    fn asked(&self) -> bool {
        self.rights.is_some()
    }

    fn allowed<'a>(&'a self, _: &'a Request, _: Right) -> BoxFuture<'a, Result<bool, String>> {
        let answer = self.rights.clone().unwrap_or(Ok(false));
        Box::pin(std::future::ready(answer))
    }
}

impl World {
    fn of(canaries: impl IntoIterator<Item = Value>) -> Self {
        let read = |canary| Arc::new(serde_json::from_value(canary).unwrap());
        Self {
            canaries: canaries.into_iter().map(read).collect(),
            ..Self::default()
        }
    }

    fn under(mut self, policies: impl IntoIterator<Item = Value>) -> Self {
        self.policies = policies.into_iter().filter_map(stated).collect();
        self
    }

    fn serve(self, name: impl Into<String>) -> Server {
        let mut registry = Registry::default();
        let world = Arc::new(self);
        let state = State {
            view: world.clone(),
            rights: world,
            health: Arc::default(),
            config: Arc::new(Config {
                own_user: OWN_USER.to_owned(),
                own_namespace: "canary-system".to_owned(),
                default_provider: "apisix".to_owned(),
            }),
            metrics: AdmissionMetrics::register(&mut registry),
            flood: Arc::new(Flood::of_this_process()),
            elapsed: Arc::new(|| Duration::ZERO),
            cpu: Cpu {
                thread: Arc::new(|| Duration::ZERO),
                process: Arc::new(|| Duration::ZERO),
            },
        };
        Server {
            name: name.into(),
            router: canary_webhook::admission::router(state),
            registry,
        }
    }
}

// === impl Server ===

impl Server {
    pub fn has_panicked(&self) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        !text.contains("canary_admission_panics_total 0")
    }
}

fn stated(object: Value) -> Option<Arc<Stated>> {
    let object = serde_json::from_value(object).ok()?;
    let rules = Policy::read(&object);
    Some(Arc::new(Stated { rules, object }))
}

/// One that has everything against everything.
fn strict(enforcement: &str) -> Value {
    json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
        "metadata": {"name": enforcement.to_lowercase()},
        "spec": {
            "enforcement": enforcement,
            "images": {"allowedRegistries": ["example.com/"], "requireDigest": true,
                       "disallowedTags": ["latest", "6.0.1", "6.0.2"]},
            "canary": {"required": true, "maxStepWeight": 1, "maxWeight": 1, "minMetrics": 32,
                       "forbidSkipAnalysis": true},
            "release": {
                "freezeWindows": [
                    {"name": "now", "start": "2026-12-24T00:00:00Z", "end": "2027-01-03T08:00:00Z"},
                    {"name": "again", "schedule": "0 18 * * 5", "duration": "62h",
                     "timeZone": "Europe/Berlin"},
                ],
                "minInterval": "100000h", "maxConcurrentPerNamespace": 1, "onRunningRelease": "Deny",
            },
            "approvals": {"promote": {"required": true, "requireReason": true, "notByAuthor": true}},
        },
    })
}

/// The same Canary with its release at an end, so that an interval runs.
fn rested(canary: &Value) -> Value {
    let mut rested = canary.clone();
    rested["status"]["phase"] = json!("Succeeded");
    rested["status"]["release"]["outcome"] = json!("Promoted");
    rested["status"]["release"]["endedAt"] = json!("2026-12-24T11:00:00Z");
    rested
}

/// One of another target, whose release runs.
fn other(canary: &Value) -> Value {
    let mut other = canary.clone();
    other["metadata"]["name"] = json!("other");
    other["spec"]["targetRef"]["name"] = json!("other");
    other["status"]["phase"] = json!("Progressing");
    other
}

/// Worlds that have their names from what is special in them.
pub fn all(corpus: &Corpus) -> Vec<Server> {
    let mut releasing = corpus.object("Canary");
    releasing["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("deletionTimestamp");
    releasing["status"]["phase"] = json!("Progressing");
    let (at_rest, other) = (rested(&releasing), other(&releasing));
    let asked = |rights| World {
        rights: Some(rights),
        ..World::of([releasing.clone()])
    };
    let mut worlds = vec![
        World::default().serve("empty"),
        World::of([at_rest.clone()]).serve("at-rest"),
        World::of([releasing.clone()]).serve("releasing"),
        World::of([at_rest.clone(), other.clone()])
            .under([strict("Deny")])
            .serve("denied"),
        World::of([releasing.clone()])
            .under([strict("Deny")])
            .serve("denied-while-releasing"),
        World {
            served: true,
            strategy: Some("Recreate".to_owned()),
            ..World::of([other.clone()])
        }
        .under([strict("Deny")])
        .serve("denied-without-canary"),
        World::of([releasing.clone(), other.clone()])
            .under([strict("Warn")])
            .serve("warned"),
        World::of([at_rest.clone(), other.clone()])
            .under(["Deny", "Warn", "Audit"].map(strict))
            .serve("three-policies"),
        asked(Ok(true)).under([strict("Audit")]).serve("rightful"),
        asked(Ok(false)).under([strict("Audit")]).serve("rightless"),
        asked(Err("no answer".to_owned())).serve("rights-unknown"),
    ];
    worlds.extend((0..16).map(|number| odd(number, [&at_rest, &releasing], corpus)));
    worlds
}

/// One whose Canary and policy are not what anybody would write, and could be stored all the same.
fn odd(number: u64, canaries: [&Value; 2], corpus: &Corpus) -> Server {
    let mut rng = Rng::with_seed(number);
    let canary = canaries[rng.usize(..2)];
    let twisted = |rng: &mut Rng, object: &Value| {
        let mut object = object.clone();
        for _ in 0..=rng.usize(..6) {
            mutation::twist(rng, &mut object, corpus);
        }
        object
    };
    let mut world = World::default();
    while world.canaries.is_empty() {
        let canary = serde_json::from_value(twisted(&mut rng, canary)).ok();
        world.canaries.extend(canary.map(Arc::new));
    }
    while world.policies.is_empty() {
        let policy = ["Deny", "Warn", "Audit"][rng.usize(..3)];
        world
            .policies
            .extend(stated(twisted(&mut rng, &strict(policy))));
    }
    world.serve(format!("odd-{number}"))
}
