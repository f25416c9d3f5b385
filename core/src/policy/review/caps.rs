//! What a policy has against a Canary.

use super::super::{CanaryRules, Objection, Policy};
use crate::canary::{Canary, Strategy};

/// A rule of `spec.canary` that is set.
struct Rule {
    field: &'static str,
    limit: Option<i64>,
    /// How far a Canary oversteps the limit: above zero is against it.
    over: fn(&Canary, i64) -> i64,
    /// What is said of one that does.
    say: fn(&Canary, i64) -> String,
}

/// What `policy` has against a Canary, where it got worse than `before`.
pub fn canary(policy: &Policy, before: Option<&Canary>, after: &Canary) -> Vec<Objection> {
    let Some(rules) = &policy.spec.canary else {
        return Vec::new();
    };
    let found = of(rules).into_iter().filter_map(|rule| {
        let limit = rule.limit?;
        let over = (rule.over)(after, limit);
        let worse = before.is_none_or(|before| over > (rule.over)(before, limit));
        (over > 0 && worse).then(|| policy.objection(rule.field, (rule.say)(after, limit)))
    });
    found.collect()
}

fn of(rules: &CanaryRules) -> [Rule; 4] {
    [
        Rule {
            field: "spec.canary.maxStepWeight",
            limit: rules.max_step_weight,
            over: |canary, cap| largest_step(canary).saturating_sub(cap),
            say: |canary, cap| {
                let field = match canary.step_weights() {
                    [] => "stepWeight",
                    _ => "stepWeights",
                };
                let step = largest_step(canary);
                format!("a step of spec.analysis.{field} adds {step}: let none add more than {cap}")
            },
        },
        Rule {
            field: "spec.canary.maxWeight",
            limit: rules.max_weight,
            over: |canary, cap| highest_weight(canary).saturating_sub(cap),
            say: |canary, cap| {
                let field = match canary.analysis().step_weights.as_slice() {
                    [] => "maxWeight",
                    _ => "stepWeights",
                };
                let weight = highest_weight(canary);
                format!("spec.analysis.{field} goes up to {weight}: let it end at {cap} or below")
            },
        },
        Rule {
            field: "spec.canary.minMetrics",
            limit: rules.min_metrics,
            over: |canary, least| least.saturating_sub(metrics(canary)),
            say: |canary, least| {
                let metrics = metrics(canary);
                format!("spec.analysis.metrics has {metrics}: give it at least {least}")
            },
        },
        Rule {
            field: "spec.canary.forbidSkipAnalysis",
            limit: rules.forbid_skip_analysis.then_some(0),
            over: |canary, _| i64::from(canary.skip_analysis()),
            say: |_, _| {
                "every release needs an analysis: give spec.analysis, and take spec.skipAnalysis away"
                    .to_owned()
            },
        },
    ]
}

fn metrics(canary: &Canary) -> i64 {
    i64::try_from(canary.analysis().metrics.len()).unwrap_or(i64::MAX)
}

/// Blue/green and A/B releases have no steps, and nor has a Canary without analysis.
fn is_weighted(canary: &Canary) -> bool {
    canary.strategy() == Strategy::Canary
        && (canary.step_weight() > 0 || !canary.step_weights().is_empty())
}

/// The most that one step adds.
fn largest_step(canary: &Canary) -> i64 {
    if !is_weighted(canary) {
        return 0;
    }
    let listed = canary.step_weights();
    let from = std::iter::once(&0).chain(listed);
    // What no schema has looked at may be any number.
    let steps = from.zip(listed).map(|(from, to)| to.saturating_sub(*from));
    steps.max().unwrap_or_else(|| canary.step_weight())
}

/// What the canary gets at most before its promotion.
fn highest_weight(canary: &Canary) -> i64 {
    if !is_weighted(canary) {
        return 0;
    }
    let listed = canary.step_weights().iter().max();
    canary.max_weight().max(listed.copied().unwrap_or_default())
}
