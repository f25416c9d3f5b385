//! What was seen of a release since the dashboard began, and what Events tell of the time before:
//! the status holds only the last values.

mod earlier;

use std::collections::{BTreeMap, VecDeque};

use canary_core::status::{MetricCheck, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use crate::report::CanaryReport;

/// Enough for hours of checks, and little enough for a thousand Canaries.
const MOST: usize = 500;

/// The canary's share from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Weight {
    pub at: Timestamp,
    pub weight: i64,
}

/// What a check said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Value {
    pub at: Timestamp,
    pub value: Option<f64>,
    pub verdict: Verdict,
    /// It was there before the first look; its time is reckoned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// An Event's moment and text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    pub at: Timestamp,
    pub warning: bool,
    pub count: i32,
    pub text: String,
}

/// The course of one release; the next one begins anew.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    release: Option<i64>,
    weights: VecDeque<Weight>,
    values: BTreeMap<String, VecDeque<Value>>,
}

// === impl Seen ===

impl Seen {
    /// `step_since` is since when the weight is routed, as the controller has it.
    pub fn take_in(
        &mut self,
        report: &CanaryReport,
        step_since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(release) = &report.release else {
            return;
        };
        if self.release != Some(release.number) {
            *self = Self {
                release: Some(release.number),
                ..Self::default()
            };
        }
        let weight = report.traffic.canary;
        let last = self.weights.back();
        if last.is_none_or(|last| last.weight != weight) {
            let earliest = last.map_or(release.started_at, |last| last.at);
            let since = match release.ended_at {
                Some(ended) if !report.running => Some(ended),
                _ => step_since,
            };
            let at = since.filter(|at| *at >= earliest && *at <= now);
            push(
                &mut self.weights,
                Weight {
                    at: at.unwrap_or(now),
                    weight,
                },
            );
        }
        for check in &report.checks {
            let Some(last) = &check.last else { continue };
            let values = self.values.entry(check.name.clone()).or_default();
            if values.is_empty() {
                values.extend(earlier::earlier(report, last));
            }
            if values.back().is_none_or(|known| known.at < last.at) {
                push(values, Value::of(last));
            }
        }
    }

    /// The weights of the release from its start, with those that Events tell before the first that
    /// was seen.
    pub fn weights(&self, started_at: Timestamp, said: &[Said]) -> Vec<Weight> {
        let first = self.weights.front().map(|first| first.at);
        let mut told: Vec<Weight> = said
            .iter()
            .filter(|said| said.at >= started_at && first.is_none_or(|first| said.at < first))
            .filter_map(|said| {
                let weight = weight_in(&said.text)?;
                Some(Weight {
                    at: said.at,
                    weight,
                })
            })
            .collect();
        told.sort_by_key(|weight| weight.at);
        let start = Weight {
            at: started_at,
            weight: 0,
        };
        let begins = told.first().copied().or(self.weights.front().copied());
        let start = begins
            .is_none_or(|first| first.at > started_at)
            .then_some(start);
        let all = start
            .into_iter()
            .chain(told)
            .chain(self.weights.iter().copied());
        let mut weights: Vec<Weight> = Vec::new();
        for weight in all {
            if weights
                .last()
                .is_none_or(|last| last.weight != weight.weight)
            {
                weights.push(weight);
            }
        }
        weights
    }

    pub fn values(&self, metric: &str) -> Vec<Value> {
        self.values
            .get(metric)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }
}

// === impl Value ===

impl Value {
    fn of(check: &MetricCheck) -> Self {
        Self {
            at: check.at,
            value: check.value,
            verdict: check.verdict,
            estimated: false,
        }
    }
}

fn push<T>(all: &mut VecDeque<T>, one: T) {
    if all.len() == MOST {
        all.pop_front();
    }
    all.push_back(one);
}

