//! Do the histories meet everything? Counts which fact was met in which phase.

use std::collections::BTreeMap;
use std::fmt;

use super::world::World;
use crate::hook::HookKind;
use crate::release::{Facts, Measured, Readiness};
use crate::status::{CanaryStatus, Phase};

/// How often each fact was met in each phase, and how often the phase was.
#[derive(Debug, Default)]
pub struct Coverage {
    phases: BTreeMap<Phase, u64>,
    facts: BTreeMap<(Phase, String), u64>,
}

// === impl Coverage ===

impl Coverage {
    pub fn count(&mut self, before: &CanaryStatus, facts: &Facts, world: &World, crash: bool) {
        *self.phases.entry(before.phase).or_default() += 1;
        let mut met = vec![readiness(facts), change(before, facts), due(before, facts)];
        met.extend(gates(world));
        met.extend(metric(world));
        met.extend(request(before, facts));
        if crash {
            met.push("crash".to_owned());
        }
        for fact in met {
            *self.facts.entry((before.phase, fact)).or_default() += 1;
        }
    }

    /// Every pair that is met in less than one of a hundred decisions of its phase.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for phase in PHASES {
            let all = self.phases.get(&phase).copied().unwrap_or_default();
            for fact in KINDS.iter().filter(|fact| possible(phase, fact)) {
                let met = self
                    .facts
                    .get(&(phase, (*fact).to_owned()))
                    .copied()
                    .unwrap_or_default();
                if met * 100 < all || met == 0 {
                    gaps.push(format!("{phase:?} × {fact}: {met} of {all}"));
                }
            }
        }
        gaps
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (phase, all) in &self.phases {
            writeln!(f, "{phase:?} ({all})")?;
            for ((_, fact), met) in self.facts.iter().filter(|((of, _), _)| of == phase) {
                writeln!(f, "  {:>5.1} % {fact}", *met as f64 * 100.0 / *all as f64)?;
            }
        }
        Ok(())
    }
}

/// Some facts cannot be.
fn possible(phase: Phase, fact: &str) -> bool {
    use Phase::{Failed, Finalising, Initialized, Initializing, New, Succeeded};
    match fact {
        // Nothing is known yet that it could be compared with.
        "unchanged" | "config changed" if phase == New => false,
        // What was applied is what was promoted.
        "set back" => !matches!(phase, New | Initializing | Initialized | Succeeded),
        // No check is waited for.
        "not due" => !matches!(
            phase,
            New | Initializing | Initialized | Finalising | Succeeded | Failed
        ),
        _ => true,
    }
}

/// A Canary that is being deleted is not decided on.
const PHASES: [Phase; 10] = [
    Phase::New,
    Phase::Initializing,
    Phase::Initialized,
    Phase::Waiting,
    Phase::Progressing,
    Phase::WaitingPromotion,
    Phase::Promoting,
    Phase::Finalising,
    Phase::Succeeded,
    Phase::Failed,
];

const KINDS: &[&str] = &[
    "ready",
    "unready",
    "stuck",
    "no pods",
    "unchanged",
    "revision changed",
    "set back",
    "config changed",
    "due",
    "not due",
    "gate open",
    "gate closed",
    "metric passes",
    "metric fails",
    "metric without values",
    "promote",
    "promote-full",
    "rollback",
    "pause",
    "resume",
    "retry",
    "stale request",
    "illegible request",
    "crash",
];

fn readiness(facts: &Facts) -> String {
    let target = &facts.target;
    let met = match target.readiness {
        Readiness::Stuck(_) => "stuck",
        _ if target.ready == 0 => "no pods",
        Readiness::Ready => "ready",
        Readiness::Waiting(_) => "unready",
    };
    met.to_owned()
}

fn change(before: &CanaryStatus, facts: &Facts) -> String {
    let revision = Some(&facts.target.revision);
    // What waits for approval is not applied yet.
    let known = match &before.release {
        Some(release) if before.phase == Phase::Waiting => Some(&release.revision),
        _ => before.last_applied_spec.as_ref(),
    };
    let configs = before
        .tracked_configs
        .as_ref()
        .is_some_and(|old| *old != facts.configs);
    let met = match (known == revision, configs) {
        (_, true) => "config changed",
        (true, false) => "unchanged",
        (false, false) if before.last_promoted_spec.as_ref() == revision => "set back",
        (false, false) => "revision changed",
    };
    met.to_owned()
}

fn due(before: &CanaryStatus, facts: &Facts) -> String {
    let release = before.release.as_ref();
    let due = release
        .and_then(|release| release.next_check_at)
        .is_none_or(|due| due <= facts.now);
    if due { "due" } else { "not due" }.to_owned()
}

fn gates(world: &World) -> Vec<String> {
    let kinds = [
        HookKind::ConfirmRollout,
        HookKind::ConfirmTrafficIncrease,
        HookKind::ConfirmPromotion,
    ];
    let answers = kinds.map(|kind| {
        if world.hook(kind).is_ok() {
            "gate open"
        } else {
            "gate closed"
        }
    });
    let mut met = answers.map(str::to_owned).to_vec();
    met.sort();
    met.dedup();
    met
}

fn metric(world: &World) -> Vec<String> {
    let met = match world.metrics.get(&0) {
        None => "metric passes",
        Some(Measured::Value(value)) if *value > 99.0 => "metric passes",
        Some(Measured::NoValues(_)) => "metric without values",
        Some(_) => "metric fails",
    };
    vec![met.to_owned()]
}

fn request(before: &CanaryStatus, facts: &Facts) -> Option<String> {
    let wish = facts.request.as_ref()?;
    let current = before
        .release
        .as_ref()
        .map_or("", |release| release.revision.as_str());
    match &wish.parsed {
        Err(_) => Some("illegible request".to_owned()),
        Ok(request)
            if before
                .last_request
                .as_ref()
                .is_some_and(|last| last.id == request.id) =>
        {
            None
        }
        Ok(request) if request.revision == "v1-0000000000ff" => Some("stale request".to_owned()),
        Ok(request) if !current.is_empty() && request.revision != current => {
            Some("stale request".to_owned())
        }
        Ok(request) => Some(request.verb.to_string()),
    }
}
