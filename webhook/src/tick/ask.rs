//! Answers to the questions of the rules: webhooks called, metric servers asked.

use canary_core::canary::{Canary, Metric};
use canary_core::hook::{HookKind, Payload};
use canary_core::query::{self, QueryModel, Scope};
use canary_core::release::{Facts, Measured, Question};
use canary_core::status::Phase;
use canary_core::template::MetricTemplate;
use canary_core::url;
use jiff::SignedDuration;
use k8s_openapi::ByteString;

use crate::api::Kind;
use crate::hook::{Backoff, Outgoing, call};
use crate::provider::{self, Provider, QueryError};
use crate::target::service::Side;
use crate::tick::Context;
use crate::transport::Call;
use crate::world::World;

/// A provider that is ready to be asked.
struct Source {
    provider: Box<dyn Provider>,
    call: Call,
}

// === impl Context ===

impl Context {
    pub(super) async fn answer(&self, world: &World, facts: &mut Facts, question: Question) {
        match question {
            Question::Providers => {
                let online = self.providers_online(world).await;
                facts.answers.providers = Some(online);
            }
            Question::Hook(index) => {
                let answer = self.ask_hook(&world.canary, index).await;
                facts.answers.hooks.insert(index, answer);
            }
            Question::Metric(index) => {
                let measured = self.measure(world, facts, index).await;
                facts.answers.metrics.insert(index, measured);
            }
        }
        // Asking takes time, and what is decided next is decided later.
        facts.now = self.clock.now();
    }

    async fn ask_hook(&self, canary: &Canary, index: usize) -> Result<(), String> {
        let Some(hook) = canary.analysis().webhooks.get(index) else {
            return Err("the webhook is gone from the spec".to_owned());
        };
        let phase = match hook.kind() {
            // These two are told the phase as it is; the others speak of the analysis.
            Some(HookKind::ConfirmRollout | HookKind::Rollback) => canary
                .status
                .as_ref()
                .map_or(Phase::New, |status| status.phase),
            _ => Phase::Progressing,
        };
        let payload = Payload::new(canary, hook, phase);
        let outgoing = Outgoing::new(hook, &payload).map_err(|error| error.to_string())?;
        call(&self.transport, &outgoing, Backoff::default())
            .await
            .map_err(|error| error.to_string())
    }

    async fn providers_online(&self, world: &World) -> Result<(), String> {
        for metric in &world.canary.analysis().metrics {
            let source = match self.template(world, metric)? {
                Some(template) => self.template_source(&template).await?,
                None => self.default_source(&world.canary)?,
            };
            let online = provider::online(
                &self.transport,
                &source.call,
                source.provider.as_ref(),
                self.clock.now(),
            )
            .await;
            online.map_err(|error| {
                format!("{} not available: {error}", self.server_name(world, metric))
            })?;
        }
        Ok(())
    }

    fn server_name(&self, world: &World, metric: &Metric) -> String {
        match &metric.template_ref {
            Some(reference) => format!("metric template {}", reference.name),
            None => format!(
                "prometheus {}",
                url::shown(world.canary.metrics_server_or(&self.metrics_server))
            ),
        }
    }

    async fn measure(&self, world: &World, facts: &Facts, index: usize) -> Measured {
        let Some(metric) = world.canary.analysis().metrics.get(index) else {
            return Measured::Failed("the metric is gone from the spec".to_owned());
        };
        match self.value(world, facts, metric).await {
            Ok(Ok(value)) => Measured::Value(value),
            Ok(Err(QueryError::NoValues)) => Measured::NoValues(QueryError::NoValues.to_string()),
            Ok(Err(error)) => Measured::Failed(error.to_string()),
            Err(error) => match &metric.template_ref {
                Some(reference) => {
                    let namespace = reference.namespace.as_deref().unwrap_or(&world.namespace);
                    Measured::Template {
                        template: format!("{}.{namespace}", reference.name),
                        error,
                    }
                }
                None => Measured::Failed(error),
            },
        }
    }

    /// The outer error is ours to explain: the query or its server could not be made.
    async fn value(
        &self,
        world: &World,
        facts: &Facts,
        metric: &Metric,
    ) -> Result<Result<f64, QueryError>, String> {
        let model = QueryModel::of(&world.canary, metric);
        let (source, text) = match self.template(world, metric)? {
            Some(template) => {
                let text = query::render(&template.spec.query, &model)
                    .map_err(|error| format!("query render error: {error}"))?;
                (self.template_source(&template).await?, text)
            }
            None => (
                self.default_source(&world.canary)?,
                self.plain_query(world, facts, metric, &model)?,
            ),
        };
        let now = self.clock.now();
        Ok(provider::query(
            &self.transport,
            &source.call,
            source.provider.as_ref(),
            &text,
            now,
        )
        .await)
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

    fn template(&self, world: &World, metric: &Metric) -> Result<Option<MetricTemplate>, String> {
        let Some(reference) = &metric.template_ref else {
            return Ok(None);
        };
        let namespace = reference.namespace.as_deref().unwrap_or(&world.namespace);
        let template = self.caches.templates.get(namespace, &reference.name);
        let template = template.ok_or_else(|| "error: not found".to_owned())?;
        Ok(Some(template.as_ref().clone()))
    }

    fn default_source(&self, canary: &Canary) -> Result<Source, String> {
        let headers = std::collections::BTreeMap::new();
        let address = canary.metrics_server_or(&self.metrics_server);
        let settings = provider::Settings {
            address,
            headers: &headers,
            credentials: None,
        };
        let provider =
            provider::provider("prometheus", &settings).map_err(|error| error.to_string())?;
        Ok(Source {
            provider,
            call: Call::default(),
        })
    }

    async fn template_source(&self, template: &MetricTemplate) -> Result<Source, String> {
        let spec = &template.spec.provider;
        let credentials = self.credentials(template).await?;
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
        &self,
        template: &MetricTemplate,
    ) -> Result<Option<std::collections::BTreeMap<String, ByteString>>, String> {
        let Some(reference) = &template.spec.provider.secret_ref else {
            return Ok(None);
        };
        let namespace = template.metadata.namespace.as_deref().unwrap_or_default();
        let secret = self
            .cluster
            .get(Kind::Secret, namespace, &reference.name)
            .await;
        let secret = secret.map_err(|error| format!("secret {} error: {error}", reference.name))?;
        serde_json::from_value(secret["data"].clone())
            .map(Some)
            .map_err(|error| format!("secret {} error: {error}", reference.name))
    }
}
