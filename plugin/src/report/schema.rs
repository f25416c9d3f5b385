//! The form of what `status -o json|yaml` prints, for whoever reads it with a program.
//!
//! ```text
//!  types of this module ─► schemars ─► docs/canary-report.schema.json (`make manifests`, checked by `make check`)
//! ```

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::{CanaryReport, CanaryReportList};

/// What `kubectl canary status -o json` prints: one Canary, or several. Within a version fields are only added.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "nobody makes one: it only says what may be printed"
)]
enum Printed {
    One(Box<CanaryReport>),
    Several(CanaryReportList),
}

/// JSON Schema, draft 2020-12.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Printed>();
    schema.insert("title".to_owned(), "CanaryReport".into());
    schema.to_value()
}

/// A moment as RFC 3339 writes it.
pub(super) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::tests::{observed, progressing, status};
    use crate::report::workloads::tests::below;
    use crate::report::{Observed, list};

    fn valid(report: &Value) -> bool {
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema())
            .unwrap()
            .is_valid(report)
    }

    fn report(status: &Value) -> Value {
        let observed = Observed {
            below: below(),
            ..observed(status)
        };
        serde_json::to_value(observed.report()).unwrap()
    }

    #[test]
    fn what_is_printed_has_the_form_that_the_schema_says() {
        let paused = json!({
            "paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 4200, "by": "bob", "reason": "incident 42"},
            "waitingFor": "confirm-promotion webhook ask-ops",
        });
        let mut failed = status(
            "Failed",
            0,
            10,
            &json!({
                "outcome": "RolledBack", "endedAt": "2026-03-01T11:59:42Z", "message": "failed checks threshold reached 10",
                "checks": [{"name": "request-duration", "max": 500.0, "verdict": "NoValues", "message": "no values found",
                            "at": "2026-03-01T11:59:40Z"}],
            }),
        );
        failed["history"] = json!([{
            "number": 1, "revision": "v1-a", "images": [], "startedAt": "2026-03-01T10:00:00Z",
            "endedAt": "2026-03-01T10:01:00Z", "outcome": "Promoted", "weight": 50,
        }]);
        failed["lastRequest"] = json!({
            "id": "x", "verb": "promote", "by": "bob", "at": "2026-03-01T11:59:00Z", "outcome": "Refused", "message": "no",
        });
        failed["conditions"] =
            json!([{"type": "Drift", "status": "True", "reason": "Scaled", "message": "argocd"}]);
        let new = json!({"phase": "", "canaryWeight": 0, "failedChecks": 0, "iterations": 0});
        for status in [
            progressing(),
            status("Progressing", 30, 2, &paused),
            failed,
            new,
        ] {
            let report = report(&status);
            assert!(valid(&report), "{report:#}");
        }
        let several = serde_json::to_value(list(vec![observed(&progressing()).report()])).unwrap();
        assert!(valid(&several));
        assert!(valid(&serde_json::to_value(list(Vec::new())).unwrap()));
    }

    #[test]
    fn what_has_another_form_is_told_from_it() {
        let changes: [fn(&mut Value); 6] = [
            |report| report["apiVersion"] = json!("report.kubectl-canary.dev/v2"),
            |report| report["phase"] = json!("Levitating"),
            |report| report["nextCheckAt"] = json!("tomorrow"),
            |report| report["traffic"]["primary"] = json!("70"),
            |report| report["workloads"][0]["role"] = json!("understudy"),
            |report| {
                report.as_object_mut().unwrap().remove("traffic");
            },
        ];
        for change in changes {
            let mut report = report(&progressing());
            change(&mut report);
            assert!(!valid(&report), "{report:#}");
        }
    }
}
