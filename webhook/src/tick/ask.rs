//! Questions of the rules: which webhook is called, and what it is told. Metric servers have a file of
//! their own.

use canary_core::canary::Canary;
use canary_core::hook::{HookKind, Payload};
use canary_core::release::{self, Facts, Plan, Question};
use canary_core::status::Phase;
use futures::FutureExt as _;
use serde_json::json;

use crate::hook::{Backoff, Outgoing, call};
use crate::questions::{Answer, Exchange, Look, Subject};
use crate::tick::Context;
use crate::world::World;

// === impl Context ===

impl Context {
    /// The plan of this moment: with the answers that are there, and without what needs one that is awaited.
    pub(super) fn decided(&self, world: &World, facts: &mut Facts) -> Plan {
        let key = world.key();
        let subject = Subject::of(&world.canary);
        let look = Look {
            wakes: &self.caches.worker(&key),
            at: self.clock.now(),
            interval: world.canary.interval().max(self.options.min_interval),
        };
        let spec = |question| self.exchange(world, facts, question).spec;
        facts.answers = self.questions.recall(&key, &subject, look, spec);
        loop {
            let question = match release::decide(&world.canary, facts) {
                Ok(plan) => return plan,
                Err(question) => question,
            };
            for question in asked_together(world, facts, question) {
                let exchange = self.exchange(world, facts, question);
                let awaited = self.questions.ask(&key, &subject, question, exchange, look);
                facts.answers.awaited.insert(question, awaited);
            }
        }
    }

    fn exchange(&self, world: &World, facts: &Facts, question: Question) -> Exchange {
        match question {
            Question::Providers => self.ask_providers(world),
            Question::Hook(index) => self.ask_hook(&world.canary, index),
            Question::Metric(index) => self.ask_metric(world, facts, index),
        }
    }

    fn ask_hook(&self, canary: &Canary, index: usize) -> Exchange {
        let Some(hook) = canary.analysis().webhooks.get(index) else {
            let gone = "the webhook is gone from the spec".to_owned();
            return Exchange::over(json!(null), Answer::Hook(Err(gone)));
        };
        let phase = match hook.kind() {
            // These two are told the phase as it is; the others speak of the analysis.
            Some(HookKind::ConfirmRollout | HookKind::Rollback) => canary
                .status
                .as_ref()
                .map_or(Phase::New, |status| status.phase),
            _ => Phase::Progressing,
        };
        let payload = Payload::new(canary, hook, phase);
        let spec = json!([hook, payload]);
        let outgoing = match Outgoing::new(hook, &payload) {
            Ok(outgoing) => outgoing.within(self.longest_hook),
            Err(error) => return Exchange::over(spec, Answer::Hook(Err(error.to_string()))),
        };
        let transport = self.transport.clone();
        let called = async move {
            let said = call(&transport, &outgoing, Backoff::default()).await;
            Answer::Hook(said.map_err(|error| error.to_string()))
        };
        Exchange {
            spec,
            call: called.boxed(),
        }
    }
}

/// Webhooks are called one by one, for each may act. Queries only look: all are sent at once.
fn asked_together(world: &World, facts: &Facts, question: Question) -> Vec<Question> {
    let Question::Metric(_) = question else {
        return vec![question];
    };
    let all = 0..world.canary.analysis().metrics.len();
    let new = |it: &Question| {
        let Question::Metric(index) = it else {
            return false;
        };
        !facts.answers.metrics.contains_key(index) && !facts.answers.awaited.contains_key(it)
    };
    let others = all.map(Question::Metric).filter(|it| *it != question);
    others.filter(new).chain([question]).collect()
}
