//! A request that nobody has answered yet. Pure, but for the clock.

use canary_core::request::{Verb, Waiting};
use jiff::SignedDuration;

use super::{Attention, Observed};
use crate::render::duration;

/// Type of a request that nobody answers.
pub const REQUEST: &str = "Request";
/// Reason of a rollback that nobody answers.
pub const ROLLBACK: &str = "RollbackUnanswered";

/// A server that runs has answered by then.
const SILENCE: SignedDuration = SignedDuration::from_secs(5);

/// A request that stands on the Canary, and that its status does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    pub waiting: Waiting,
    /// How long it waits, if anybody knows.
    pub age: Option<SignedDuration>,
}

// === impl Unanswered ===

impl Unanswered {
    pub(super) fn on(observed: &Observed) -> Option<Self> {
        let waiting = Waiting::on(&observed.canary)?;
        let now = observed.clock.map(|clock| clock());
        let age = now
            .zip(waiting.since)
            .map(|(now, since)| now.duration_since(since));
        Some(Self { waiting, age })
    }

    /// Who asked for what, and when.
    pub fn told(&self) -> String {
        let ago = self.age.map(|age| duration(age.as_secs()));
        self.waiting.told(ago.as_deref())
    }
}

/// What is to be said of it, once a server would have answered. Who has no clock is not told.
pub(super) fn attention(observed: &Observed) -> Option<Attention> {
    observed.clock?;
    let unanswered = Unanswered::on(observed)?;
    if unanswered.age.is_some_and(|age| age < SILENCE) {
        return None;
    }
    let rollback = unanswered.waiting.request.verb == Verb::Rollback;
    let canary = &observed.canary;
    let name = canary.metadata.name.as_deref().unwrap_or_default();
    let namespace = canary.namespace_name();
    Some(Attention {
        type_: REQUEST.to_owned(),
        reason: if rollback {
            ROLLBACK
        } else {
            "RequestUnanswered"
        }
        .to_owned(),
        message: unanswered.told(),
        hint: Some(format!(
            "see whether canary-webhook runs and has its rights: kubectl canary doctor {name} -n {namespace}"
        )),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{noon, observed, progressing};
    use super::*;

    /// Asked for at this second before noon.
    fn asked(verb: &str, second: Option<&str>) -> Observed {
        let mut observed = observed(&progressing());
        let annotations = json!({
            "kubectl-canary.dev/request": format!("{verb} v1-bbbbbbbbbbbb uid-1 42"),
            "kubectl-canary.dev/requested-by": "bob",
        });
        let metadata = &mut observed.canary.metadata;
        metadata.annotations = serde_json::from_value(annotations).unwrap();
        let entry = second.map(|second| {
            json!([{"time": format!("2026-03-01T11:59:{second}Z"), "fieldsV1": {
                "f:metadata": {"f:annotations": {"f:kubectl-canary.dev/request": {}}},
            }}])
        });
        metadata.managed_fields = entry.map(|it| serde_json::from_value(it).unwrap());
        observed.by(noon)
    }

    fn told(observed: &Observed) -> Option<(String, String)> {
        let report = observed.report();
        let found = report.attention.into_iter().find(|it| it.type_ == REQUEST);
        found.map(|it| (it.reason, it.message))
    }

    #[test]
    fn a_request_that_nobody_answers_is_told_with_who_asked_and_when() {
        let (reason, message) = told(&asked("rollback", Some("20"))).unwrap();
        assert_eq!(reason, ROLLBACK);
        assert_eq!(
            message,
            "bob asked to roll back 40s ago, and is not answered yet"
        );
        let (reason, message) = told(&asked("pause", None)).unwrap();
        assert_eq!(reason, "RequestUnanswered");
        assert_eq!(message, "bob asked to pause, and is not answered yet");
    }

    #[test]
    fn a_request_that_a_server_may_still_be_answering_is_not_told() {
        assert_eq!(told(&asked("rollback", Some("57"))), None);
        let mut answered = asked("rollback", Some("20"));
        let record = json!({"id": "42", "verb": "rollback", "at": "2026-03-01T11:59:21Z", "outcome": "Done"});
        let status = answered.canary.status.as_mut().unwrap();
        status.last_request = Some(serde_json::from_value(record).unwrap());
        assert_eq!(told(&answered), None);
    }
}
