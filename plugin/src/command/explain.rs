//! `explain`: gathers what a person would look at, and says what it means.

use std::collections::BTreeMap;

use canary_core::canary::{Canary, Metric};
use canary_core::query::{QueryModel, Scope, builtin, render};
use canary_core::template::MetricTemplate;
use canary_core::url;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{GroupVersionKind, Selector};
use kube::discovery::ApiResource;
use serde::Deserialize as _;

use crate::args::verbs::ExplainArgs;
use crate::client::Cluster;
use crate::env::now;
use crate::exit::{Error, code};
use crate::follow::observe_pods;
use crate::output::Output;
use crate::render::explain;
use crate::report::explain::{Explanation, Facts, Pods, Query, pod};
use crate::report::{self, Extra, Observed};

pub async fn run(args: &ExplainArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let observed = observe_pods(cluster, &cluster.namespace, &args.name.0).await?;
    let facts = Facts {
        queries: queries(cluster, &observed.canary).await,
        pods: pods(cluster, &observed).await,
        report: observed.report(),
        canary: observed.canary,
        now: now(),
    };
    let explanation = Explanation::of(&facts);
    match &args.output {
        Some(format) => output.machine(format, &explanation)?,
        None => output.print(&explain::text(&explanation, &output.theme()))?,
    }
    Ok(code::OK)
}

/// The pods that the target's selector finds: the canary's, for the primary has labels of its own.
async fn pods(cluster: &Cluster, observed: &Observed) -> Pods {
    let Extra::Found(target) = &observed.target else {
        return Pods::Unasked;
    };
    let selector = target
        .data
        .pointer("/spec/selector")
        .and_then(|selector| LabelSelector::deserialize(selector).ok())
        .and_then(|selector| Selector::try_from(selector).ok())
        .filter(|selector| !selector.selects_all());
    let Some(selector) = selector else {
        return Pods::Unasked;
    };
    let namespace = observed.canary.namespace_name();
    match cluster.pods(namespace, &selector.to_string()).await {
        Ok(found) => {
            let now = now();
            Pods::Found(found.iter().map(|found| pod(found, now)).collect())
        }
        Err(error) => Pods::Unknown(error.to_string()),
    }
}

async fn queries(cluster: &Cluster, canary: &Canary) -> Vec<Query> {
    // Several metrics may share one template.
    let mut templates = BTreeMap::new();
    for metric in &canary.analysis().metrics {
        if let Some((namespace, name)) = template_of(canary, metric)
            && !templates.contains_key(&(namespace.clone(), name.clone()))
        {
            let found = template(cluster, &namespace, &name).await;
            templates.insert((namespace, name), found);
        }
    }
    let metrics = canary.analysis().metrics.iter();
    metrics
        .map(|metric| {
            let template = template_of(canary, metric).and_then(|of| templates.get(&of));
            query(canary, metric, template)
        })
        .collect()
}

fn template_of(canary: &Canary, metric: &Metric) -> Option<(String, String)> {
    let reference = metric.template_ref.as_ref()?;
    let namespace = reference.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| canary.namespace_name().to_owned());
    Some((namespace, reference.name.clone()))
}

async fn template(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<MetricTemplate, String> {
    let kind = GroupVersionKind::gvk("flagger.app", "v1beta1", "MetricTemplate");
    let resource = ApiResource::from_gvk(&kind);
    let said = |why: String| format!("MetricTemplate {namespace}/{name} {why}");
    match cluster.find(Some(namespace), name, &resource).await {
        Ok(Some(object)) => object
            .try_parse()
            .map_err(|error| said(format!("cannot be read: {error}"))),
        Ok(None) => Err(said("does not exist".to_owned())),
        Err(error) => Err(said(format!("cannot be read: {error}"))),
    }
}

/// The query as canary-webhook makes it, with the addresses that the release's pods had.
fn query(
    canary: &Canary,
    metric: &Metric,
    template: Option<&Result<MetricTemplate, String>>,
) -> Query {
    let model = QueryModel::of(canary, metric);
    let (text, server) = match template {
        Some(Ok(template)) => (
            render(&template.spec.query, &model).map_err(|error| error.to_string()),
            template.spec.provider.address.clone(),
        ),
        Some(Err(why)) => (Err(why.clone()), None),
        None => (
            plain(canary, metric, &model),
            set(canary.spec.metrics_server.as_ref()),
        ),
    };
    let prometheus = template.is_none_or(|template| {
        let is = |template: &MetricTemplate| template.spec.provider.type_ == "prometheus";
        template.as_ref().is_ok_and(is)
    });
    // Where user and password stood in the address, the browser asks for them.
    let server = server.map(|server| url::shown(&server));
    let link = server
        .as_ref()
        .filter(|_| prometheus)
        .zip(text.as_ref().ok())
        .map(|(server, text)| link(server, text));
    Query { text, server, link }
}

fn set(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn plain(canary: &Canary, metric: &Metric, model: &QueryModel) -> Result<String, String> {
    if let Some(inline) = metric.inline_query() {
        return render(inline, model).map_err(|error| error.to_string());
    }
    let release = canary
        .status
        .as_ref()
        .and_then(|status| status.release.as_ref());
    let addresses = release.iter().flat_map(|release| &release.addresses);
    let scope = Scope::Nodes(addresses.map(|seen| seen.ip.clone()).collect());
    builtin(&metric.name, report::provider(canary), model, &scope)
        .ok_or_else(|| format!("metric {} has neither templateRef nor query", metric.name))
}

/// Prometheus' own page for a query, as a graph.
fn link(server: &str, query: &str) -> String {
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let server = server.trim_end_matches('/');
    format!("{server}/graph?g0.expr={query}&g0.tab=0")
}
