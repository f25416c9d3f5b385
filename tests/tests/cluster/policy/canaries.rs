//! What a Canary must look like.

use serde_json::{Value, json};

use super::{ALICE, CREATE, Site, canary};

/// `analysis` is refused because of `field`, with that sentence.
async fn refuses(site: &Site, analysis: Value, field: &str, sentence: &str) {
    let why = format!(
        "CanaryPolicy {}: spec.canary.{field}: {sentence}",
        site.name
    );
    let object = canary(analysis).to_string();
    let output = site.refused(ALICE, &CREATE, &object, &why).await;
    assert!(output.stderr.contains("(Forbidden)"), "{output:?}");
}

async fn accepts(site: &Site, analysis: Value) {
    let object = canary(analysis).to_string();
    let args = ["create", "--dry-run=server", "-f", "-"];
    site.allowed(ALICE, &args, &object).await;
}

#[tokio::test]
async fn no_step_adds_more_than_the_cap() {
    let site = Site::with(json!({"canary": {"maxStepWeight": 20}})).await;
    let field = "maxStepWeight";
    let single = "a step of spec.analysis.stepWeight adds 21: let none add more than 20";
    refuses(
        &site,
        json!({"stepWeight": 21, "maxWeight": 50}),
        field,
        single,
    )
    .await;
    for (steps, adds) in [
        (json!([21]), 21),
        (json!([10, 31, 50]), 21),
        (json!([5, 10, 100]), 90),
    ] {
        let sentence =
            format!("a step of spec.analysis.stepWeights adds {adds}: let none add more than 20");
        refuses(&site, json!({"stepWeights": steps}), field, &sentence).await;
    }
    accepts(&site, json!({"stepWeight": 20, "maxWeight": 100})).await;
    accepts(&site, json!({"stepWeights": [20, 40, 41, 60]})).await;
    // Blue/green and A/B releases have no steps.
    accepts(&site, json!({"iterations": 10})).await;
}

#[tokio::test]
async fn no_weight_goes_beyond_the_cap() {
    let site = Site::with(json!({"canary": {"maxWeight": 50}})).await;
    let over = |field: &str, weight: i64| {
        format!("spec.analysis.{field} goes up to {weight}: let it end at 50 or below")
    };
    for (analysis, sentence) in [
        (
            json!({"stepWeight": 10, "maxWeight": 51}),
            over("maxWeight", 51),
        ),
        // Without one a release goes up to all of it.
        (json!({"stepWeight": 10}), over("maxWeight", 100)),
        (json!({"stepWeights": [10, 51]}), over("stepWeights", 51)),
    ] {
        refuses(&site, analysis, "maxWeight", &sentence).await;
    }
    accepts(&site, json!({"stepWeight": 10, "maxWeight": 50})).await;
    accepts(&site, json!({"stepWeights": [10, 50]})).await;
    accepts(&site, json!({"iterations": 10})).await;
}

#[tokio::test]
async fn an_analysis_has_enough_metrics() {
    let site = Site::with(json!({"canary": {"minMetrics": 2}})).await;
    let metric = |name: &str| json!({"name": name, "thresholdRange": {"min": 99}});
    let with = |metrics: Value| json!({"stepWeight": 10, "maxWeight": 50, "metrics": metrics});
    let (one, two) = (metric("request-success-rate"), metric("request-duration"));
    let sentence = |n| format!("spec.analysis.metrics has {n}: give it at least 2");
    refuses(&site, with(json!([])), "minMetrics", &sentence(0)).await;
    refuses(&site, json!({"stepWeight": 10}), "minMetrics", &sentence(0)).await;
    refuses(&site, with(json!([one])), "minMetrics", &sentence(1)).await;
    accepts(&site, with(json!([one, two]))).await;
}

#[tokio::test]
async fn nobody_skips_the_analysis() {
    let site = Site::with(json!({"canary": {"forbidSkipAnalysis": true}})).await;
    let sentence = "every release needs an analysis";
    // Without a step it would be promoted at once.
    let none = json!({"stepWeight": 0});
    refuses(&site, none, "forbidSkipAnalysis", sentence).await;
    let mut skipping = canary(json!({"stepWeight": 10}));
    skipping["spec"]["skipAnalysis"] = json!(true);
    let why = format!(
        "CanaryPolicy {}: spec.canary.forbidSkipAnalysis: {sentence}",
        site.name
    );
    site.refused(ALICE, &CREATE, &skipping.to_string(), &why)
        .await;

    skipping["spec"]["skipAnalysis"] = json!(false);
    let args = ["create", "--dry-run=server", "-f", "-"];
    site.allowed(ALICE, &args, &skipping.to_string()).await;
    for analysis in [
        json!({"stepWeight": 10}),
        json!({"stepWeights": [1, 100]}),
        json!({"iterations": 1}),
    ] {
        accepts(&site, analysis).await;
    }
}

#[tokio::test]
async fn what_did_not_get_worse_passes() {
    let site = Site::new().await;
    let mut old = canary(json!({"stepWeight": 40, "maxWeight": 80, "interval": "10s"}));
    old["spec"]["skipAnalysis"] = json!(true);
    site.given(old).await;
    site.policy(
        &site.name,
        json!({"canary": {
            "maxStepWeight": 20, "maxWeight": 50, "minMetrics": 1, "forbidSkipAnalysis": true,
        }}),
    )
    .await;
    let analysis = |change: Value| json!({"spec": {"analysis": change}});
    for (worse, field) in [
        (json!({"stepWeight": 41}), "maxStepWeight"),
        (json!({"maxWeight": 81}), "maxWeight"),
    ] {
        let why = format!("CanaryPolicy {}: spec.canary.{field}: ", site.name);
        let output = site
            .patch_refused(ALICE, "canary/podinfo", analysis(worse), &why)
            .await;
        assert_eq!(
            output.stderr.matches("spec.canary.").count(),
            2,
            "one, as warning and error: {output:?}"
        );
    }
    for better in [
        json!({"interval": "20s"}),
        json!({"stepWeight": 40}),
        json!({"stepWeight": 30, "maxWeight": 60}),
    ] {
        site.patch(ALICE, "canary/podinfo", analysis(better)).await;
    }
    let finalizer = json!({"metadata": {"finalizers": ["example.com/keep"], "labels": {"a": "b"}}});
    site.patch(ALICE, "canary/podinfo", finalizer).await;
    // What was better counts from then on.
    let back = analysis(json!({"stepWeight": 31}));
    site.patch_refused(ALICE, "canary/podinfo", back, "spec.canary.maxStepWeight")
        .await;
    site.patch(
        ALICE,
        "canary/podinfo",
        json!({"spec": {"skipAnalysis": false}}),
    )
    .await;
    let again = json!({"spec": {"skipAnalysis": true}});
    site.patch_refused(
        ALICE,
        "canary/podinfo",
        again,
        "spec.canary.forbidSkipAnalysis",
    )
    .await;
    let loosen = json!({"metadata": {"finalizers": null}});
    site.patch(ALICE, "canary/podinfo", loosen).await;
}
