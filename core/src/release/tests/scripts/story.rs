//! What scripts are written with.

use serde_json::{Value, json};

use crate::canary::Canary;
use crate::hook::HookKind;
use crate::release::Measured;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};

pub const SECOND: &str = "v1-000000000002";
pub const THIRD: &str = "v1-000000000003";

/// A Canary `podinfo.test` with this analysis.
pub fn canary(analysis: &Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "uid-1", "generation": 1 },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "progressDeadlineSeconds": 60,
            "service": { "port": 80 },
            "analysis": analysis,
        },
    }))
    .unwrap()
}

/// Two steps of 20 up to 40, three failed checks at most.
pub fn two_steps() -> Value {
    json!({ "interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 40 })
}

pub fn with_hooks(mut analysis: Value, hooks: &[(HookKind, &str)]) -> Value {
    analysis["webhooks"] = hooks
        .iter()
        .map(|(kind, name)| json!({ "type": kind.as_str(), "name": name, "url": format!("http://{name}") }))
        .collect();
    analysis
}

pub fn with_metric(mut analysis: Value) -> Value {
    analysis["metrics"] =
        json!([{ "name": "request-success-rate", "thresholdRange": { "min": 99 } }]);
    analysis
}

// === impl World ===

impl World {
    /// Initialized behind APISIX, with nothing told yet.
    pub fn at_rest(analysis: &Value) -> Self {
        Self::at_rest_behind("apisix", canary(analysis))
    }

    pub fn at_rest_behind(provider: &str, canary: Canary) -> Self {
        let mut world = Self::new(canary, provider);
        world.run(30);
        world.log.clear();
        world
    }

    /// At the start of the step with this weight, with nothing told yet.
    pub fn at_weight(analysis: &Value, weight: i64) -> Self {
        let mut world = Self::at_rest(analysis);
        world.set_revision(SECOND);
        world.settle();
        world.advance_to(weight);
        world
    }

    pub fn advance_to(&mut self, weight: i64) {
        for _ in 0..100 {
            if self.weight() == weight {
                return self.log.clear();
            }
            self.now = self.wake.unwrap();
            self.settle();
        }
        panic!("never at weight {weight}");
    }

    /// What was said and [done] since the last time, each line with its second. Seconds count from
    /// the first line.
    pub fn told(&mut self) -> String {
        let lines = std::mem::take(&mut self.log);
        let first = lines.first().map_or(0, |(at, _)| *at);
        let told: Vec<String> = lines
            .iter()
            .map(|(at, line)| format!("{:>3} {line}", at - first))
            .collect();
        told.join("\n")
    }

    /// Only what was said.
    pub fn said(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.log);
        lines
            .into_iter()
            .map(|(_, line)| line)
            .filter(|line| !line.starts_with('['))
            .collect()
    }

    pub fn hooks_answer(&mut self, kind: HookKind, answer: Result<(), &str>) {
        self.hooks.insert(kind, answer.map_err(str::to_owned));
    }

    pub fn measure(&mut self, value: f64) {
        self.metrics.insert(0, Measured::Value(value));
    }

    /// A person changes the image, and its pods take their time.
    pub fn release_slowly(&mut self, revision: &str) {
        self.fresh = Health::Rolling;
        self.set_revision(revision);
        self.settle();
    }

    pub fn primary_revision(&self) -> &str {
        self.primary
            .as_ref()
            .map_or("", |primary| primary.revision.as_str())
    }
}

/// Compares line by line, without the indentation of the source.
#[track_caller]
pub fn expect(world: &mut World, story: &str) {
    let told = world.told();
    let wanted: Vec<&str> = story
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let told: Vec<&str> = told.lines().map(str::trim).collect();
    assert_eq!(told, wanted);
}

#[test]
fn a_world_at_rest_is_left_alone() {
    let mut world = World::at_rest(&two_steps());
    assert_eq!(world.target.replicas, 0);
    assert_eq!(world.primary_revision(), FIRST);
    let writes = world.status_writes;
    world.stirred = true;
    world.run(3600);
    assert_eq!((world.status_writes, world.told().as_str()), (writes, ""));
}
