//! The releases of the user's scenario, each in a place of its own.

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::fixtures::load::Reply;
use canary_tests::node::Node;
use canary_tests::scenario;
use canary_tests::scenario::{HOST, PROMETHEUS_PORT};
use serde_json::{Value, json};

use super::site::{MOMENT, Seen, Site};
use super::user_file;

/// The user's own objects in namespace `test`.
pub struct User {
    pub promoted: Promoted,
    pub bad: Seen,
    /// The answer for the user's route after the rollback.
    pub after: Reply,
    /// Requests that the gateway itself had to answer with 502, 503 or 504, in all.
    pub refused: f64,
}

/// The same up to the end of the first release.
pub struct Promoted {
    /// The gateway's answer for the user's route before there was a Canary.
    pub before: Reply,
    /// What is in the namespace once Initialized, as `kind/name`.
    pub objects: Vec<String>,
    pub autoscaler: Value,
    pub at_rest: Value,
    /// The Canary when it was Initialized.
    pub initialized: Value,
    /// Requests that the gateway itself had to answer until then.
    pub refused: f64,
    pub good: Seen,
    pub columns: String,
}

/// Two releases of one application.
pub struct TwoReleases {
    pub good: Seen,
    pub bad: Seen,
}

/// A release that the user's MetricTemplate lets pass, and one that it stops.
pub struct Custom {
    pub few_answers: Judged,
    pub many_answers: Judged,
}

pub struct Judged {
    pub seen: Seen,
    /// For each stored check that has a value: that value, and Prometheus' own for the same moment.
    pub values: Vec<(f64, f64)>,
}

/// Lines 3 to 6, as a user types them. Nobody but the user's own webhook asks anything.
pub async fn promoted(node: &Node) -> Result<Promoted> {
    let site = Site::new(node, "test", "podinfo").await?;
    let apply = |file: &str| format!("apply -f {}", user_file(file));
    site.kubectl(&apply("podinfo-apisixroute.yaml")).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = site.ask("/api/info").await?;
    site.kubectl(&apply("podinfo-canary.yaml")).await?;
    site.initialized().await?;
    let objects = "get deployments,hpa,services,apisixroutes -o name";
    let objects = site.kubectl(objects).await?;
    let autoscaler = site.get("horizontalpodautoscalers", "podinfo-primary");
    Ok(Promoted {
        before,
        objects: objects.lines().map(str::to_owned).collect(),
        autoscaler: autoscaler.await?,
        at_rest: site.get("deployments", "podinfo").await?,
        initialized: site.get("canaries", "podinfo").await?,
        refused: refused(node).await?,
        good: site.release("6.0.1", "Succeeded").await?,
        columns: site.kubectl("get canaries --all-namespaces").await?,
    })
}

/// Line 8: errors by what the gateway is asked for.
pub async fn user(node: &Node, promoted: Result<Promoted>) -> Result<User> {
    let promoted = promoted?;
    let site = Site::new(node, "test", "podinfo").await?;
    quiet(node).await?;
    // Not the rate of the user's load test: in step with it, all errors would meet one side.
    let load = site.load("/status/500", 23);
    let mut bad = site.release("6.0.2", "Failed").await?;
    bad.traffic = load.stop().await.total();
    Ok(User {
        promoted,
        bad,
        after: site.ask("/api/info").await?,
        refused: refused(node).await?,
    })
}

