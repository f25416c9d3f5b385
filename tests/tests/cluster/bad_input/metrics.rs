//! What a metric server may answer, and templates that cannot be filled in.

use anyhow::Result;
use canary_tests::cluster::Namespace;
use canary_tests::fixtures::prometheus::Answer;
use serde_json::json;

use super::told;
use crate::setup::{initialized, initialized_with, namespace};

/// The release halts with that sentence, and fails at its threshold with the traffic on the primary.
async fn halts(test: &Namespace<'_>, sentence: &str) -> Result<()> {
    test.set_image("6.0.1").await?;
    told(test, sentence).await?;
    test.phase("Failed").await?;
    told(test, sentence).await?;
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

async fn halts_at(name: &str, answer: Answer, sentence: &str) -> Result<()> {
    let test = initialized(name).await?;
    test.prometheus.answer("apisix_http_status", answer);
    halts(&test, sentence).await
}

#[tokio::test]
async fn a_metric_server_that_answers_500_halts_the_release() -> Result<()> {
    let sentence = "Prometheus query failed: error response: Status 500 Internal Server Error: internal: scripted";
    halts_at("error", Answer::error(), sentence).await
}

#[tokio::test]
async fn a_web_page_instead_of_metrics_halts_the_release() -> Result<()> {
    let sentence = "Prometheus query failed: the answer is not that of a metric server";
    halts_at("html", Answer::html(), sentence).await
}

#[tokio::test]
async fn an_empty_result_halts_the_release() -> Result<()> {
    let sentence =
        "Halt advancement no values found for apisix metric request-success-rate probably";
    halts_at("empty", Answer::empty(), sentence).await
}

#[tokio::test]
async fn a_value_that_is_no_number_halts_the_release() -> Result<()> {
    let sentence =
        "Halt advancement no values found for apisix metric request-success-rate probably";
    halts_at("nan", Answer::value(f64::NAN), sentence).await
}

#[tokio::test]
async fn several_series_halt_the_release() -> Result<()> {
    let sentence = "Prometheus query failed: query returned multiple values";
    halts_at("several", Answer::Values(vec![100.0, 100.0]), sentence).await
}

#[tokio::test]
async fn a_metric_server_that_is_down_is_said_at_once_and_halts_releases() -> Result<()> {
    let test = initialized_with("down", |canary| {
        canary["spec"]["metricsServer"] = json!("http://127.0.0.1:9");
    })
    .await?;
    told(
        &test,
        "Error checking metric providers: prometheus http://127.0.0.1:9 not available",
    )
    .await?;
    halts(&test, "connection refused").await
}

#[tokio::test]
async fn a_metric_server_that_is_named_anew_is_asked_at_once_and_no_longer_spoken_of() -> Result<()>
{
    let test = initialized_with("renamed", |canary| {
        canary["spec"]["metricsServer"] = json!("http://alice:secret@127.0.0.1:9/?token=secret");
    })
    .await?;
    told(&test, "prometheus http://127.0.0.1:9/?… not available").await?;
    let server = json!({"spec": {"metricsServer": test.prometheus.url()}});
    test.patch("canaries/podinfo", &server).await?;
    test.event("all the metrics providers are available!")
        .await?;
    let canary = test
        .until("canaries/podinfo", |canary| {
            !canary["status"]["conditions"]
                .to_string()
                .contains("Halted")
        })
        .await?;
    let said = format!("{}{:?}", canary["status"], test.events().await?);
    assert!(!said.contains("secret"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_metric_server_that_never_answers_halts_the_release_after_five_seconds() -> Result<()> {
    let test = initialized_with("hangs", |canary| {
        canary["spec"]["analysis"]["threshold"] = json!(1);
    })
    .await?;
    test.prometheus.answer("apisix_http_status", Answer::Hang);
    halts(&test, "timed out after 5s").await
}

#[tokio::test]
async fn a_template_with_an_unknown_variable_names_it_and_what_there_is() -> Result<()> {
    let test = namespace("variable").await?;
    let template = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate",
        "metadata": {"name": "not-found"},
        "spec": {
            "provider": {"type": "prometheus", "address": test.prometheus.url()},
            "query": "sum(rate(http_requests{app=\"{{ targt }}\"}[{{ interval }}]))",
        },
    });
    test.create(&template).await?;
    test.create_with(|canary| {
        canary["spec"]["analysis"]["metrics"] = json!([{
            "name": "not-found", "templateRef": {"name": "not-found"},
            "thresholdRange": {"max": 5}, "interval": "1m",
        }]);
    })
    .await?;
    test.phase("Initialized").await?;
    halts(
        &test,
        "unknown variable targt: a query can use name, namespace, target",
    )
    .await
}

#[tokio::test]
async fn a_template_that_is_missing_halts_the_release() -> Result<()> {
    let test = initialized_with("template", |canary| {
        canary["spec"]["analysis"]["metrics"] = json!([{
            "name": "not-found", "templateRef": {"name": "not-found"},
            "thresholdRange": {"max": 5}, "interval": "1m",
        }]);
    })
    .await?;
    let sentence = format!("Metric template not-found.{} error: not found", test.name);
    halts(&test, &sentence).await
}
