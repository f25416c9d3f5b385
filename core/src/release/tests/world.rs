//! A cluster small enough to be simulated: it does what plans say, and may crash anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::sim::{Health, Sim};
use crate::canary::Canary;
use crate::capability::{Capability, capability};
use crate::hook::HookKind;
use crate::release::{
    Action, Answers, Awaited, Facts, Governance, Leaving, Measured, Plan, Problem, Question,
    Routes, Serving, Settings, Wish, Workload, decide, terminate, undone,
};
use crate::request::Verb;
use crate::revision::is_ours;
use crate::status::{CanaryStatus, Phase};

pub const START: &str = "2026-01-01T00:00:00Z";
/// The revision that serves when the world begins.
pub const FIRST: &str = "v1-000000000001";

/// When webhooks and metric servers answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    AtOnce,
    /// So many seconds after they were asked, and not before the next look.
    After(i64),
    Never,
}

/// What was asked and is not used yet, as the server keeps it.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// What it is about: another step asks anew.
    about: String,
    since: BTreeMap<Question, Timestamp>,
    /// Their answers have called for a look.
    told: BTreeSet<Question>,
}

fn awaited(asked: Timestamp) -> Awaited {
    Awaited {
        asked,
        called: Some(asked),
    }
}

#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    /// With the status as the API server has it.
    pub canary: Canary,
    pub settings: Settings,
    /// What is missing around the Canary.
    pub problems: Vec<Problem>,
    pub target_gone: bool,
    pub target: Sim,
    pub primary: Option<Sim>,
    pub routes: Option<Routes>,
    pub pointed: bool,
    /// Somebody keeps changing the apex Service.
    pub contested: bool,
    /// A Service of the user's served through the target before.
    pub adopted: bool,
    pub configs: BTreeMap<String, String>,
    /// Configuration that the primary has copies of.
    pub copied: BTreeMap<String, String>,
    pub scale_up_to: i32,
    /// The 1 of the target was filled in.
    pub default_sized: bool,
    pub first_address: i32,
    /// The canary's Service is gone.
    pub unreachable: bool,
    pub request: Option<Wish>,
    /// What `CanaryPolicies` say.
    pub policy: Governance,
    pub providers: Result<(), String>,
    /// What hooks of a kind answer; by default gates are open and nobody asks for a rollback.
    pub hooks: BTreeMap<HookKind, Result<(), String>>,
    /// What a metric has, by its position; a value that passes by default.
    pub metrics: BTreeMap<usize, Measured>,
    pub replies: Replies,
    asked: RefCell<Asked>,
    /// How pods are once they have been created or changed.
    pub fresh: Health,
    /// Flagger ran it before.
    pub inherited: bool,
    pub leaving: Option<Leaving>,
    pub gone: bool,
    /// As the API server has them, by their sequence.
    pub events: BTreeMap<i64, String>,
    pub recorded: BTreeSet<String>,
    pub wake: Option<Timestamp>,
    /// Something happened that watches report.
    pub stirred: bool,
    /// What was said and [done], in order, with the second at which it was.
    pub log: Vec<(i64, String)>,
    pub status_writes: usize,
}

// === impl World ===

impl World {
    pub fn new(canary: Canary, provider: &str) -> Self {
        Self::with(canary, capability(provider).unwrap())
    }

    pub fn with(canary: Canary, capability: Capability) -> Self {
        Self {
            now: START.parse().unwrap(),
            canary,
            settings: Settings {
                capability,
                min_interval: Duration::from_secs(10),
                drain: Duration::from_secs(2),
            },
            problems: Vec::new(),
            target_gone: false,
            target: Sim::new("podinfo", FIRST, 1),
            primary: None,
            routes: None,
            pointed: false,
            adopted: false,
            contested: false,
            configs: BTreeMap::new(),
            copied: BTreeMap::new(),
            scale_up_to: 1,
            default_sized: false,
            first_address: 0,
            unreachable: false,
            request: None,
            policy: Governance::default(),
            providers: Ok(()),
            hooks: BTreeMap::new(),
            metrics: BTreeMap::new(),
            replies: Replies::AtOnce,
            asked: RefCell::default(),
            fresh: Health::Ready,
            inherited: false,
            leaving: None,
            gone: false,
            events: BTreeMap::new(),
            recorded: BTreeSet::new(),
            wake: None,
            stirred: true,
            log: Vec::new(),
            status_writes: 0,
        }
    }

    pub fn status(&self) -> CanaryStatus {
        self.canary.status.clone().unwrap_or_default()
    }

