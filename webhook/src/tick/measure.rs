//! What a metric is measured by: its server, its query, and the addresses that it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use canary_core::canary::Metric;
use canary_core::query::{self, QueryModel, Scope};
use canary_core::release::{Facts, Measured};
use canary_core::template::MetricTemplate;
use canary_core::url;
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use serde_json::json;

use crate::api::{Cluster, Kind};
use crate::provider::{self, Provider, QueryError};
use crate::questions::{Answer, Exchange};
use crate::target::service::Side;
use crate::tick::Context;
use crate::transport::{Call, DEADLINE, Transport};
use crate::world::World;

/// A provider that is ready to be asked.
struct Source {
    provider: Box<dyn Provider>,
    call: Call,
}

/// A metric server, as the spec names it.
enum Server {
    Template(Arc<MetricTemplate>),
    /// The Canary's own, or the one that all have.
    Address(String),
}

/// What asking takes.
struct Means {
    transport: Transport,
    cluster: Cluster,
    now: Timestamp,
}

// === impl Server ===

impl Server {
    /// As people are told of it.
    fn name(&self) -> String {
        match self {
            Self::Template(template) => {
                let name = template.metadata.name.as_deref().unwrap_or_default();
                format!("metric template {name}")
            }
            Self::Address(address) => format!("prometheus {}", url::shown(address)),
        }
    }

    async fn source(&self, cluster: &Cluster) -> Result<Source, String> {
        match self {
            Self::Template(template) => template_source(template, cluster).await,
            Self::Address(address) => default_source(address),
        }
    }

    /// The outer error is ours to explain: the server could not be asked.
    async fn value(&self, text: &str, means: &Means) -> Result<Result<f64, QueryError>, String> {
        let Source { provider, call } = self.source(&means.cluster).await?;
        Ok(provider::query(&means.transport, &call, provider.as_ref(), text, means.now).await)
    }

    async fn online(&self, means: &Means) -> Result<(), String> {
        let Source { provider, call } = self.source(&means.cluster).await?;
        let online = provider::online(&means.transport, &call, provider.as_ref(), means.now).await;
        online.map_err(|error| format!("{} not available: {error}", self.name()))
    }
}

fn default_source(address: &str) -> Result<Source, String> {
    let settings = provider::Settings {
        address,
        headers: &BTreeMap::new(),
        credentials: None,
    };
    let provider =
        provider::provider("prometheus", &settings).map_err(|error| error.to_string())?;
    Ok(Source {
        provider,
        call: Call::default(),
    })
}

async fn template_source(template: &MetricTemplate, cluster: &Cluster) -> Result<Source, String> {
    let spec = &template.spec.provider;
    let credentials = credentials(template, cluster).await?;
    let settings = provider::Settings {
        address: spec.address.as_deref().unwrap_or_default(),
        headers: &spec.headers,
        credentials: credentials.as_ref(),
    };
    let provider = provider::provider(&spec.type_, &settings)
        .map_err(|error| format!("provider {} error: {error}", spec.type_))?;
    let insecure = spec.insecure_skip_verify.unwrap_or_default();
    Ok(Source {
        provider,
        call: Call {
            insecure,
            ..Call::default()
        },
    })
}

async fn credentials(
    template: &MetricTemplate,
    cluster: &Cluster,
) -> Result<Option<BTreeMap<String, ByteString>>, String> {
    let Some(reference) = &template.spec.provider.secret_ref else {
        return Ok(None);
    };
    let failed =
        |error: &dyn std::fmt::Display| format!("secret {} error: {error}", reference.name);
    let namespace = template.metadata.namespace.as_deref().unwrap_or_default();
    let secret = cluster.get(Kind::Secret, namespace, &reference.name);
    let secret = tokio::time::timeout(DEADLINE, secret)
        .await
        .map_err(|_| failed(&"the API server does not answer"))?
        .map_err(|error| failed(&error))?;
    serde_json::from_value(secret["data"].clone())
        .map(Some)
        .map_err(|error| failed(&error))
}

// === impl Context ===

impl Context {
    /// Whether each metric server answers.
    pub(super) fn ask_providers(&self, world: &World) -> Exchange {
        let metrics = &world.canary.analysis().metrics;
        let spec = json!(metrics);
        let servers: Result<Vec<Server>, String> = metrics
            .iter()
            .map(|metric| self.server(world, metric))
            .collect();
        let servers = match servers {
            Ok(servers) => servers,
            Err(error) => return Exchange::over(spec, Answer::Providers(Err(error))),
        };
        let means = self.means();
        let call = async move {
            for server in servers {
                if let Err(error) = server.online(&means).await {
                    return Answer::Providers(Err(error));
                }
            }
            Answer::Providers(Ok(()))
        };
        Exchange {
            spec,
            call: call.boxed(),
        }
    }

