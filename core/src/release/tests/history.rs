//! Random histories: a Canary of any kind, and everything that can happen to it.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::holds::governance;
use super::scripts::canary;
use super::sim::{Health, Sim};
use super::world::{FIRST, Replies, World};
use crate::hook::HookKind;
use crate::release::{Measured, Routes};
use crate::request::Verb;
use crate::status::{CanaryStatus, Phase};

#[derive(Clone, Debug)]
pub struct History {
    pub setting: Setting,
    /// What happens before anybody looks.
    pub prologue: Vec<Step>,
    pub steps: Vec<Step>,
}

/// What is given from the start.
#[derive(Clone, Debug)]
pub struct Setting {
    pub provider: &'static str,
    pub analysis: Value,
    pub skip: bool,
    pub deadline: i64,
    pub drain: u64,
    pub replicas: i32,
    pub adopted: bool,
    pub fresh: Health,
    /// A gate that nobody has opened yet.
    pub closed: HookKind,
    pub replies: Replies,
    /// Flagger ran it until now.
    pub flagger: Option<Phase>,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing happens until the last plan wants to be looked at again.
    Wake,
    Pass(i64),
    /// The driver decides although nothing happened.
    Spurious,
    /// The next decision is carried out only so far, and not stored.
    Crash(usize),
    Target(Health),
    Primary(Health),
    /// How pods are from now on once they are created.
    Fresh(Health),
    Revision(u8),
    SetBack,
    Config(u8),
    Hook(HookKind, bool),
    Metric(usize, Reading),
    Ask(Verb, Aim),
    Suspend(bool),
    /// Somebody scales the target, and its pods come as they come.
    Scale(i32, Health),
    /// Somebody edits the generated route.
    Route(i64),
    /// The API server fills in a new default.
    Default,
    /// Somebody deletes the primary.
    LosePrimary,
    /// Somebody deletes the target and creates it again.
    Recreate,
    /// What `CanaryPolicies` hold from now on: start, going on, promotion, approval; and whether they can be
    /// read at all.
    Policy([bool; 4], bool),
}

#[derive(Clone, Copy, Debug)]
pub enum Reading {
    Good,
    Bad,
    None,
    Error,
}

#[derive(Clone, Copy, Debug)]
pub enum Aim {
    Current,
    Stale,
    Illegible,
}

const REVISIONS: [&str; 4] = [
    FIRST,
    "v1-000000000002",
    "v1-000000000003",
    "v1-000000000004",
];

// --- strategies

pub fn history() -> impl Strategy<Value = History> {
    (setting(), vec(step(), 0..4), vec(step(), 4..48)).prop_map(|(setting, prologue, steps)| {
        History {
            setting,
            prologue,
            steps,
        }
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let base = (
        analysis(),
        prop::bool::weighted(0.06),
        15_i64..90,
        0_u64..3,
        0..4_i32,
    );
    let closed = prop::sample::select(vec![
        HookKind::ConfirmRollout,
        HookKind::ConfirmTrafficIncrease,
        HookKind::ConfirmPromotion,
        HookKind::ConfirmPromotion,
        HookKind::Event,
    ]);
    let flagger = prop::option::weighted(0.1, flagger_phase());
    let replies =
        prop::sample::select(vec![Replies::AtOnce, Replies::After(0), Replies::After(25)]);
    (base, any::<bool>(), good_health(), closed, replies, flagger).prop_map(
        |(
            ((provider, analysis), skip, deadline, drain, replicas),
            adopted,
            fresh,
            closed,
            replies,
            flagger,
        )| Setting {
            provider,
            analysis,
            skip,
            deadline,
            drain,
            replicas,
            adopted,
            fresh,
            closed,
            replies,
            flagger,
        },
    )
}

fn flagger_phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(vec![
        Phase::Initialized,
        Phase::Waiting,
        Phase::Progressing,
        Phase::WaitingPromotion,
        Phase::Promoting,
        Phase::Finalising,
        Phase::Succeeded,
        Phase::Failed,
    ])
}

fn analysis() -> impl Strategy<Value = (&'static str, Value)> {
    let kind = prop_oneof![
        4 => (5_i64..60, 10_i64..101, 0_i64..60)
            .prop_map(|(step, max, back)| ("apisix", json!({ "stepWeight": step, "maxWeight": max, "stepWeightPromotion": back }))),
        1 => vec(0_i64..120, 1..5).prop_map(|list| ("apisix", json!({ "stepWeights": list }))),
        1 => (1_i64..4).prop_map(|count| ("apisix", json!({ "iterations": count }))),
        1 => (1_i64..4).prop_map(|count| ("kubernetes", json!({ "iterations": count }))),
        1 => (1_i64..4).prop_map(|count| ("contour", json!({ "iterations": count, "match": [{}] }))),
    ];
    (kind, 1_i64..5, 10_i64..40, any::<u8>(), 0_usize..3).prop_map(
        |((provider, mut analysis), threshold, interval, hooks, metrics)| {
            analysis["threshold"] = json!(threshold);
            analysis["interval"] = json!(format!("{interval}s"));
            analysis["webhooks"] = some_hooks(hooks);
            let all = [
                json!({ "name": "request-success-rate", "thresholdRange": { "min": 99 } }),
                json!({ "name": "errors", "templateRef": { "name": "errors" }, "thresholdRange": { "min": 5 } }),
            ];
            analysis["metrics"] = all[..metrics].iter().cloned().collect();
            (provider, analysis)
        },
    )
}

/// One hook of each kind whose bit is set.
fn some_hooks(bits: u8) -> Value {
    let kinds = HookKind::ALL.into_iter().enumerate();
    kinds
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, kind)| json!({ "name": "hook", "url": "http://hook", "type": kind.as_str() }))
        .collect()
}