    pub fn phase(&self) -> Phase {
        self.canary
            .status
            .as_ref()
            .map_or(Phase::New, |status| status.phase)
    }

    pub fn weight(&self) -> i64 {
        self.routes.map_or(0, |routes| routes.canary)
    }

    pub fn second(&self) -> i64 {
        self.now.as_second() - START.parse::<Timestamp>().unwrap().as_second()
    }

    // --- what decide sees

    pub fn facts(&self) -> Facts {
        let primary = self.primary.as_ref().map(Sim::workload);
        let serving = usize::try_from(primary.as_ref().map_or(0, |p| p.ready)).unwrap();
        let first = self.first_address;
        let (target, configs) = if self.target_gone {
            let status = self.status();
            let configs = status.tracked_configs.clone().unwrap_or_default();
            (Workload::remembered(&status), configs)
        } else {
            (self.target.workload(), self.configs.clone())
        };
        let reachable = usize::try_from(target.ready).unwrap();
        let addresses = first..first + target.ready;
        Facts {
            now: self.now,
            settings: self.settings,
            problems: self.problems.clone(),
            failed: None,
            target_gone: self.target_gone,
            target,
            primary,
            routes: self.routes,
            serving: Serving {
                primary: serving,
                canary: if self.unreachable { 0 } else { reachable },
                apex: if self.pointed { serving } else { 0 },
                adopted: self.adopted && !self.pointed,
                pointed: self.pointed,
                contested: self.contested,
            },
            configs,
            // As the server tells it: a target that has pods keeps its size, unless that is a default.
            scale_up_to: match self.target.replicas {
                0 => self.scale_up_to,
                _ if self.default_sized => self.scale_up_to,
                replicas => replicas,
            },
            request: self.request.clone(),
            policy: self.policy.clone(),
            canary_addresses: addresses.map(|n| format!("10.0.0.{n}")).collect(),
            answers: Answers::default(),
        }
    }

    pub fn hook(&self, kind: HookKind) -> Result<(), String> {
        let quiet = || match kind {
            HookKind::Rollback => Err("no".to_owned()),
            _ => Ok(()),
        };
        self.hooks.get(&kind).cloned().unwrap_or_else(quiet)
    }

    fn answer(&self, facts: &mut Facts, question: Question) {
        if self.replies != Replies::AtOnce {
            self.asked.borrow_mut().since.insert(question, self.now);
            facts.answers.awaited.insert(question, awaited(self.now));
            return;
        }
        self.reply(facts, question);
    }

    fn reply(&self, facts: &mut Facts, question: Question) {
        let analysis = self.canary.analysis();
        match question {
            Question::Providers => facts.answers.providers = Some(self.providers.clone()),
            Question::Hook(index) => {
                let kind = analysis.webhooks[index].kind().unwrap();
                facts.answers.hooks.insert(index, self.hook(kind));
            }
            Question::Metric(index) => {
                let passes = if analysis.metrics[index].name == "request-duration" {
                    100.0
                } else {
                    99.5
                };
                let measured = self.metrics.get(&index).cloned();
                facts
                    .answers
                    .metrics
                    .insert(index, measured.unwrap_or(Measured::Value(passes)));
            }
        }
    }

    /// When an answer comes, at the earliest.
    fn replies_at(&self, asked: Timestamp) -> Option<Timestamp> {
        match self.replies {
            Replies::AtOnce => Some(self.now),
            Replies::After(seconds) => Some(asked + SignedDuration::from_secs(seconds)),
            Replies::Never => None,
        }
    }

    /// What was asked before, answered or not.
    fn recall(&self, facts: &mut Facts) {
        let status = self.status();
        let release = status.release.map(|it| (it.number, it.revision));
        let about = format!(
            "{:?} {release:?} {} {} {}",
            status.phase, status.canary_weight, status.iterations, status.failed_checks
        );
        let mut asked = self.asked.borrow_mut();
        if asked.about != about {
            asked.since.clear();
            asked.about = about;
        }
        let mut told = BTreeSet::new();
        for (question, since) in &asked.since {
            if self.replies_at(*since).is_some_and(|at| at <= self.now) {
                self.reply(facts, *question);
                told.insert(*question);
            } else {
                facts.answers.awaited.insert(*question, awaited(*since));
            }
        }
        facts.answers.news = !told.is_subset(&asked.told);
        asked.told = told;
    }

