//! A primary that exists is found by what it has, whatever target and flags say today.

use anyhow::Result;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, QUICK, Traffic, install, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use serde_json::{Value, json};

use super::{always_ready, labelled, recreate, selector, selectors};
use crate::bad_input::told;
use crate::setup::{at_first_step, image, initialized, namespace};

async fn promoted(test: &Namespace<'_>, version: &str) -> Result<Value> {
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Succeeded"
            && canary["status"]["release"]["outcome"] == "Promoted"
    })
    .await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), format!("stefanprodan/podinfo:{version}"));
    assert_eq!(primary["status"]["readyReplicas"], 1);
    Ok(primary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_made_anew_at_rest_with_another_selector_label_is_released_and_no_request_is_lost()
-> Result<()> {
    const HOST: &str = "storefront.example.com";
    let test = namespace("storefront").await?;
    let mut own = route();
    own["spec"]["http"][0]["match"]["hosts"] = json!([HOST]);
    for object in [
        &labelled("podinfo", &json!({"app": "podinfo"})),
        &own,
        &test.canary(),
    ] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    let apex = test.record("services/podinfo").await?;
    let endpoints = test.record_endpoints("podinfo").await?;
    let traffic = Traffic::start(&test, HOST).await?;

    recreate(&test, &json!({"app": "storefront"}), "6.0.1").await?;
    let primary = promoted(&test, "6.0.1").await?;
    let labels = &primary["spec"]["template"]["metadata"]["labels"];
    assert_eq!(*labels, json!({"app": "podinfo-primary"}));
    assert_eq!(selectors(&apex), [json!({"app": "podinfo-primary"})]);
    let canary = selector(&test, "podinfo-canary").await?;
    assert_eq!(canary, json!({"app": "storefront"}));

    let report = traffic.stop().await;
    let total = report.total();
    println!("{report}");
    assert_eq!((total.lost(), total.errors()), (0, 0), "{report}");
    assert!(total.percent("canary") > 1.0, "no release: {report}");
    assert!(always_ready(&endpoints));
    Ok(())
}

#[tokio::test]
async fn a_target_made_anew_in_mid_release_with_another_selector_label_is_released_anew()
-> Result<()> {
    let test = at_first_step("storefront-midway").await?;
    let apex = test.record("services/podinfo").await?;
    let endpoints = test.record_endpoints("podinfo-primary").await?;
    recreate(&test, &json!({"app": "storefront"}), "6.0.2").await?;
    let quick = json!({"spec": {"analysis": {"interval": "1s"}}});
    test.patch("canaries/podinfo", &quick).await?;
    promoted(&test, "6.0.2").await?;
    assert_eq!(selectors(&apex), [json!({"app": "podinfo-primary"})]);
    assert!(always_ready(&endpoints));
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn another_value_of_a_label_that_is_not_suffixed_leaves_the_primary_found_too() -> Result<()>
{
    let test = namespace("tier").await?;
    super::create(
        &test,
        "podinfo",
        &json!({"app": "podinfo", "tier": "front"}),
    )
    .await?;
    test.phase("Initialized").await?;
    let apex = test.record("services/podinfo").await?;
    let endpoints = test.record_endpoints("podinfo").await?;
    let labels = json!({"app": "podinfo", "tier": "back"});
    recreate(&test, &labels, "6.0.1").await?;
    promoted(&test, "6.0.1").await?;
    let primary = json!({"app": "podinfo-primary", "tier": "front"});
    assert_eq!(selectors(&apex), [primary]);
    assert_eq!(selector(&test, "podinfo-canary").await?, labels);
    assert!(always_ready(&endpoints));
    Ok(())
}

#[tokio::test]
async fn a_target_that_would_find_the_primarys_pods_is_held_with_a_sentence_until_it_does_not()
-> Result<()> {
    let test = initialized("not-apart").await?;
    let apex = test.record("services/podinfo").await?;
    recreate(&test, &json!({"name": "podinfo"}), "6.0.1").await?;
    let message = test.condition("Ready", "False", "SelectorNotApart").await?;
    for part in ["name=podinfo", "app=podinfo-primary", "select by app"] {
        assert!(message.contains(part), "{message}");
    }
    told(&test, "cannot be told from its primary").await?;
    let doctor = test.plugin(ALICE, &["doctor", "podinfo"]).await?;
    assert!(doctor.stdout.contains("SelectorNotApart"), "{doctor:?}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");

    recreate(&test, &json!({"app": "web", "name": "podinfo"}), "6.0.2").await?;
    promoted(&test, "6.0.2").await?;
    // By all labels, once its pods have them.
    let wide = json!({"app": "podinfo-primary", "name": "podinfo"});
    test.until("services/podinfo", |apex| apex["spec"]["selector"] == wide)
        .await?;
    assert_eq!(selectors(&apex), [json!({"app": "podinfo-primary"}), wide]);
    Ok(())
}

#[tokio::test]
async fn an_apex_service_of_the_users_own_goes_back_to_labels_that_the_target_has() -> Result<()> {
    let test = namespace("given-back").await?;
    test.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 80, "targetPort": 9898}]},
    }))
    .await?;
    test.create_with(|canary| canary["spec"]["revertOnDeletion"] = json!(true))
        .await?;
    test.phase("Initialized").await?;
    recreate(&test, &json!({"app": "storefront"}), "6.0.1").await?;
    promoted(&test, "6.0.1").await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let back = selector(&test, "podinfo").await?;
    assert_eq!(back, json!({"app": "storefront"}));
    Ok(())
}

#[tokio::test]
async fn another_order_of_selector_labels_is_for_new_primaries_and_writes_nothing() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(&plane, "order").await?;
    let labels = json!({"app": "podinfo", "name": "web"});
    super::create(&test, "podinfo", &labels).await?;
    test.phase("Initialized").await?;
    let generated = [
        "services/podinfo",
        "services/podinfo-primary",
        "services/podinfo-canary",
        "deployments/podinfo-primary",
    ];
    let mut records = Vec::new();
    for object in generated {
        records.push(test.record(object).await?);
    }
    drop(server);
    let order = ["--selector-labels=name,app", QUICK[0], QUICK[1]];
    let mut server = Server::beside(&plane, &order)?;
    server.logged("leading", LIMIT).await?;

    // A new one goes by the flag: by then the other has been looked at.
    let labels = json!({"app": "api", "name": "api"});
    super::create(&test, "api", &labels).await?;
    super::phase(&test, "api", "Initialized").await?;
    let expected = json!({"app": "api", "name": "api-primary"});
    assert_eq!(selector(&test, "api-primary").await?, expected);
    for (object, record) in generated.iter().zip(&records) {
        let specs = record
            .changes(|object| Some((object["spec"].clone(), object["metadata"]["labels"].clone())));
        assert_eq!(specs.len(), 1, "{object}: {specs:#?}");
    }

    // And it is released, by its own label.
    test.set_image("6.0.1").await?;
    promoted(&test, "6.0.1").await?;
    let expected = json!({"app": "podinfo-primary", "name": "web"});
    assert_eq!(selectors(&records[0]), [expected]);
    Ok(())
}
