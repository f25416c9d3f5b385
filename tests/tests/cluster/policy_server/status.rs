//! What the leader writes of a policy, and what it costs between two edges.

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{LIMIT, Namespace};
use canary_tests::plugin::plugin;
use serde_json::{Value, json};

use super::{apply, freeze, known, policy, stored};
use crate::alone::Alone;
use crate::setup::namespace;

#[tokio::test]
async fn a_policy_says_whether_it_can_be_read_and_is_enforced() -> Result<()> {
    let test = namespace("conditions").await?;
    let name = policy(&test, "prod", json!({"release": freeze(3600, 7200)})).await?;
    let status = known(&test, &name, |_| true).await?;
    for (at, kind) in ["Ready", "PoliciesInstalled"].into_iter().enumerate() {
        let condition = &status["conditions"][at];
        assert_eq!(
            (&condition["type"], &condition["status"]),
            (&json!(kind), &json!("True"))
        );
    }
    assert_eq!(status["nextFreeze"]["name"], "year-end");
    let about = |policy: &Value| {
        ["enforcement", "deployments", "generated"].map(|it| {
            policy["metadata"]["labels"][format!("policy.kubectl-canary.dev/{it}")].clone()
        })
    };
    assert_eq!(
        about(&stored(&test, &name).await?),
        ["Deny", "true", "false"],
        "set by admission, for the API server to find it by"
    );
    // The same object again is no news; another spec is.
    let rules = json!({"spec": {"images": {"requireDigest": true}}}).to_string();
    let patch = ["patch", "canarypolicy", &name, "--type=merge", "-p", &rules];
    test.kubectl_as_admin(&patch, "").await?.ok()?;
    known(&test, &name, |status| status["observedGeneration"] == 2).await?;
    Ok(())
}

/// The most that the schema takes for `spec.canary.maxWeight`.
async fn bound(alone: &Alone, most: Value) -> Result<()> {
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/canary/properties/maxWeight/maximum";
    let patch = json!([{"op": "replace", "path": field, "value": most}]).to_string();
    let crd = "canarypolicies.policy.kubectl-canary.dev";
    let patch = ["patch", "crd", crd, "--type=json", "-p", &patch];
    alone.plane.kubectl(&patch).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_policy_that_got_in_while_nobody_looked_says_what_is_wrong_with_it() -> Result<()> {
    let alone = Alone::turn().await?;
    let test = Namespace::new(alone.plane, "policy-unseen").await?;
    // The schema knows neither zones nor calendars, and no server is there to say so.
    let mut rules = freeze(-60, 3600);
    let windows = rules["freezeWindows"].as_array_mut().unwrap();
    windows.extend([
        json!({"name": "zone", "schedule": "0 18 * * 5", "duration": "1h", "timeZone": "Mars/Olympus"}),
        json!({"name": "never", "schedule": "0 0 30 2 *", "duration": "1h"}),
    ]);
    let name = format!("{}-unseen", test.name);
    // Nor how long a duration is.
    rules["minInterval"] = json!("18446744073709551615s1s");
    // Nor does it look at what was stored before it had a bound.
    bound(&alone, json!(1000)).await?;
    let spec = json!({"release": rules, "canary": {"maxWeight": 101}});
    eventually("the looser schema", LIMIT, async || {
        let output = apply(&test, &name, spec.clone()).await?;
        Ok((output.code == Some(0)).then_some(()))
    })
    .await?;
    bound(&alone, json!(100)).await?;
    let server = alone.server("leading").await?;
    let status = known(&test, &name, |status| status["conditions"].is_array()).await?;
    let ready = &status["conditions"][0];
    assert_eq!(
        (&ready["type"], &ready["status"], &ready["reason"]),
        (&json!("Ready"), &json!("False"), &json!("Invalid"))
    );
    let why = "spec.canary.maxWeight: must be from 1 to 100; \
               spec.release.freezeWindows[zone].timeZone: \"Mars/Olympus\" is no time zone: \
               write an IANA name, as Europe/Berlin; \
               spec.release.freezeWindows[never].schedule: \"0 0 30 2 *\" never comes: \
               name a day that exists; \
               spec.release.minInterval: \"18446744073709551615s1s\" is no duration: \
               write it as 30m or 1h30m";
    assert_eq!(ready["message"], why);
    // What can be read of it holds.
    assert_eq!(
        (&status["frozen"], &status["window"]),
        (&json!(true), &json!("year-end"))
    );
    let admin = alone.plane.admin_kubeconfig();
    let listed = plugin(admin, &["policy", "list"]).await?.ok()?;
    assert!(
        listed.contains(&format!("{name} is not ready: {why}")),
        "{listed}"
    );
    let spec =
        json!({"spec": {"release": null, "canary": null, "images": {"requireDigest": true}}});
    let spec = spec.to_string();
    let mend = ["patch", "canarypolicy", &name, "--type=merge", "-p", &spec];
    test.kubectl_as_admin(&mend, "").await?.ok()?;
    let mended = |status: &Value| status["conditions"][0]["status"] == "True";
    let status = known(&test, &name, mended).await?;
    assert_eq!(status["frozen"], false);
    drop(server);
    Ok(())
}

#[tokio::test]
async fn policies_need_no_requests_between_their_edges() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let test = Namespace::new(alone.plane, "policy-idle").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    policy(&test, "frozen", json!({"release": freeze(-60, 3600)})).await?;
    policy(&test, "free", json!({"release": freeze(3600, 7200)})).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let seen = alone.requests()?.len();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(alone.requests()?[seen..], []);
    Ok(())
}