    /// The plan of this moment, and the facts that it rests on.
    pub fn plan(&self) -> (Facts, Plan) {
        let mut facts = self.facts();
        if self.leaving.is_none() {
            self.recall(&mut facts);
        } else {
            self.asked.take();
        }
        let (facts, plan) = self.plan_with(facts);
        if !plan.used.is_empty() {
            let awaited = &facts.answers.awaited;
            let mut asked = self.asked.borrow_mut();
            asked.since.retain(|question, _| {
                let hook = matches!(question, Question::Hook(_));
                awaited.contains_key(question) || hook && !plan.used.contains(question)
            });
        }
        (facts, plan)
    }

    /// When it is to be looked at again, if nothing else happens.
    pub fn next(&self) -> Option<Timestamp> {
        let asked = self.asked.borrow();
        let news = asked
            .since
            .iter()
            .filter(|(question, _)| !asked.told.contains(question));
        let replies = news.filter_map(|(_, since)| self.replies_at(*since));
        replies.chain(self.wake).min()
    }

    fn plan_with(&self, mut facts: Facts) -> (Facts, Plan) {
        if let Some(leaving) = self.leaving {
            let plan = terminate(&self.canary, &facts, leaving);
            return (facts, plan);
        }
        for _ in 0..100 {
            match decide(&self.canary, &facts) {
                Ok(plan) => return (facts, plan),
                Err(question) => self.answer(&mut facts, question),
            }
        }
        panic!("it asks and asks");
    }

    // --- what plans do

    /// Decides and does. With a crash, only so many actions are done and status is not stored.
    pub fn tick(&mut self, crash: Option<usize>) -> (Facts, Plan) {
        let (facts, plan) = self.plan();
        self.stirred = false;
        self.wake = plan.wake;
        self.apply(&plan, crash);
        (facts, plan)
    }

    /// Decides, and does what is not refused: the first action that is ends the tick, and of the plan
    /// there remains what was decided.
    pub fn tick_refused(
        &mut self,
        refused: impl Fn(&Action) -> bool,
        told: Option<&Problem>,
    ) -> Plan {
        let (_, mut plan) = self.plan();
        self.wake = plan.wake;
        let Some(done) = plan.actions.iter().position(refused) else {
            self.stirred = false;
            self.apply(&plan, None);
            return plan;
        };
        let mut sequence = plan.status.events.sequence;
        for action in plan.actions.iter().take(done) {
            self.act(action, &mut sequence);
        }
        plan.status.events.sequence = sequence;
        let rest = undone(&self.canary, &plan, told, self.now);
        self.apply(&rest, None);
        self.stirred = true;
        plan
    }

    pub fn apply(&mut self, plan: &Plan, crash: Option<usize>) {
        let mut sequence = plan.status.events.sequence;
        let done = crash.unwrap_or(plan.actions.len());
        for action in plan.actions.iter().take(done) {
            self.act(action, &mut sequence);
        }
        if crash.is_some() {
            self.stirred = true;
            return;
        }
        let mut status = plan.status.clone();
        status.events.sequence = sequence;
        if self.canary.status.as_ref() != Some(&status) {
            self.status_writes += 1;
            self.canary.status = Some(status);
        }
        self.keep_primary();
    }

    fn act(&mut self, action: &Action, sequence: &mut i64) {
        let line = match action {
            Action::Say(message) => {
                let text = message.text(&self.canary);
                *sequence += 1;
                self.events.entry(*sequence).or_insert_with(|| text.clone());
                text
            }
            Action::Record(revision) => format!("[record {revision}]"),
            Action::Point => "[point]".to_owned(),
            Action::Route(to) => format!("[route {}/{}]", to.primary, to.canary),
            Action::Promote(revision) => format!("[promote {revision}]"),
            Action::Rebaseline { from, to } => format!("[rebaseline {from:?} to {to}]"),
            Action::Scale(replicas) => format!("[scale {replicas}]"),
            Action::Unpoint => "[unpoint]".to_owned(),
            Action::ReleaseFinalizers => "[release]".to_owned(),
        };
        self.log.push((self.second(), line));
        match action {
            Action::Say(_) => {}
            Action::Record(revision) => drop(self.recorded.insert(revision.clone())),
            Action::Point => {
                self.pointed = true;
                self.set_routes(Routes::ALL_PRIMARY);
            }
            Action::Route(routes) => self.set_routes(*routes),
            Action::Promote(revision) => self.promote(revision),
            Action::Rebaseline { from, to } => self.rebaseline(from, to),
            Action::Scale(replicas) => {
                self.stirred |= self.target.scale(*replicas, "kubectl-canary", self.fresh);
            }
            Action::Unpoint => {
                self.pointed = false;
                self.routes = None;
                self.stirred = true;
            }
            Action::ReleaseFinalizers => self.gone = true,
        }
    }