/// The canary's weight that a sentence of the controller tells; they are the same as Flagger's.
fn weight_in(text: &str) -> Option<i64> {
    if text == "Routing all traffic to primary" || text.starts_with("Rolling back ") {
        return Some(0);
    }
    if text == "Routing all traffic to canary" {
        return Some(100);
    }
    let rest = text.strip_prefix("Advance ")?;
    if let Some((_, weight)) = rest.split_once(" canary weight ") {
        return weight
            .parse()
            .ok()
            .filter(|weight| (0..=100).contains(weight));
    }
    let (_, weight) = rest.split_once(" primary weight ")?;
    let primary: i64 = weight
        .parse()
        .ok()
        .filter(|weight| (0..=100).contains(weight))?;
    Some(100 - primary)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::Observed;
    use crate::report::tests::{canary, release_of, status};

    fn at(time: &str) -> Timestamp {
        format!("2026-03-01T{time}Z").parse().unwrap()
    }

    fn look(seen: &mut Seen, status: &serde_json::Value, now: &str) {
        let canary = canary(status);
        let since = release_of(&canary).step_since;
        seen.take_in(&Observed::alone(canary).report(), since, at(now));
    }

    fn said(time: &str, text: &str) -> Said {
        Said {
            at: at(time),
            warning: false,
            count: 1,
            text: text.into(),
        }
    }

    fn weights(seen: &Seen, said: &[Said]) -> Vec<(String, i64)> {
        let all = seen.weights(at("11:59:02"), said);
        all.iter()
            .map(|it| (it.at.strftime("%H:%M:%S").to_string(), it.weight))
            .collect()
    }

    /// A release at weight 30, and the same a second later.
    fn looked_at_twice() -> Seen {
        let mut seen = Seen::default();
        for time in ["12:00:00", "12:00:01"] {
            look(&mut seen, &status("Progressing", 30, 0, &json!({})), time);
        }
        seen
    }

    #[test]
    fn a_weight_counts_from_when_it_was_routed_and_is_kept_once() {
        let mut seen = looked_at_twice();
        let next = json!({"stepSince": "2026-03-01T12:00:06Z"});
        look(&mut seen, &status("Progressing", 40, 0, &next), "12:00:07");
        let expected = [("11:59:02", 0), ("11:59:56", 30), ("12:00:06", 40)];
        assert_eq!(
            weights(&seen, &[]),
            expected.map(|(at, weight)| (at.to_owned(), weight))
        );
    }

    #[test]
    fn a_time_that_cannot_be_is_replaced_by_now() {
        let mut seen = Seen::default();
        let future = json!({"stepSince": "2026-03-01T13:00:00Z"});
        look(
            &mut seen,
            &status("Progressing", 30, 0, &future),
            "12:00:00",
        );
        let before = json!({"stepSince": "2026-03-01T11:00:00Z"});
        look(
            &mut seen,
            &status("Progressing", 40, 0, &before),
            "12:00:10",
        );
        assert_eq!(
            weights(&seen, &[])[1..],
            [("12:00:00".into(), 30), ("12:00:10".into(), 40)]
        );
    }

    #[test]
    fn events_tell_what_came_before_the_first_look_of_this_release() {
        let mut seen = Seen::default();
        look(
            &mut seen,
            &status("Progressing", 30, 0, &json!({})),
            "12:00:00",
        );
        let told = [
            said("11:59:40", "Advance podinfo.test canary weight 20"),
            said("11:59:30", "Advance podinfo.test canary weight 10"),
            said("11:59:56", "Advance podinfo.test canary weight 30"),
            said("11:00:00", "Advance podinfo.test canary weight 50"),
            said("11:59:35", "Halt advancement podinfo.test 10"),
        ];
        let expected = [
            ("11:59:02", 0),
            ("11:59:30", 10),
            ("11:59:40", 20),
            ("11:59:56", 30),
        ];
        assert_eq!(
            weights(&seen, &told),
            expected.map(|(at, weight)| (at.to_owned(), weight))
        );
    }

    #[test]
    fn sentences_tell_weights() {
        for (text, weight) in [
            ("Advance p.t canary weight 20", Some(20)),
            ("Advance p.t primary weight 30", Some(70)),
            ("Advance p.t canary iteration 1/10", None),
            ("Advance p.t canary weight 900", None),
            ("Routing all traffic to primary", Some(0)),
            ("Routing all traffic to canary", Some(100)),
            (
                "Rolling back p.t failed checks threshold reached 3",
                Some(0),
            ),
            ("New revision detected! Scaling up p.t", None),
        ] {
            assert_eq!(weight_in(text), weight, "{text}");
        }
    }

    #[test]
    fn each_check_is_kept_once_and_a_new_release_begins_anew() {
        let mut seen = looked_at_twice();
        assert_eq!(seen.values("request-duration").len(), 1);
        assert_eq!(seen.values("request-duration")[0].value, Some(42.0));
        look(
            &mut seen,
            &status("Progressing", 0, 0, &json!({"number": 3, "checks": []})),
            "12:01:00",
        );
        assert!(seen.values("request-duration").is_empty());
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let mut all = VecDeque::new();
        (0..2000).for_each(|one| push(&mut all, one));
        assert_eq!((all.len(), all.front()), (MOST, Some(&1500)));
    }
}
