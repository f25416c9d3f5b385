//! One Canary as its page shows it. Pure.

use canary_core::canary::Canary;
use canary_core::hook::HookKind;
use canary_core::release::is_gate_passed;
use canary_core::status::{Phase, RequestRecord};
use serde::Serialize;

use super::row::Row;
use super::seen::{Said, Seen, Value, Weight};
use crate::command::request::offers;
use crate::render::{self, style::UNICODE};
use crate::report::{Attention, Check, Observed, ReleaseReport, ReplicasOfBoth, Traffic};

/// Events that are shown; the newest come first.
const SHOWN: usize = 100;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    #[serde(flatten)]
    row: Row,
    /// Another one is another object of the same name.
    uid: String,
    target: String,
    provider: String,
    strategy: String,
    running: bool,
    traffic: Traffic,
    replicas: ReplicasOfBoth,
    /// What the primary runs.
    primary: Vec<String>,
    release: Option<ReleaseReport>,
    attentions: Vec<Attention>,
    weights: Vec<Weight>,
    metrics: Vec<Metric>,
    gates: Vec<Gate>,
    offers: Vec<Offer>,
    last_request: Option<RequestRecord>,
    history: Vec<Past>,
    events: Vec<Said>,
    /// Why there are no Events.
    events_unread: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(flatten)]
    check: Check,
    values: Vec<Value>,
}

/// A webhook that can hold the release, or a policy that does.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Gate {
    name: String,
    kind: String,
    state: Stand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Stand {
    Passed,
    Waiting,
    /// It is asked when the release comes to it.
    Ahead,
}

/// A verb that makes sense now, and the revision that it would be about.
#[derive(Debug, Serialize)]
struct Offer {
    verb: &'static str,
    revision: String,
}

/// A release that has ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Past {
    number: i64,
    revision: String,
    images: String,
    by: Option<String>,
    started_at: jiff::Timestamp,
    ended_at: jiff::Timestamp,
    outcome: &'static str,
    good: bool,
    weight: i64,
    message: String,
}

/// What is known besides the Canary and its objects.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub seen: &'a Seen,
    pub said: &'a [Said],
    pub unread: Option<&'a str>,
    /// Nobody may change anything here.
    pub read_only: bool,
}

// === impl Detail ===

impl Detail {
    pub fn of(observed: &Observed, around: Around<'_>) -> Self {
        let report = observed.report();
        let started = report.release.as_ref().map(|release| release.started_at);
        let metrics = report.checks.iter().map(|check| Metric {
            check: check.clone(),
            values: around.seen.values(&check.name),
        });
        let offers = offers(&report).into_iter().filter(|_| !around.read_only);
        let mut events = around.said.to_vec();
        events.sort_by_key(|said| std::cmp::Reverse(said.at));
        events.truncate(SHOWN);
        Self {
            row: Row::of(&report),
            uid: observed.canary.metadata.uid.clone().unwrap_or_default(),
            attentions: report.troubles().cloned().collect(),
            weights: started.map_or(Vec::new(), |at| around.seen.weights(at, around.said)),
            metrics: metrics.collect(),
            gates: stands(&observed.canary),
            offers: offers
                .map(|(verb, revision)| Offer {
                    verb: verb.as_str(),
                    revision,
                })
                .collect(),
            history: report.history.iter().map(past).collect(),
            target: report.target,
            provider: report.provider,
            strategy: report.strategy,
            running: report.running,
            traffic: report.traffic,
            replicas: report.replicas,
            primary: report.images,
            release: report.release,
            last_request: report.last_request,
            events,
            events_unread: around.unread.map(str::to_owned),
        }
    }
}

fn past(record: &canary_core::status::ReleaseRecord) -> Past {
    let (outcome, tone) = render::outcome(record.outcome);
    Past {
        number: record.number,
        revision: record.revision.clone(),
        images: render::images(&record.images, &UNICODE),
        by: record.by.clone(),
        started_at: record.started_at,
        ended_at: record.ended_at,
        outcome,
        good: tone == render::Tone::Good,
        weight: record.weight,
        message: record.message.clone(),
    }
}

/// The gates in the order in which a release comes to them, and what else holds it.
fn stands(canary: &Canary) -> Vec<Gate> {
    let status = canary.status.as_ref();
    let running = status.is_some_and(|status| crate::report::is_running(status.phase));
    let release = status.and_then(|status| status.release.as_ref());
    let mut waits_for = release
        .filter(|_| running)
        .and_then(|release| release.waiting_for.as_deref());
    let kinds = [
        HookKind::ConfirmRollout,
        HookKind::ConfirmTrafficIncrease,
        HookKind::ConfirmPromotion,
    ];
    let asked = status.map(|status| status.phase);
    let mut all = Vec::new();
    for kind in kinds {
        for (_, hook) in canary.hooks(kind) {
            let passed = running && is_gate_passed(canary, kind, hook);
            let waits = waits_for == Some(hook.name.as_str()) && !passed && may_wait(kind, asked);
            if waits {
                waits_for = None;
            }
            all.push(Gate {
                name: hook.name.clone(),
                kind: kind.to_string(),
                state: match (passed, waits) {
                    (true, _) => Stand::Passed,
                    (_, true) => Stand::Waiting,
                    _ => Stand::Ahead,
                },
            });
        }
    }
    let other = waits_for.map(|name| Gate {
        name: name.to_owned(),
        kind: "policy".to_owned(),
        state: Stand::Waiting,
    });
    all.extend(other);
    all
}

