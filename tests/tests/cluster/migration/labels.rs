//! A target with several labels: Flagger made its primary with one of them.

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace};
use canary_tests::plugin::plugin;
use serde_json::{Value, json};

use super::{Left, plane, start};
use crate::selectors::{self, always_ready, recreate};

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

#[tokio::test]
async fn an_uninstallation_for_flagger_names_each_canary_that_one_label_would_not_serve()
-> Result<()> {
    let plane = plane().await?;
    let mut server = start(&plane).await?;
    let renamed = Namespace::new(&plane, "renamed").await?;
    renamed.create_all().await?;
    let chart = Namespace::new(&plane, "chart").await?;
    for (name, component) in [("podinfo", "a"), ("worker", "b")] {
        let labels = json!({"app": "shop", "component": component});
        selectors::create(&chart, name, &labels).await?;
    }
    let plain = Namespace::new(&plane, "plain").await?;
    plain.create_all().await?;
    for test in [&renamed, &chart, &plain] {
        test.phase("Initialized").await?;
    }
    selectors::phase(&chart, "worker", "Initialized").await?;
    recreate(&renamed, &json!({"app": "storefront"}), "6.0.1").await?;
    renamed.phase("Succeeded").await?;
    server.process().terminate()?;

    let words = ["uninstall", "--for-flagger", "--yes"];
    let refused = plugin(plane.admin_kubeconfig(), &words).await?;
    assert_ne!(refused.code, Some(0));
    for part in [
        format!(
            "{}/podinfo: its Services would select app=storefront-primary, which no pod",
            renamed.name
        ),
        format!("{}/podinfo: its Services would select app=shop", chart.name),
        format!("{}/worker: its Services would select app=shop", chart.name),
        "Deployment worker, Deployment worker-primary too".to_owned(),
        "--force".to_owned(),
    ] {
        assert!(refused.stderr.contains(&part), "{part}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains(&plain.name), "{}", refused.stderr);
    let canary = plain.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Initialized", "nothing was done");

    let words = ["uninstall", "--for-flagger", "--force", "--yes"];
    plugin(plane.admin_kubeconfig(), &words).await?.ok()?;
    let canary = renamed.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Initializing");
    Ok(())
}