pub fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        8 => Just(Health::Ready),
        2 => Just(Health::Rolling),
        5 => (0_i32..3).prop_map(|ready| Health::Unavailable { ready }),
        1 => (0_i32..3).prop_map(|ready| Health::Enough { ready }),
        2 => Just(Health::Stuck),
        1 => Just(Health::Dead),
        1 => (0_i32..3).prop_map(|ready| Health::Unobserved { ready }),
    ]
}

/// Mostly ready, or no history gets anywhere.
fn good_health() -> impl Strategy<Value = Health> {
    prop_oneof![4 => Just(Health::Ready), 1 => health()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => Just(Step::Wake),
        4 => (1_i64..70).prop_map(Step::Pass),
        1 => Just(Step::Spurious),
        3 => (0_usize..4).prop_map(Step::Crash),
        8 => health().prop_map(Step::Target),
        4 => good_health().prop_map(Step::Primary),
        2 => good_health().prop_map(Step::Fresh),
        6 => (1_u8..4).prop_map(Step::Revision),
        6 => Just(Step::SetBack),
        1 => (0_u8..3).prop_map(Step::Config),
        6 => (0_usize..8, prop::bool::weighted(0.7)).prop_map(|(n, open)| Step::Hook(HookKind::ALL[n], open)),
        4 => (0_usize..2, reading()).prop_map(|(index, reading)| Step::Metric(index, reading)),
        12 => (0_usize..6, aim()).prop_map(|(n, aim)| Step::Ask(Verb::ALL[n], aim)),
        1 => prop::bool::weighted(0.3).prop_map(Step::Suspend),
        4 => (0_i32..4, health()).prop_map(|(replicas, health)| Step::Scale(replicas, health)),
        1 => (0_i64..101).prop_map(Step::Route),
        1 => Just(Step::Default),
        1 => Just(Step::LosePrimary),
        1 => Just(Step::Recreate),
        2 => (policy(), prop::bool::weighted(0.8)).prop_map(|(holds, read)| Step::Policy(holds, read)),
    ]
}

/// Mostly nothing, or no history gets anywhere.
fn policy() -> impl Strategy<Value = [bool; 4]> {
    prop_oneof![1 => Just([false; 4]), 1 => any::<[bool; 4]>()]
}

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        4 => Just(Reading::Good),
        1 => Just(Reading::Bad),
        2 => Just(Reading::None),
        1 => Just(Reading::Error),
    ]
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![8 => Just(Aim::Current), 2 => Just(Aim::Stale), 1 => Just(Aim::Illegible)]
}

// === impl Setting ===

impl Setting {
    pub fn world(&self) -> World {
        let mut canary = canary(&self.analysis);
        canary.spec.skip_analysis = Some(self.skip);
        canary.spec.progress_deadline_seconds = Some(self.deadline);
        let mut world = World::new(canary, self.provider);
        world.settings.drain = std::time::Duration::from_secs(self.drain);
        world.target.replicas = self.replicas;
        world.scale_up_to = self.replicas.max(1);
        world.adopted = self.adopted;
        world.fresh = self.fresh;
        world.replies = self.replies;
        world.hooks.insert(self.closed, Err("closed".to_owned()));
        if let Some(phase) = self.flagger {
            run_by_flagger(&mut world, phase);
        }
        world
    }
}

