//! Webhooks that do not answer as they should.

use anyhow::Result;
use canary_tests::fixtures::hooks::{Hooks, Reply};
use serde_json::json;

use super::told;
use crate::setup::initialized_with;

/// A check of every step that answers like that halts the release with that sentence.
async fn halts(name: &str, reply: Reply, sentence: &str) -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/check", reply);
    let test = initialized_with(name, |canary| {
        canary["spec"]["analysis"]["webhooks"] = json!([{
            "name": "check", "type": "rollout", "url": hooks.url("/check"), "timeout": "1s", "retries": 0,
        }]);
    })
    .await?;
    test.set_image("6.0.1").await?;
    let halt = format!(
        "Halt podinfo.{} advancement external check check failed",
        test.name
    );
    told(&test, &halt).await?;
    told(&test, sentence).await?;
    test.phase("Failed").await?;
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_never_answers_halts_the_release_after_its_timeout() -> Result<()> {
    halts("hook-hangs", Reply::Hang, "timed out after 1s").await
}

#[tokio::test]
async fn a_webhook_that_answers_500_halts_the_release_with_its_words() -> Result<()> {
    let reply = Reply::Status(500, "the tests failed".to_owned());
    halts("hook-500", reply, "giving up after 1 attempt(s)").await
}

#[tokio::test]
async fn a_webhook_that_answers_two_megabytes_is_not_listened_to() -> Result<()> {
    halts(
        "hook-big",
        Reply::Big(2 << 20),
        "the response is longer than",
    )
    .await
}

#[tokio::test]
async fn what_a_webhooks_url_holds_of_secrets_stands_nowhere() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/check", Reply::status(500));
    let secret = |path: &str| {
        let url = hooks.url(path).replace("://", "://alice:hunter2@");
        format!("{url}?token=hunter2")
    };
    let test = initialized_with("hook-url", |canary| {
        let check = json!({
            "name": "check", "type": "rollout", "url": secret("/check"), "timeout": "1s", "retries": 0,
        });
        let gate = json!({"name": "gate", "type": "confirm-rollout", "url": secret("/gate")});
        canary["spec"]["analysis"]["webhooks"] = json!([gate, check]);
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.phase("Failed").await?;
    let canary = test.get("canaries/podinfo").await?;
    let said = format!("{}{:?}", canary["status"], test.list("events").await?);
    assert!(said.contains("/check?…"), "{said}");
    assert!(said.contains("confirm-rollout gate "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    Ok(())
}