    fn set_routes(&mut self, routes: Routes) {
        let routes = self.settings.capability.weighted.then_some(routes);
        self.stirred |= self.routes != routes;
        self.routes = routes;
    }

    /// New configuration rolls the primary as a new template does; one that is put back keeps its old.
    fn promote(&mut self, revision: &str) {
        let (fresh, back) = (self.fresh, self.phase() == Phase::Failed);
        match &mut self.primary {
            Some(primary) => {
                let renewed = !back && self.copied != self.configs;
                self.stirred |= primary.set_template(revision, fresh) || renewed;
                if renewed {
                    primary.health = fresh;
                    self.copied.clone_from(&self.configs);
                }
            }
            None => self.create_primary(revision),
        }
    }

    fn rebaseline(&mut self, from: &str, to: &str) {
        self.recorded.insert(to.to_owned());
        if let Some(primary) = self
            .primary
            .as_mut()
            .filter(|primary| primary.revision == from)
        {
            to.clone_into(&mut primary.revision);
            self.stirred = true;
        }
    }

    fn create_primary(&mut self, revision: &str) {
        let replicas = self.target.replicas.max(1);
        self.copied.clone_from(&self.configs);
        let mut primary = Sim::new("podinfo-primary", revision, replicas);
        primary.health = self.fresh;
        self.primary = Some(primary);
        self.stirred = true;
    }

    /// The driver makes a primary that is not there from the promoted revision.
    fn keep_primary(&mut self) {
        let promoted = self
            .status()
            .last_promoted_spec
            .filter(|promoted| is_ours(promoted));
        if let (None, Some(promoted)) = (&self.primary, promoted) {
            self.create_primary(&promoted);
        }
        if let Some(primary) = &mut self.primary {
            // Its first rollout has no pods to fall back on.
            primary.surges = self.pointed;
        }
    }

    // --- time

    pub fn pass(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    pub fn is_called(&self) -> bool {
        !self.gone && (self.stirred || self.next().is_some_and(|at| at <= self.now))
    }

    /// Decides until nothing more is to be done at this moment. Called only when the driver would
    /// be: by a watch, or by the time that the last plan named.
    pub fn settle(&mut self) {
        for _ in 0..40 {
            if !self.is_called() {
                return;
            }
            self.tick(None);
        }
        panic!(
            "never comes to rest at {}: {:?}",
            self.now,
            self.log.iter().rev().take(8).collect::<Vec<_>>()
        );
    }

    /// Lets time pass, along the times at which plans want to be looked at again.
    pub fn run(&mut self, seconds: i64) {
        let end = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        self.settle();
        while let Some(at) = self.next().filter(|at| *at <= end && !self.gone) {
            self.now = at.max(self.now);
            self.settle();
        }
        self.now = end;
    }

    // --- what others do

    pub fn set_revision(&mut self, revision: &str) {
        let health = self.fresh;
        self.stirred |= self.target.set_template(revision, health);
    }

    pub fn set_target_health(&mut self, health: Health) {
        self.stirred |= self.target.health != health;
        self.target.health = health;
    }

    pub fn set_primary_health(&mut self, health: Health) {
        if let Some(primary) = &mut self.primary {
            self.stirred |= primary.health != health;
            primary.health = health;
        }
    }

    pub fn ask(&mut self, verb: Verb, id: &str) {
        let revision = self
            .status()
            .release
            .map_or_else(|| FIRST.to_owned(), |release| release.revision);
        self.ask_for(verb, &revision, id);
    }

    pub fn ask_for(&mut self, verb: Verb, revision: &str, id: &str) {
        let uid = self.canary.metadata.uid.clone().unwrap_or_default();
        self.ask_in_words(format!("{verb} {revision} {uid} {id}"));
    }

    /// As `ask`, with an option of the request.
    pub fn ask_with(&mut self, verb: Verb, id: &str, option: &str) {
        let uid = self.canary.metadata.uid.clone().unwrap_or_default();
        let release = self.status().release.unwrap_or_default();
        self.ask_in_words(format!("{verb} {} {uid} {id} {option}", release.revision));
    }

    fn ask_in_words(&mut self, raw: String) {
        self.request = Some(Wish {
            parsed: raw
                .parse()
                .map_err(|error: crate::request::RequestError| error.to_string()),
            raw,
            by: Some("alice".to_owned()),
            reason: None,
        });
        self.stirred = true;
    }
}