/// Flagger's status, in which only the phase can be relied upon.
fn run_by_flagger(world: &mut World, phase: Phase) {
    let analysed = matches!(
        phase,
        Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting
    );
    let weight = if analysed {
        world.canary.max_weight().clamp(0, 100)
    } else {
        0
    };
    world.canary.status = Some(CanaryStatus {
        phase,
        last_applied_spec: Some("5d5b8d7c6b".to_owned()),
        last_promoted_spec: Some("79f8c7b5d4".to_owned()),
        ..CanaryStatus::default()
    });
    world.inherited = true;
    world.pointed = true;
    world.routes = world
        .settings
        .capability
        .weighted
        .then(|| Routes::to_canary(weight));
    let mut primary = Sim::new("podinfo-primary", FIRST, 1);
    primary.surges = true;
    world.primary = Some(primary);
    let at_rest = matches!(phase, Phase::Initialized | Phase::Succeeded);
    world.target.revision = if at_rest { FIRST } else { REVISIONS[1] }.to_owned();
    world.target.replicas = i32::from(weight > 0);
}

// === impl World ===

impl World {
    /// What a step does to the world, short of deciding anything.
    pub fn suffer(&mut self, step: &Step, number: usize) {
        match step {
            Step::Wake | Step::Pass(_) | Step::Crash(_) => {}
            Step::Spurious => self.stirred = true,
            Step::Target(health) => self.set_target_health(*health),
            Step::Primary(health) => self.set_primary_health(*health),
            Step::Fresh(health) => self.fresh = *health,
            Step::Revision(n) => self.set_revision(REVISIONS[usize::from(*n)]),
            Step::SetBack => {
                let promoted = self.status().last_promoted_spec.unwrap_or_default();
                if promoted.starts_with("v1-") {
                    self.set_revision(&promoted);
                }
            }
            Step::Config(n) => {
                self.configs
                    .insert("configmap/podinfo".to_owned(), n.to_string());
                self.stirred = true;
            }
            Step::Hook(kind, open) => {
                let answer = if *open {
                    Ok(())
                } else {
                    Err("closed".to_owned())
                };
                self.hooks.insert(*kind, answer);
            }
            Step::Metric(index, reading) => drop(self.metrics.insert(*index, reading.measured())),
            Step::Policy(holds, read) => {
                self.policy = governance(*holds);
                self.policy.unreadable = (!read).then(|| "no policy can be read".to_owned());
                self.stirred = true;
            }
            Step::Ask(verb, aim) => self.be_asked(*verb, *aim, number),
            other => self.be_meddled_with(other),
        }
    }

    fn be_asked(&mut self, verb: Verb, aim: Aim, number: usize) {
        let id = format!("r{number}");
        match aim {
            Aim::Current => self.ask(verb, &id),
            Aim::Stale => self.ask_for(verb, "v1-0000000000ff", &id),
            Aim::Illegible => self.ask_for(verb, "two words", &id),
        }
    }

    fn be_meddled_with(&mut self, step: &Step) {
        self.stirred = true;
        match step {
            Step::Suspend(suspended) => self.canary.spec.suspend = Some(*suspended),
            Step::Scale(replicas, health) => drop(self.target.scale(*replicas, "flux", *health)),
            Step::Route(weight) => {
                self.routes = self.routes.map(|_| Routes::to_canary(*weight));
            }
            Step::Default => self.fill_in_default(),
            Step::LosePrimary => self.primary = None,
            Step::Recreate => {
                self.target.uid.push('+');
                self.target.generation = 1;
            }
            _ => unreachable!("{step:?} is no meddling"),
        }
    }

    /// The hash of the target's template changes, and nothing else.
    fn fill_in_default(&mut self) {
        let (head, digit) = self.target.revision.split_at(4);
        let filled = if head == "v1-0" { "v1-d" } else { "v1-0" };
        self.target.revision = format!("{filled}{digit}");
    }
}

// === impl Reading ===

impl Reading {
    fn measured(self) -> Measured {
        match self {
            Self::Good => Measured::Value(99.5),
            Self::Bad => Measured::Value(1.0),
            Self::None => Measured::NoValues("no values found".to_owned()),
            Self::Error => Measured::Failed("503".to_owned()),
        }
    }
}
