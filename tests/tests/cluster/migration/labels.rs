//! A target with several labels: Flagger made its primary with one of them.

use anyhow::Result;
use canary_tests::cluster::ALICE;
use serde_json::{Value, json};

use super::{Left, plane, start};
use crate::selectors::always_ready;

/// The target selects by a second label. Its primary's pods have it if Flagger copied it.
fn two_labels(copied: bool) -> impl Fn(&mut Value) {
    move |object| {
        if object["kind"] != "Deployment" {
            return;
        }
        let primary = object["metadata"]["name"] == "podinfo-primary";
        if !primary {
            object["spec"]["selector"]["matchLabels"]["tier"] = json!("front");
        }
        if !primary || copied {
            object["spec"]["template"]["metadata"]["labels"]["tier"] = json!("front");
        }
    }
}

fn narrow() -> Value {
    json!({"app": "podinfo-primary"})
}

fn wide() -> Value {
    json!({"app": "podinfo-primary", "tier": "front"})
}

#[tokio::test]
async fn services_of_a_primary_that_flagger_made_with_one_label_select_by_all_that_its_pods_have()
-> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger_with(&plane, "copied", "initialized", two_labels(true)).await?;
    let endpoints = left.test.record_endpoints("podinfo").await?;
    let _server = start(&plane).await?;
    left.taken_over().await?;
    left.test
        .until("services/podinfo", |apex| {
            apex["spec"]["selector"] == wide()
        })
        .await?;
    left.test
        .event("was made by Flagger and selects its pods by app=podinfo-primary alone")
        .await?;
    let canary = left.test.get("services/podinfo-canary").await?;
    let of_target = json!({"app": "podinfo", "tier": "front"});
    assert_eq!(canary["spec"]["selector"], of_target);
    assert_eq!(left.templates(), [1, 1], "no pod has moved");

    left.test.set_image("6.0.1").await?;
    left.test.phase("Succeeded").await?;
    assert_eq!(left.selectors(), [narrow(), wide()], "and so they stay");
    assert!(always_ready(&endpoints));
    Ok(())
}

#[tokio::test]
async fn services_of_a_primary_whose_pods_lack_a_label_keep_finding_them_and_say_so() -> Result<()>
{
    let plane = plane().await?;
    let left = Left::by_flagger_with(&plane, "lacking", "initialized", two_labels(false)).await?;
    let endpoints = left.test.record_endpoints("podinfo").await?;
    let _server = start(&plane).await?;
    left.taken_over().await?;
    let message = left
        .test
        .condition("SharedSelector", "True", "FewerLabels")
        .await?;
    for part in ["podinfo-primary", "tier=front"] {
        assert!(message.contains(part), "{message}");
    }
    let doctor = left.test.plugin(ALICE, &["doctor", "podinfo"]).await?;
    assert!(doctor.stdout.contains("SharedSelector"), "{doctor:?}");

    // Pods of the promoted template have it.
    left.test.set_image("6.0.1").await?;
    left.test.phase("Succeeded").await?;
    left.test
        .until("services/podinfo", |apex| {
            apex["spec"]["selector"] == wide()
        })
        .await?;
    left.test
        .until("canaries/podinfo", |canary| {
            !canary["status"]["conditions"]
                .to_string()
                .contains("SharedSelector")
        })
        .await?;
    assert_eq!(left.selectors(), [narrow(), wide()]);
    assert!(always_ready(&endpoints));
    Ok(())
}
