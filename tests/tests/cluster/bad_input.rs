//! Everything around a Canary that may be wrong. Each gets one clear sentence, in an Event, in a
//! condition and in `kubectl canary status`, and nothing that serves is touched.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "bad_input/hooks.rs"]
mod hooks;
#[path = "bad_input/installation.rs"]
mod installation;
#[path = "bad_input/metrics.rs"]
mod metrics;
#[path = "bad_input/objects.rs"]
mod objects;
#[path = "bad_input/plugin.rs"]
mod plugin;
#[path = "bad_input/routes.rs"]
mod routes;

use anyhow::{Result, bail};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace};
use serde_json::Value;

/// The sentence stands in an Event, in a condition that makes `kubectl canary status` show it, and there.
pub async fn told(test: &Namespace<'_>, sentence: &str) -> Result<()> {
    test.event(sentence).await?;
    let in_condition = |canary: &Value| {
        let conditions = canary["status"]["conditions"].as_array();
        let mut all = conditions.into_iter().flatten();
        all.any(|condition| {
            condition["type"] != "Promoted"
                && condition["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(sentence))
        })
    };
    test.until("canaries/podinfo", in_condition).await?;
    let mut shown = String::new();
    let waited = eventually("kubectl canary status", LIMIT, async || {
        shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
        Ok(one_line(&shown).contains(sentence).then_some(()))
    });
    if waited.await.is_err() {
        bail!("kubectl canary status does not say {sentence:?}:\n{shown}");
    }
    Ok(())
}

/// Lines are wrapped at the terminal's width.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same sentences of an object that nobody may have changed.
pub async fn spec(test: &Namespace<'_>, object: &str) -> Result<Value> {
    Ok(test.get(object).await?["spec"].clone())
}