async fn refused(node: &Node) -> Result<f64> {
    counted(node, r#",code=~"502|503|504""#).await
}

/// Waits until the load test that the first release asked for has ended.
async fn quiet(node: &Node) -> Result<()> {
    let mut before = counted(node, "").await?;
    loop {
        let now = counted(node, "").await?;
        if now <= before {
            return Ok(());
        }
        before = now;
    }
}

/// Requests of the user's host so far, as the next scrape finds them: there is one every five seconds.
async fn counted(node: &Node, labels: &str) -> Result<f64> {
    tokio::time::sleep(Duration::from_secs(6)).await;
    let series = format!(r#"apisix_http_status{{matched_host="{HOST}"{labels}}}"#);
    scenario::query(node, &format!("sum({series}) or vector(0)")).await
}

/// Two replicas, a load that was there before, and an image whose own environment makes it fail.
pub async fn two(node: &Node) -> Result<TwoReleases> {
    let site = Site::new(node, "two", "podinfo").await?;
    site.deploy(|yaml| yaml.replace("minReplicas: 1", "minReplicas: 2"))
        .await?;
    site.adopt(|canary| {
        // A machine that plays nine releases at once may be slow at times.
        canary["spec"]["analysis"]["metrics"][1]["thresholdRange"]["max"] = json!(5000);
    })
    .await?;
    let load = site.load("/api/info", 20);
    let mut good = site.release("6.0.1", "Succeeded").await?;
    good.traffic = load.report().total();
    let mut bad = site.release("6.0.2-faulty", "Failed").await?;
    bad.traffic = load.stop().await.total();
    Ok(TwoReleases { good, bad })
}

/// A canary that answers nothing but errors.
pub async fn errors(node: &Node) -> Result<Seen> {
    let site = without_webhooks(node, "errors", &json!({})).await?;
    let load = site.load("/status/500", 20);
    let mut seen = site.release("6.0.2", "Failed").await?;
    seen.traffic = load.stop().await.total();
    Ok(seen)
}

/// A canary that answers late.
pub async fn delay(node: &Node) -> Result<Seen> {
    let site = without_webhooks(node, "delay", &json!({"threshold": 3})).await?;
    let load = site.load("/delay/1", 20);
    let mut seen = site.release("6.0.2", "Failed").await?;
    seen.traffic = load.stop().await.total();
    Ok(seen)
}

/// Another image while the first is at weight 10.
pub async fn again(node: &Node) -> Result<Seen> {
    let site = without_webhooks(
        node,
        "again",
        &json!({"maxWeight": 20, "metrics": [success_rate()]}),
    )
    .await?;
    let load = site.load("/api/info", 20);
    let (route, canary) = site.watched().await?;
    site.set_image("6.0.1").await?;
    canary_tests::clock::eventually("weight 10", MOMENT, async || {
        Ok(route.weights().contains(&(90, 10)).then_some(()))
    })
    .await?;
    site.set_image("6.0.2").await?;
    let mut seen = site.seen_to_end(&route, &canary, "Succeeded").await?;
    seen.traffic = load.stop().await.total();
    Ok(seen)
}

/// The application in that namespace, adopted by the user's Canary without webhooks and with other
/// fields in its analysis.
async fn without_webhooks<'a>(
    node: &'a Node,
    namespace: &'a str,
    fields: &Value,
) -> Result<Site<'a>> {
    let site = Site::new(node, namespace, "podinfo").await?;
    site.deploy(|yaml| yaml).await?;
    site.adopt(|canary| analysis(canary, fields)).await?;
    Ok(site)
}

/// The user's first metric.
pub fn success_rate() -> Value {
    json!({"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"})
}

/// Drops the webhooks, and sets fields of the analysis.
pub fn analysis(canary: &mut Value, fields: &Value) {
    let analysis = &mut canary["spec"]["analysis"];
    analysis["webhooks"] = json!([]);
    for (name, value) in fields.as_object().into_iter().flatten() {
        analysis[name] = value.clone();
    }
}

/// The user's MetricTemplate as the only judge of an application beside theirs. Its query is the share
/// of answers that are *not* 4xx.
pub async fn custom(node: &Node) -> Result<Custom> {
    let site = Site::new(node, "test", "backend").await?;
    let file = user_file("not-found-percentage.yaml");
    site.kubectl(&format!("apply -f {file}")).await?;
    site.deploy(|yaml| yaml).await?;
    site.adopt(|canary| {
        let metric = json!({
            "name": "not-found-percentage",
            "templateRef": {"name": "not-found-percentage"},
            "thresholdRange": {"max": 5},
            "interval": "1m",
        });
        let fields = json!({"metrics": [metric], "stepWeight": 50, "threshold": 3});
        analysis(canary, &fields);
    })
    .await?;
    let few = site.load("/api/info", 1);
    let not_found = site.load("/status/404", 40);
    // Until both are counted at a steady rate: a series that is new counts from its second sample on.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let passed = site.release("6.0.1", "Succeeded").await?;
    let few_answers = judged(&site, passed).await?;
    drop((few.stop().await, not_found.stop().await));
    let load = site.load("/api/info", 20);
    let failed = site.release("6.0.2", "Failed").await?;
    let many_answers = judged(&site, failed).await?;
    drop(load.stop().await);
    Ok(Custom {
        few_answers,
        many_answers,
    })
}

async fn judged(site: &Site<'_>, seen: Seen) -> Result<Judged> {
    let template = scenario::user_yaml("not-found-percentage.yaml")?;
    let template: Value = serde_yaml::from_str(&template)?;
    let query = template["spec"]["query"].as_str().context("spec.query")?;
    let query = query
        .replace("{{ namespace }}", site.namespace)
        .replace("{{ route }}", site.app)
        .replace("{{ target }}", site.app)
        .replace("{{ interval }}", "1m");
    let mut values = Vec::new();
    for check in &seen.checks {
        if let (Some(value), Some(at)) = (check["value"].as_f64(), check["at"].as_str()) {
            values.push((value, value_at(site.node, &query, at).await?));
        }
    }
    Ok(Judged { seen, values })
}

/// What Prometheus says about that moment.
async fn value_at(node: &Node, query: &str, at: &str) -> Result<f64> {
    let url = format!("http://{}:{PROMETHEUS_PORT}/api/v1/query", node.address());
    let url = reqwest::Url::parse_with_params(&url, [("query", query), ("time", at)])?;
    let answer: Value = reqwest::get(url).await?.json().await?;
    let value = answer["data"]["result"][0]["value"][1].as_str();
    Ok(value
        .with_context(|| format!("no result: {answer}"))?
        .parse()?)
}
