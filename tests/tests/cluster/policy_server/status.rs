//! What the leader writes of a policy, and what it costs between two edges.

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::Namespace;
use serde_json::json;

use super::{freeze, known, policy};
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
    // The same object again is no news; another spec is.
    let rules = json!({"spec": {"images": {"requireDigest": true}}}).to_string();
    let patch = ["patch", "canarypolicy", &name, "--type=merge", "-p", &rules];
    test.kubectl_as_admin(&patch, "").await?.ok()?;
    known(&test, &name, |status| status["observedGeneration"] == 2).await?;
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
