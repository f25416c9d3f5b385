//! How an answer reads on the wire.

use serde_json::{Value, json};

use super::super::answer::{Answer, Refusal};
use super::{World, canary, deployment, review, update, with};

fn wire(answer: Answer) -> Value {
    let new = canary();
    let request = serde_json::from_value(update("alice", &new, &new)["request"].clone()).unwrap();
    serde_json::to_value(answer.response(&request).unwrap()).unwrap()
}

#[test]
fn what_is_forbidden_is_a_403_with_every_reason() {
    let refusal = |message: &str| Refusal {
        by: "policy",
        message: message.to_owned(),
    };
    let answer = Answer::forbidden(vec![
        refusal("frozen by prod"),
        refusal("frozen by year-end"),
    ])
    .warn(["thaws on Monday".to_owned()])
    .audit("denied-by", "prod");
    assert_eq!(answer.labels(), ("denied", "policy"));
    let wire = wire(answer);
    assert_eq!(wire["allowed"], false);
    let status = &wire["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    assert_eq!(status["message"], "frozen by prod; frozen by year-end");
    assert_eq!(wire["warnings"], json!(["thaws on Monday"]));
    assert_eq!(wire["auditAnnotations"], json!({"denied-by": "prod"}));
}

#[test]
fn warnings_are_cut_only_where_the_api_server_would_drop_some() {
    let long = "é".repeat(1000);
    let few = vec![long.clone(); 4];
    let told = wire(Answer::allow().warn(few.clone()));
    assert_eq!(told["warnings"], json!(few), "4000 runes are passed on");

    let told = wire(Answer::allow().warn(vec![long; 40]));
    let told = told["warnings"].as_array().unwrap();
    let runes = |text: &Value| text.as_str().unwrap().chars().count();
    assert!(told.iter().all(|text| runes(text) <= 256));
    assert!(told.iter().map(runes).sum::<usize>() <= 4096);
    assert_eq!(told.last().unwrap(), "25 more warnings are left out");
    assert_eq!(told.len(), 40 - 25 + 1);
}

#[tokio::test]
async fn what_starts_a_release_is_noted_in_the_audit_log() {
    let change = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    let reply = World::of([canary()]).serve().ask("/mutate", &change).await;
    assert_eq!(reply.0["auditAnnotations"], json!({"canary": "podinfo"}));
}

#[tokio::test]
async fn where_no_policy_asks_for_rights_a_decision_without_them_is_forbidden() {
    let uid = canary()["metadata"]["uid"].clone();
    let wish = |verb: &str| {
        let wish = format!("{verb} v1-0123456789ab {} 1", uid.as_str().unwrap());
        with(&canary(), |it| {
            it["metadata"]["annotations"] = json!({"kubectl-canary.dev/request": wish});
        })
    };
    let skips = with(&canary(), |it| it["spec"]["skipAnalysis"] = json!(true));
    let labelled = with(&canary(), |it| it["metadata"]["labels"] = json!({"a": "b"}));
    let no = Some(Ok(false));
    let unknown = Some(Err("connection refused".to_owned()));
    for (rights, new, why) in [
        (no.clone(), wish("promote"), "lacks verb promote on"),
        (no.clone(), wish("pause"), "lacks verb promote on"),
        (no.clone(), wish("rollback"), "lacks verb rollback on"),
        (no.clone(), skips, "which setting spec.skipAnalysis needs"),
        (unknown, wish("promote"), "connection refused; try again"),
        (no, labelled, ""),
        (Some(Ok(true)), wish("promote"), ""),
        (None, wish("promote"), ""),
    ] {
        let server = World {
            rights,
            ..World::of([canary()])
        }
        .serve();
        let reply = server
            .ask("/validate", &update("alice", &canary(), &new))
            .await;
        assert_eq!(reply.allowed(), why.is_empty(), "{why}: {:?}", reply.0);
        if !why.is_empty() {
            assert_eq!(reply.0["status"]["code"], 403);
            let message = reply.0["status"]["message"].as_str().unwrap();
            assert!(message.contains(why), "{message}");
            let metrics = server.metrics();
            assert!(
                metrics.contains(r#"decision="denied",reason="rights"} 1"#),
                "{metrics}"
            );
        }
    }
    // What nobody may refuse needs no right.
    let gone = review("DELETE", "alice", Some(&canary()), None);
    let server = World {
        rights: Some(Ok(false)),
        ..World::of([canary()])
    };
    assert!(server.serve().ask("/validate", &gone).await.allowed());
}
