//! What a policy has against what a person asks for.

use super::*;

const VERBS: [Verb; 6] = Verb::ALL;

fn releasing(by: Option<&str>) -> Canary {
    canary_of(
        json!({}),
        json!({
            "phase": "Progressing",
            "release": { "number": 1, "revision": "v1-00000000000b", "startedAt": NOW, "by": by },
        }),
    )
}

/// The fields that stand against each verb.
fn against(
    policy: &Value,
    canary: &Canary,
    by: Option<&str>,
    reason: Option<&str>,
) -> Vec<(&'static str, String)> {
    let policy = read(policy.clone());
    VERBS
        .iter()
        .flat_map(|verb| {
            let text = format!("{verb} v1-00000000000b uid id");
            let asked = Asked {
                canary,
                request: &text.parse().unwrap(),
                by,
                reason,
                now: at(NOW),
            };
            let found = request(&policy, &asked);
            found
                .into_iter()
                .map(|o| (verb.as_str(), o.field))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_promotion_gives_a_reason_and_nothing_else_has_to() {
    let policy = json!({ "approvals": { "promote": { "requireReason": true } } });
    let canary = releasing(None);
    let field = "spec.approvals.promote.requireReason".to_owned();
    assert_eq!(
        against(&policy, &canary, Some("bob"), None),
        [("promote", field.clone()), ("promote-full", field)]
    );
    assert!(against(&policy, &canary, Some("bob"), Some("ok")).is_empty());
}

#[test]
fn who_started_a_release_does_not_promote_it() {
    let policy = json!({ "approvals": { "promote": { "notByAuthor": true } } });
    let field = "spec.approvals.promote.notByAuthor".to_owned();
    let both = [("promote", field.clone()), ("promote-full", field)];
    let anns = releasing(Some("ann"));
    assert_eq!(against(&policy, &anns, Some("ann"), None), both);
    assert_eq!(
        against(&policy, &anns, None, None),
        both,
        "she may be the one"
    );
    assert!(against(&policy, &anns, Some("bob"), None).is_empty());
    // A release by nobody has no author: a changed ConfigMap, for one.
    assert!(against(&policy, &releasing(None), Some("ann"), None).is_empty());
}

#[test]
fn in_a_freeze_nobody_promotes_or_retries_and_everybody_rolls_back() {
    let frozen = |on_freeze: Value| {
        json!({ "release": {
        "onFreeze": on_freeze,
        "freezeWindows": [{ "name": "w", "start": "2026-11-23T12:00:00Z", "end": "2026-11-23T13:00:00Z" }],
    } })
    };
    let canary = releasing(None);
    let verbs = |policy: &Value| {
        let found = against(policy, &canary, Some("bob"), None);
        found.into_iter().map(|(verb, _)| verb).collect::<Vec<_>>()
    };
    assert_eq!(
        verbs(&frozen(json!({}))),
        ["promote", "promote-full", "retry"]
    );
    assert_eq!(verbs(&frozen(json!({ "running": "Continue" }))), ["retry"]);
    assert_eq!(
        verbs(&frozen(json!({ "newReleases": "Allow" }))),
        ["promote", "promote-full"]
    );
}
