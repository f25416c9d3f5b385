//! Counts the requests of a kube client by verb and kind, in one place for all of them.
//!
//! An idle server shows watches and the renewal of its lease, and nothing else.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request};
use tower::{Layer, Service};

use super::Metrics;

/// A layer for `kube::client::ClientBuilder::with_layer`.
#[derive(Clone, Debug)]
pub struct CountRequests(Arc<Metrics>);

/// A client that counts.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

// === impl CountRequests ===

impl CountRequests {
    pub const fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted {
            inner,
            metrics: Arc::clone(&self.0),
        }
    }
}

// === impl Counted ===

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let uri = request.uri();
        let (verb, kind) = verb_and_kind(request.method(), uri.path(), uri.query());
        self.metrics.api_request(verb, &kind);
        self.inner.call(request)
    }
}

/// The verb as RBAC names it, and the resource with its subresource: `patch`, `canaries/status`.
fn verb_and_kind(method: &Method, path: &str, query: Option<&str>) -> (&'static str, String) {
    let segments: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
    let (["api", _, resource @ ..] | ["apis", _, _, resource @ ..]) = segments.as_slice() else {
        return (verb(method, true, query), "other".to_owned());
    };
    // A namespace is a resource too, and the scope of all others.
    let resource = match resource {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        other => other,
    };
    match resource {
        [] => ("get", "discovery".to_owned()),
        [kind] => (verb(method, false, query), (*kind).to_owned()),
        [kind, _] => (verb(method, true, query), (*kind).to_owned()),
        [kind, _, subresource, ..] => (verb(method, true, query), format!("{kind}/{subresource}")),
    }
}

fn verb(method: &Method, named: bool, query: Option<&str>) -> &'static str {
    let watches = || {
        let query = query.unwrap_or_default();
        form_urlencoded::parse(query.as_bytes())
            .any(|(key, value)| key == "watch" && (value == "true" || value == "1"))
    };
    match *method {
        Method::GET if watches() => "watch",
        Method::GET if named => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::encode;
    use prometheus_client::registry::Registry;
    use tower::ServiceExt;

    fn of(method: &str, uri: &str) -> String {
        let uri: http::Uri = uri.parse().unwrap();
        let method = method.parse().unwrap();
        let (verb, kind) = verb_and_kind(&method, uri.path(), uri.query());
        format!("{verb} {kind}")
    }

    #[test]
    fn requests_are_named_as_rbac_names_them() {
        let canaries = "/apis/flagger.app/v1beta1/namespaces/test/canaries";
        assert_eq!(of("GET", canaries), "list canaries");
        assert_eq!(
            of(
                "GET",
                "/apis/flagger.app/v1beta1/canaries?&watch=true&timeoutSeconds=290"
            ),
            "watch canaries"
        );
        assert_eq!(of("GET", &format!("{canaries}/podinfo")), "get canaries");
        assert_eq!(
            of("PATCH", &format!("{canaries}/podinfo/status?&force=true")),
            "patch canaries/status"
        );
        assert_eq!(
            of("POST", "/api/v1/namespaces/test/events?"),
            "create events"
        );
        assert_eq!(
            of("PUT", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l"),
            "update leases"
        );
        assert_eq!(
            of("DELETE", "/apis/apps/v1/namespaces/a/deployments/d"),
            "delete deployments"
        );
        assert_eq!(
            of("DELETE", "/apis/apps/v1/namespaces/a/controllerrevisions"),
            "deletecollection controllerrevisions"
        );
    }

    #[test]
    fn namespaces_are_resources_too() {
        assert_eq!(of("GET", "/api/v1/namespaces"), "list namespaces");
        assert_eq!(of("GET", "/api/v1/namespaces/test"), "get namespaces");
    }

    #[test]
    fn what_is_no_resource_has_a_name_of_few() {
        assert_eq!(of("GET", "/version"), "get other");
        assert_eq!(of("GET", "/apis/apps/v1"), "get discovery");
        assert_eq!(of("GET", "/"), "get other");
    }

    #[tokio::test]
    async fn a_counted_client_counts_and_passes_the_request_on() {
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let inner = tower::service_fn(|request: Request<()>| async move {
            Ok::<_, std::convert::Infallible>(request.uri().path().to_owned())
        });
        let client = CountRequests::new(metrics).layer(inner);
        for _ in 0..2 {
            let request = Request::get("/api/v1/services?watch=1").body(()).unwrap();
            let path = client.clone().oneshot(request).await.unwrap();
            assert_eq!(path, "/api/v1/services");
        }
        let line = r#"canary_api_requests_total{verb="watch",kind="services"} 2"#;
        assert!(encode(&registry).contains(line));
    }
}