    pub(super) fn ask_metric(&self, world: &World, facts: &Facts, index: usize) -> Exchange {
        let Some(metric) = world.canary.analysis().metrics.get(index) else {
            let gone = Measured::Failed("the metric is gone from the spec".to_owned());
            return Exchange::over(json!(null), Answer::Metric(gone));
        };
        let namespace = world.namespace.clone();
        let reference = metric.template_ref.as_ref().map(|reference| {
            let namespace = reference.namespace.as_deref().unwrap_or(&namespace);
            format!("{}.{namespace}", reference.name)
        });
        let not_asked = move |error| match reference {
            Some(template) => Measured::Template { template, error },
            None => Measured::Failed(error),
        };
        let (server, text) = match self.query(world, facts, metric) {
            Ok(query) => query,
            Err(error) => return Exchange::over(json!(metric), Answer::Metric(not_asked(error))),
        };
        let template = match &server {
            Server::Template(template) => json!(template.spec),
            Server::Address(address) => json!(address),
        };
        let spec = json!([metric, template]);
        let means = self.means();
        let call = async move {
            Answer::Metric(match server.value(&text, &means).await {
                Ok(Ok(value)) => Measured::Value(value),
                Ok(Err(error @ QueryError::NoValues)) => Measured::NoValues(error.to_string()),
                Ok(Err(error)) => Measured::Failed(error.to_string()),
                Err(error) => not_asked(error),
            })
        };
        Exchange {
            spec,
            call: call.boxed(),
        }
    }

    fn means(&self) -> Means {
        Means {
            transport: self.transport.clone(),
            cluster: self.cluster.clone(),
            now: self.clock.now(),
        }
    }

    fn server(&self, world: &World, metric: &Metric) -> Result<Server, String> {
        let Some(reference) = &metric.template_ref else {
            let address = world.canary.metrics_server_or(&self.metrics_server);
            return Ok(Server::Address(address.to_owned()));
        };
        let namespace = reference.namespace.as_deref().unwrap_or(&world.namespace);
        let template = self.caches.templates.get(namespace, &reference.name);
        let template = template.ok_or_else(|| "error: not found".to_owned())?;
        Ok(Server::Template(template))
    }

    fn query(
        &self,
        world: &World,
        facts: &Facts,
        metric: &Metric,
    ) -> Result<(Server, String), String> {
        let model = QueryModel::of(&world.canary, metric);
        let server = self.server(world, metric)?;
        let text = match &server {
            Server::Template(template) => query::render(&template.spec.query, &model)
                .map_err(|error| format!("query render error: {error}"))?,
            Server::Address(_) => self.plain_query(world, facts, metric, &model)?,
        };
        Ok((server, text))
    }

    fn plain_query(
        &self,
        world: &World,
        facts: &Facts,
        metric: &Metric,
        model: &QueryModel,
    ) -> Result<String, String> {
        if let Some(inline) = metric.inline_query() {
            return query::render(inline, model).map_err(|error| error.to_string());
        }
        let provider = world.canary.provider_or(&self.options.provider);
        let mut model = model.clone();
        let scope = self.scope(world, facts, &mut model);
        query::builtin(&metric.name, provider, &model, &scope)
            .ok_or_else(|| format!("metric {} has neither templateRef nor query", metric.name))
    }

    /// The canary alone: every address that it had within the query's window. A route that resolves
    /// to the Service knows only the Service's address, which says nothing about the time before
    /// this release: the window is cut to it.
    fn scope(&self, world: &World, facts: &Facts, model: &mut QueryModel) -> Scope {
        let Some(router) = world.router.filter(|_| !self.mixed_metrics) else {
            return Scope::Mixed;
        };
        let release = world
            .canary
            .status
            .as_ref()
            .and_then(|status| status.release.as_ref());
        let window = canary_core::canary::duration(&model.interval).unwrap_or_default();
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        if router.by_service_address(world.live()) {
            let began = release.and_then(|release| release.rolling_since);
            let since = began
                .map_or(window, |since| facts.now.duration_since(since))
                .min(window);
            model.interval = format!("{}s", since.as_secs().max(1));
            return Scope::Nodes(self.service_address(world));
        }
        let mut addresses = facts.canary_addresses.clone();
        for seen in release.iter().flat_map(|release| &release.addresses) {
            // Kept up to a minute behind: better an address too many than one that is missed.
            let recent =
                facts.now.duration_since(seen.last_seen) <= window + SignedDuration::from_mins(1);
            if recent && !addresses.contains(&seen.ip) {
                addresses.push(seen.ip.clone());
            }
        }
        Scope::Nodes(addresses)
    }

    fn service_address(&self, world: &World) -> Vec<String> {
        let service = self
            .caches
            .service(&world.namespace, &Side::Canary.name(&world.canary));
        let address =
            service.and_then(|service| service["spec"]["clusterIP"].as_str().map(str::to_owned));
        address.into_iter().collect()
    }
}
