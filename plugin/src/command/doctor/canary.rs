//! Asks for what one Canary needs around it.

use canary_core::canary::Canary;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

use crate::beside::{KINDS, Sides};
use crate::client::{self, Cluster};
use crate::command::history::template;
use crate::doctor::Check;
use crate::doctor::canary as judge;
use crate::doctor::primary;
use crate::exit::Error;
use crate::follow::with_pods;
use crate::report::{Extra, Observed};

mod around;

pub async fn look(cluster: &Cluster, spec: &Canary, provider: &str) -> Vec<Check> {
    let observed = with_pods(cluster, spec.clone()).await;
    let report = observed.report();
    // By the names that are in force.
    let canary = &observed.canary;
    let namespace = canary.namespace_name();
    let mut checks = judge::canary(spec, provider, &report);
    checks.extend(judge::primary(&report, &canary.primary_name()));
    checks.extend(promoted(cluster, &observed).await);
    let read = async |name: &str, resource: &ApiResource| {
        cluster.look(Some(namespace), name, resource).await
    };
    let mut target = None;
    if canary.spec.target_ref.kind == "Deployment" {
        match read(canary.target_name(), &client::deployment()).await {
            Ok(live) => {
                checks.push(judge::target(canary, live.as_ref()));
                checks.extend(live.as_ref().map(judge::owners));
                target = live;
            }
            Err(error) => checks.push(Check::unread("target", &error)),
        }
    }
    if let Some(route) = canary.route() {
        let live = read(&route.name, &client::apisix_route(&route.api_version)).await;
        checks.push(judged("route", &live, |live| judge::route(canary, live)));
    }
    let service = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    let live = read(canary.apex(), &service).await;
    checks.push(judged("service", &live, |live| {
        judge::service(canary, live)
    }));
    let scaler = GroupVersionKind::gvk("autoscaling", "v2", "HorizontalPodAutoscaler");
    let scaler = ApiResource::from_gvk(&scaler);
    checks.push(match cluster.look_at_all(Some(namespace), &scaler).await {
        Ok(live) => judge::autoscaler(canary, &live.unwrap_or_default()),
        Err(error) => Check::unread("autoscaler", &error),
    });
    checks.extend(templates(cluster, canary).await);
    if let Some(target) = target {
        checks.extend(beside(cluster, canary, &target).await);
    }
    checks.extend(around::look(cluster, &observed).await);
    checks
}

/// Whether somebody changed the primary since its promotion. A template that is not kept says nothing.
async fn promoted(cluster: &Cluster, observed: &Observed) -> Option<Check> {
    let Extra::Found(primary) = &observed.primary else {
        return None;
    };
    let primary = serde_json::to_value(primary).ok()?;
    let revision = primary::expected(&observed.canary, &primary)?;
    let kept = template(cluster, &observed.canary, revision).await;
    primary::edited(&observed.canary, &primary, &kept.ok()?.ok()?)
}

fn judged(
    name: &'static str,
    live: &Result<Option<Value>, Error>,
    judge: impl FnOnce(Option<&Value>) -> Check,
) -> Check {
    match live {
        Ok(live) => judge(live.as_ref()),
        Err(error) => Check::unread(name, error),
    }
}

/// What the server has no right to look at. Kinds that the cluster does not have are none.
async fn beside(cluster: &Cluster, canary: &Canary, target: &Value) -> Vec<Check> {
    let namespace = Some(canary.namespace_name());
    let (name, deployment) = (canary.primary_name(), client::deployment());
    let primary = cluster.look(namespace, &name, &deployment).await;
    let primary = primary.ok().flatten();
    let Some(sides) = Sides::of(canary, target, primary.as_ref()) else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    for (group, version, kind) in KINDS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match cluster.look_at_all(namespace, &resource).await {
            Ok(live) => checks.extend(judge::beside(&sides, kind, live.unwrap_or_default())),
            Err(error) => checks.push(Check::unread("beside", &error)),
        }
    }
    checks
}

/// The `MetricTemplates` that are missing.
async fn templates(cluster: &Cluster, canary: &Canary) -> Vec<Check> {
    let kind = GroupVersionKind::gvk("flagger.app", "v1beta1", "MetricTemplate");
    let resource = ApiResource::from_gvk(&kind);
    let mut checks = Vec::new();
    for template in canary
        .analysis()
        .metrics
        .iter()
        .filter_map(|metric| metric.template_ref.as_ref())
    {
        let namespace = template.namespace.as_deref();
        let namespace = namespace.unwrap_or_else(|| canary.namespace_name());
        let named = format!("MetricTemplate {namespace}/{}", template.name);
        checks.push(
            match cluster
                .look(Some(namespace), &template.name, &resource)
                .await
            {
                Ok(Some(_)) => Check::ok("metric", named),
                Ok(None) => Check::fail("metric", format!("{named} does not exist"))
                    .hint("create it, or correct its templateRef"),
                Err(error) => Check::unread("metric", &error),
            },
        );
    }
    checks
}
