//! What a metric server may answer, and templates that cannot be filled in.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use canary_tests::fixtures::prometheus::Answer;
use canary_tests::server::NAMESPACE;
use serde_json::{Value, json};

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

/// A `MetricTemplate` that asks this namespace's Prometheus.
fn template(test: &Namespace<'_>, query: &str) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate",
        "metadata": {"name": "not-found", "namespace": test.name},
        "spec": {
            "provider": {"type": "prometheus", "address": test.prometheus.url()},
            "query": query,
        },
    })
}

/// Makes the template the only judge of the Canary's releases.
fn judged_by_template(canary: &mut Value) {
    canary["spec"]["analysis"]["metrics"] = json!([{
        "name": "not-found", "templateRef": {"name": "not-found"},
        "thresholdRange": {"max": 5}, "interval": "1m",
    }]);
}

/// Stored without a look, as by an older server: our own user's writes are not reviewed.
async fn stored_unseen(test: &Namespace<'_>, object: &Value) -> Result<()> {
    let own = format!("--as=system:serviceaccount:{NAMESPACE}:canary-webhook");
    let create = ["create", "-f", "-", &own, "--as-group=system:masters"];
    test.kubectl_as_admin(&create, &object.to_string())
        .await?
        .ok()?;
    Ok(())
}

/// Another Canary, in a namespace of its own, is released as if nothing had happened.
async fn another_is_released(name: &str) -> Result<()> {
    let other = initialized(name).await?;
    other.set_image("6.0.1").await?;
    other.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_template_with_an_unknown_variable_names_it_and_what_there_is() -> Result<()> {
    let test = namespace("variable").await?;
    let query = "sum(rate(http_requests{\n  app=\"{{ targt }}\"}[{{ interval }}]))";
    let sentence = "line 2: unknown variable targt; a query can use name, namespace, target";
    let refused = test.create(&template(&test, query)).await.unwrap_err();
    assert!(format!("{refused:#}").contains(sentence), "{refused:#}");
    stored_unseen(&test, &template(&test, query)).await?;
    test.create_with(judged_by_template).await?;
    test.phase("Initialized").await?;
    halts(&test, sentence).await
}

#[tokio::test]
async fn a_query_of_32_kib_of_operators_is_refused_when_it_is_written() -> Result<()> {
    let test = namespace("operators").await?;
    let query = format!("{{{{ {}1 }}}}", "not ".repeat(8 * 1024));
    let sentence = "query: the query has 32775 bytes: at most 8192 are read";
    let refused = test.create(&template(&test, &query)).await.unwrap_err();
    assert!(format!("{refused:#}").contains(sentence), "{refused:#}");
    let mut canary = test.canary();
    canary["spec"]["analysis"]["metrics"] =
        json!([{"name": "x", "query": query, "thresholdRange": {"max": 5}}]);
    let refused = test.create(&canary).await.unwrap_err();
    assert!(format!("{refused:#}").contains(sentence), "{refused:#}");
    Ok(())
}

#[tokio::test]
async fn a_stored_query_of_32_kib_of_operators_halts_its_own_release_and_no_other() -> Result<()> {
    let test = namespace("stored").await?;
    let query = format!("{{{{ {}1 }}}}", "1~".repeat(16 * 1024));
    stored_unseen(&test, &template(&test, &query)).await?;
    test.create_with(judged_by_template).await?;
    test.phase("Initialized").await?;
    halts(
        &test,
        "query render error: the query has 32775 bytes: at most 8192 are read",
    )
    .await?;
    another_is_released("beside-stored").await
}

#[tokio::test]
async fn an_inline_query_of_32_kib_that_is_stored_is_said_and_no_other_canary_is_hurt() -> Result<()>
{
    let test = namespace("inline").await?;
    test.create(&deployment()).await?;
    test.create(&route()).await?;
    let mut canary = test.canary();
    canary["metadata"]["namespace"] = json!(test.name);
    let query = format!("{{{{ {}1 }}}}", "not ".repeat(8 * 1024));
    canary["spec"]["analysis"]["metrics"] =
        json!([{"name": "x", "query": query, "thresholdRange": {"max": 5}}]);
    stored_unseen(&test, &canary).await?;
    told(
        &test,
        "spec.analysis.metrics[0].query: the query has 32775 bytes: at most 8192 are read",
    )
    .await?;
    another_is_released("beside-inline").await
}

/// Folded into one line, the second half would be a comment.
#[tokio::test]
async fn a_query_reaches_the_metric_server_as_it_was_written() -> Result<()> {
    let test = namespace("written").await?;
    let query = "# share  of errors\nsum(x{path=\"a  b\",\n  route=~\"{{ printf \"kube(ew)?_%s__%s\" namespace ingress }}\"}) # of all\n/ sum(y)\n";
    test.create(&template(&test, query)).await?;
    test.prometheus.answer("share  of", Answer::value(1.0));
    test.create_with(judged_by_template).await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let place = query.find("{{").unwrap()..query.find("}}").unwrap() + 2;
    let mut sent = query.to_owned();
    sent.replace_range(place, &format!("kube(ew)?_{}__podinfo", test.name));
    let asked = test.prometheus.queries();
    let mut ours = asked.iter().filter(|it| it.text != "vector(1)").peekable();
    assert!(ours.peek().is_some());
    for query in ours {
        assert_eq!(query.text, sent);
    }
    Ok(())
}

#[tokio::test]
async fn a_template_that_is_missing_halts_the_release() -> Result<()> {
    let test = initialized_with("template", judged_by_template).await?;
    let sentence = format!("Metric template not-found.{} error: not found", test.name);
    halts(&test, &sentence).await
}