/// Two gates of different kinds may have one name.
fn may_wait(kind: HookKind, phase: Option<Phase>) -> bool {
    match phase {
        Some(Phase::Waiting) => kind == HookKind::ConfirmRollout,
        Some(Phase::WaitingPromotion) => kind == HookKind::ConfirmPromotion,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::tests::{canary, noon, status};

    fn gated(status: &serde_json::Value) -> Canary {
        let mut canary = canary(status);
        canary.spec.analysis.webhooks = serde_json::from_value(json!([
            {"name": "sign-off", "type": "confirm-promotion", "url": "http://gate/promote"},
            {"name": "sign-off", "type": "confirm-rollout", "url": "http://gate/start"},
            {"name": "load", "type": "rollout", "url": "http://load"},
        ]))
        .unwrap();
        canary
    }

    fn gates_of(status: &serde_json::Value) -> Vec<(String, Stand)> {
        let gates = stands(&gated(status));
        gates
            .into_iter()
            .map(|gate| (gate.kind, gate.state))
            .collect()
    }

    #[test]
    fn gates_stand_in_the_order_of_a_release() {
        let rollout = |state| ("confirm-rollout".to_owned(), state);
        let promotion = |state| ("confirm-promotion".to_owned(), state);
        let waits = json!({"waitingFor": "sign-off"});
        assert_eq!(
            gates_of(&status("Waiting", 0, 0, &waits)),
            [rollout(Stand::Waiting), promotion(Stand::Ahead)]
        );
        assert_eq!(
            gates_of(&status("WaitingPromotion", 50, 0, &waits)),
            [rollout(Stand::Ahead), promotion(Stand::Waiting)]
        );
        let opened = json!({"passed": ["approved:rollout"]});
        assert_eq!(
            gates_of(&status("Progressing", 10, 0, &opened)),
            [rollout(Stand::Passed), promotion(Stand::Ahead)]
        );
        // A release that has ended waits for nothing.
        let ended = json!({"waitingFor": "sign-off", "passed": ["approved:rollout"]});
        assert_eq!(
            gates_of(&status("Failed", 0, 0, &ended)),
            [rollout(Stand::Ahead), promotion(Stand::Ahead)]
        );
    }

    #[test]
    fn a_policy_that_holds_is_a_gate_too() {
        let held = json!({"waitingFor": "CanaryPolicy nights"});
        let gates = stands(&canary(&status("Progressing", 10, 0, &held)));
        let expected = Gate {
            name: "CanaryPolicy nights".into(),
            kind: "policy".into(),
            state: Stand::Waiting,
        };
        assert_eq!(gates, [expected]);
    }

    fn detail(read_only: bool) -> Detail {
        let mut running = status("Progressing", 30, 1, &json!({}));
        running["history"] = json!([{
            "number": 1, "revision": "v1-aaaaaaaaaaaa", "from": "", "by": "bob",
            "images": [{"container": "podinfod", "from": "podinfo:5", "to": "podinfo:6"}],
            "startedAt": "2026-02-01T11:00:00Z", "endedAt": "2026-02-01T11:10:00Z",
            "outcome": "Promoted", "weight": 50,
        }]);
        let canary = gated(&running);
        let observed = Observed::alone(canary.clone());
        let mut seen = Seen::default();
        let since = canary.status.unwrap().release.unwrap().step_since;
        seen.take_in(&observed.report(), since, noon());
        let said = [
            Said {
                at: "2026-03-01T11:59:30Z".parse().unwrap(),
                warning: false,
                count: 1,
                text: "Advance podinfo.test canary weight 10".into(),
            },
            Said {
                at: "2026-03-01T11:59:50Z".parse().unwrap(),
                warning: true,
                count: 2,
                text: "Halt podinfo.test advancement".into(),
            },
        ];
        let around = Around {
            seen: &seen,
            said: &said,
            unread: None,
            read_only,
        };
        Detail::of(&observed, around)
    }

    #[test]
    fn a_detail_holds_all_that_its_page_shows() {
        insta::assert_json_snapshot!(detail(false));
    }

    #[test]
    fn a_page_that_may_only_read_is_offered_nothing() {
        assert!(!detail(false).offers.is_empty());
        assert!(detail(true).offers.is_empty());
    }
}
