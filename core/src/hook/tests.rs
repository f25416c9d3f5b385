// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::json;

use super::*;

fn canary(status: serde_json::Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": {},
        "status": status,
    }))
    .unwrap()
}

fn hook(metadata: serde_json::Value) -> Hook {
    serde_json::from_value(json!({ "name": "gate", "url": "http://gate", "metadata": metadata }))
        .unwrap()
}

fn revised(revision: &str, config: &str) -> Canary {
    canary(json!({ "lastAppliedSpec": revision, "trackedConfigs": { "configmap/x": config } }))
}

#[test]
fn the_payload_is_flaggers() {
    let payload = Payload::new(
        &revised("v1-0123456789ab", "1"),
        &hook(json!({ "cmd": "hey http://podinfo.test/" })),
        Phase::Progressing,
    );
    assert_eq!(
        serde_json::to_value(&payload).unwrap(),
        json!({
            "name": "podinfo",
            "namespace": "test",
            "phase": "Progressing",
            "checksum": payload.checksum,
            "metadata": { "cmd": "hey http://podinfo.test/" },
        })
    );
}

#[test]
fn empty_metadata_is_left_out() {
    let payload = Payload::new(&canary(json!({})), &hook(json!({})), Phase::Failed);
    let written = serde_json::to_value(&payload).unwrap();
    assert_eq!(written.get("metadata"), None);
    assert_eq!(written["phase"], "Failed");
}

#[test]
fn the_checksum_changes_with_the_revision_and_with_the_configuration_and_with_nothing_else() {
    let base = checksum(&revised("v1-a", "1"));
    assert_ne!(base, checksum(&revised("v1-b", "1")));
    assert_ne!(base, checksum(&revised("v1-a", "2")));
    let mut later = revised("v1-a", "1");
    later.status.as_mut().unwrap().canary_weight = 20;
    assert_eq!(base, checksum(&later));
    assert!(!checksum(&canary(json!({}))).is_empty());
}

#[test]
fn an_event_hook_is_told_what_happened_and_the_users_metadata_cannot_change_it() {
    let event = EventFacts {
        message: "New revision detected! Scaling up podinfo.test",
        type_: "Normal",
        at: "2026-11-23T08:31:41.5Z".parse().unwrap(),
    };
    let hook = hook(json!({ "channel": "web", "eventMessage": "all is well", "timestamp": "0" }));
    let payload = Payload::event(&canary(json!({})), &hook, Phase::Progressing, &event);
    assert_eq!(
        serde_json::to_value(payload.metadata).unwrap(),
        json!({
            "channel": "web",
            "eventMessage": "New revision detected! Scaling up podinfo.test",
            "eventType": "Normal",
            "timestamp": "1795422701500",
        })
    );
}

#[test]
fn every_kind_is_read_by_its_name_and_no_name_is_a_rollout() {
    for kind in HookKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert_eq!("".parse(), Ok(HookKind::Rollout));
}

#[test]
fn an_unknown_kind_is_refused_with_the_names_that_exist() {
    let error = "confirm".parse::<HookKind>().unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("unknown webhook type \"confirm\""),
        "{text}"
    );
    assert!(text.contains("confirm-traffic-increase"), "{text}");
}
