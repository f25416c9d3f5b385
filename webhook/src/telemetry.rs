//! What the server tells about itself: logs and metrics.
//!
//! ```text
//!  tracing::… ─► log::init       stderr, one JSON object a line
//!  Metrics    ─► Registry ─► router() `/metrics`
//!  kube client ─► CountRequests ──┘
//! ```

pub mod log;
pub mod metrics;
pub mod requests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use log::{Format, Level, init};
pub use metrics::{Analysis, Metrics, Workload};
pub use requests::CountRequests;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as text.
pub fn encode(registry: &Registry) -> String {
    let mut buffer = String::new();
    // Writing to a String cannot fail, and a metric that cannot be encoded must not end the rest.
    if let Err(error) = text::encode(&mut buffer, registry) {
        tracing::error!("metrics not encoded: {error}");
    }
    buffer
}

/// `/metrics` and `/healthz`, as Flagger serves them on its `-port`.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "OK" }))
        .with_state(registry)
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], encode(&registry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    async fn get(path: &str) -> (StatusCode, String, String) {
        let mut registry = Registry::default();
        Metrics::register(&mut registry).info("0.1.0", "apisix");
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(Arc::new(registry)).oneshot(request).await.unwrap();
        let status = response.status();
        let type_ = response.headers()[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let body = axum::body::to_bytes(response.into_body(), 100_000)
            .await
            .unwrap();
        (status, type_, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn metrics_are_served_as_open_metrics() {
        let (status, type_, body) = get("/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(type_, OPEN_METRICS);
        let line = r#"flagger_info{version="0.1.0",mesh_provider="apisix"} 1"#;
        assert!(body.contains(line), "{body}");
        assert!(body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test]
    async fn health_answers_as_flaggers_does() {
        let (status, _, body) = get("/healthz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "OK"));
    }
}
