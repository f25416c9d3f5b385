//! A request that stands on a Canary and that nobody has answered yet: what may take its place.
//!
//! ```text
//!  waits            a later request takes its place
//!  rollback, pause  if it is a rollback
//!  any other        whatever it is
//! ```
//!
//! There is one place for a request. What goes back or holds was promised to whoever asked for it, so nothing
//! that is lost with it, or that sends more people to the canary, takes that place. The policy
//! `canary-decisions` has the same rule.

use jiff::Timestamp;

use super::{Request, Verb, parse};
use crate::canary::Canary;
use crate::names;

/// A request that nobody has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub request: Request,
    pub by: Option<String>,
    pub reason: Option<String>,
    /// When it was written, as far as the API server remembers.
    pub since: Option<Timestamp>,
}

// === impl Verb ===

impl Verb {
    /// Whether a request that waits may be replaced by a later one.
    pub const fn gives_way_to(self, later: Self) -> bool {
        match self {
            Self::Rollback | Self::Pause => matches!(later, Self::Rollback),
            Self::Promote | Self::PromoteFull | Self::Resume | Self::Retry => true,
        }
    }

    /// As it stands behind "to" in a sentence.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Promote | Self::PromoteFull => "promote",
            Self::Rollback => "roll back",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Of another Canary that had this name it is none: it is never acted on.
    pub fn on(canary: &Canary) -> Option<Self> {
        let annotations = canary.metadata.annotations.as_ref()?;
        let request = parse(annotations.get(names::REQUEST)?).ok()?;
        if canary.metadata.uid.as_ref() != Some(&request.uid) {
            return None;
        }
        let last = canary.status.as_ref()?.last_request.as_ref();
        if last.is_some_and(|last| last.id == request.id) {
            return None;
        }
        let reason = annotations.get(names::REQUEST_REASON);
        let reason = reason.and_then(|reason| request.reason(reason));
        Some(Self {
            reason: reason.map(str::to_owned),
            by: annotations.get(names::REQUESTED_BY).cloned(),
            since: since(canary),
            request,
        })
    }

    /// Who asked for what, and when: `ago` is how long that is, if anybody knows.
    pub fn told(&self, ago: Option<&str>) -> String {
        let by = self.by.as_deref().unwrap_or("somebody");
        let what = self.request.verb.in_words();
        let ago = ago.map_or(String::new(), |ago| format!(" {ago} ago"));
        let reason = self.reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        format!("{by} asked to {what}{ago}{reason}, and is not answered yet")
    }

    /// The command that takes it back. Admission keeps a rollback whose annotation is merely left out.
    pub fn taken_back(name: &str, namespace: &str) -> String {
        format!(
            "kubectl annotate canary {name} {}= --overwrite -n {namespace}",
            names::REQUEST
        )
    }
}

/// When somebody wrote the annotation last: the API server notes it beside the name of the program.
fn since(canary: &Canary) -> Option<Timestamp> {
    let key = format!("f:{}", names::REQUEST);
    let entries = canary.metadata.managed_fields.iter().flatten();
    let written = entries.filter(|entry| {
        let fields = entry.fields_v1.as_ref();
        fields.is_some_and(|fields| !fields.0["f:metadata"]["f:annotations"][&key].is_null())
    });
    written
        .filter_map(|entry| Some(entry.time.as_ref()?.0))
        .max()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PAUSE: &str = "pause v1-1 uid-1 42";

    fn canary(over: impl FnOnce(&mut Value)) -> Canary {
        let mut canary = json!({
            "metadata": {"name": "podinfo", "uid": "uid-1", "annotations": {
                names::REQUEST: PAUSE, names::REQUEST_REASON: "42 lunch", names::REQUESTED_BY: "bob",
            }},
            "spec": {"targetRef": {"kind": "Deployment", "name": "podinfo"}, "service": {"port": 80}},
            "status": {"phase": "Progressing", "canaryWeight": 0, "failedChecks": 0, "iterations": 0},
        });
        over(&mut canary);
        serde_json::from_value(canary).unwrap()
    }

    #[test]
    fn what_goes_back_or_holds_gives_way_to_a_rollback_alone() {
        for waits in Verb::ALL {
            for later in Verb::ALL {
                let guarded = matches!(waits, Verb::Rollback | Verb::Pause);
                let replaced = !guarded || later == Verb::Rollback;
                assert_eq!(waits.gives_way_to(later), replaced, "{waits} {later}");
            }
        }
    }

    #[test]
    fn a_request_waits_until_status_has_its_id() {
        let waiting = Waiting::on(&canary(|_| {})).unwrap();
        assert_eq!(waiting.request, parse(PAUSE).unwrap());
        assert_eq!(waiting.by.as_deref(), Some("bob"));
        assert_eq!(waiting.reason.as_deref(), Some("lunch"));
        assert_eq!(waiting.since, None);
        let record = |id: &str| json!({"id": id, "verb": "pause", "at": "2026-03-01T12:00:00Z", "outcome": "Done"});
        let answered = |id: &str| canary(|it| it["status"]["lastRequest"] = record(id));
        assert!(Waiting::on(&answered("41")).is_some());
        assert_eq!(Waiting::on(&answered("42")), None);
    }

    #[test]
    fn it_is_told_by_whom_and_when() {
        let waiting = Waiting::on(&canary(|_| {})).unwrap();
        assert_eq!(
            waiting.told(Some("40s")),
            "bob asked to pause 40s ago (lunch), and is not answered yet"
        );
        let unknown = Waiting {
            by: None,
            reason: None,
            ..waiting
        };
        assert_eq!(
            unknown.told(None),
            "somebody asked to pause, and is not answered yet"
        );
    }

    #[test]
    fn what_is_never_acted_on_does_not_wait() {
        let annotations = |it: &mut Value, text: &str| {
            it["metadata"]["annotations"] = json!({ names::REQUEST: text });
        };
        for text in ["", "pause", "pause v1-1 uid-of-another 42"] {
            let canary = canary(|it| annotations(it, text));
            assert_eq!(Waiting::on(&canary), None, "{text}");
        }
        let unseen = canary(|it| it["status"] = Value::Null);
        assert_eq!(Waiting::on(&unseen), None, "no server has looked at it");
    }

    #[test]
    fn it_waits_since_the_annotation_was_written_last() {
        let entry = |manager: &str, time: &str, annotation: &str| {
            let fields =
                json!({"f:metadata": {"f:annotations": {(format!("f:{annotation}")): {}}}});
            json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        let canary = canary(|it| {
            it["metadata"]["managedFields"] = json!([
                entry("a", "2026-03-01T12:00:00Z", names::REQUEST),
                entry("b", "2026-03-01T12:00:05Z", names::REQUEST),
                entry("c", "2026-03-01T12:00:09Z", "other"),
            ]);
        });
        let since = Waiting::on(&canary).unwrap().since.unwrap();
        assert_eq!(since.to_string(), "2026-03-01T12:00:05Z");
    }
}
