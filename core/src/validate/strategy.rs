//! Whether the analysis asks for one strategy, in numbers that lead somewhere, of a provider
//! that can do it.

use super::Findings;
use crate::canary::{Canary, Strategy};
use crate::capability::Capability;

/// `provider` is none if it is not one that we run: that has been said, and what it could do
/// does not matter.
pub fn check(canary: &Canary, provider: Option<(&str, Capability)>, found: &mut Findings) {
    let analysis = canary.analysis();
    found.duration("spec.analysis.interval", analysis.interval.as_deref());
    choice(canary, found);
    weights(canary, found);
    found.percentage(
        "spec.analysis.primaryReadyThreshold",
        analysis.primary_ready_threshold,
    );
    found.percentage(
        "spec.analysis.canaryReadyThreshold",
        analysis.canary_ready_threshold,
    );
    if let Some((name, can)) = provider {
        capabilities(canary, name, can, found);
    }
    if let Some(affinity) = &analysis.session_affinity
        && affinity.primary_cookie_name.as_ref() == Some(&affinity.cookie_name)
    {
        found.add(
            "spec.analysis.sessionAffinity.primaryCookieName",
            "must differ from cookieName, or primary and canary cannot be told apart",
        );
    }
}

/// One of the three ways to advance.
fn choice(canary: &Canary, found: &mut Findings) {
    let analysis = canary.analysis();
    let given: Vec<&str> = [
        ("iterations", canary.iterations() > 0),
        ("stepWeight", canary.step_weight() > 0),
        ("stepWeights", !analysis.step_weights.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    match given.as_slice() {
        [] => found.add(
            "spec.analysis",
            "no strategy: give stepWeight or stepWeights for a canary, or iterations for blue/green",
        ),
        [_] => {}
        several => found.add(
            "spec.analysis",
            format!("two strategies, {}: keep one", several.join(" and ")),
        ),
    }
    if canary.iterations() < 0 {
        found.add("spec.analysis.iterations", "must be 1 or more");
    }
}

fn weights(canary: &Canary, found: &mut Findings) {
    let analysis = canary.analysis();
    found.percentage("spec.analysis.stepWeight", analysis.step_weight);
    found.percentage(
        "spec.analysis.stepWeightPromotion",
        analysis.step_weight_promotion,
    );
    found.percentage("spec.analysis.mirrorWeight", analysis.mirror_weight);
    // With a list, its last step is the maximum, and maxWeight is not read.
    if analysis.step_weights.is_empty() {
        found.percentage("spec.analysis.maxWeight", analysis.max_weight);
        if canary.step_weight() <= 100 && canary.step_weight() > canary.max_weight() {
            found.add(
                "spec.analysis.stepWeight",
                format!(
                    "{} is more than maxWeight {}",
                    canary.step_weight(),
                    canary.max_weight()
                ),
            );
        }
    }
    let mut before = 0;
    for (i, weight) in analysis.step_weights.iter().copied().enumerate() {
        let field = format!("spec.analysis.stepWeights[{i}]");
        if !(1..=100).contains(&weight) {
            found.add(field, "must be from 1 to 100");
        } else if weight <= before {
            found.add(
                field,
                format!(
                    "{weight} does not follow {before}: each step must be more than the one before"
                ),
            );
        }
        before = weight;
    }
}

fn capabilities(canary: &Canary, provider: &str, can: Capability, found: &mut Findings) {
    let analysis = canary.analysis();
    let weighted = canary.strategy() == Strategy::Canary;
    // Field that asks, whether it asks, whether the provider can, what it is, what to do. What
    // a request carries is matched for A/B alone, so `match` asks for it.
    let asked = [
        (
            "match",
            !analysis.match_.is_empty(),
            can.ab,
            "A/B testing",
            "take match away",
        ),
        (
            "stepWeight",
            weighted && canary.step_weight() > 0,
            can.weighted,
            "weighted traffic",
            "use iterations",
        ),
        (
            "stepWeights",
            weighted && !canary.step_weights().is_empty(),
            can.weighted,
            "weighted traffic",
            "use iterations",
        ),
        (
            "iterations",
            canary.strategy() == Strategy::BlueGreen,
            can.blue_green,
            "blue/green",
            "use stepWeight",
        ),
        (
            "mirror",
            canary.mirror(),
            can.mirror,
            "mirroring",
            "take mirror away",
        ),
        (
            "sessionAffinity",
            analysis.session_affinity.is_some(),
            can.session_affinity,
            "session affinity",
            "take sessionAffinity away",
        ),
    ];
    for (field, asks, able, what, instead) in asked {
        if asks && !able {
            found.add(
                format!("spec.analysis.{field}"),
                format!("provider {provider} cannot do {what}: {instead}"),
            );
        }
    }
}
