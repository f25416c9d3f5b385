//! Certificates are made and served for real; the API server is a Secret in memory.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{Timestamp, ToSpan as _};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::issue::Bundle;
use super::{Certificate, TlsError, certificate, listen, serve};

const NAMESPACE: &str = "canary-system";

fn names() -> Vec<String> {
    [
        "canary-webhook.canary-system.svc",
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    .map(String::from)
    .to_vec()
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    now().checked_add((days * 24).hours()).unwrap()
}

// === What the Secret keeps ===

#[test]
fn a_new_certificate_serves_its_names_for_sixty_days() {
    let bundle = Bundle::create(&names(), now()).unwrap();
    assert!(bundle.serves(&names(), now()));
    assert!(
        bundle.serves(&names(), days(-1)),
        "also for a clock that is behind"
    );
    assert!(bundle.serves(&names(), days(58)));
    assert!(
        !bundle.serves(&names(), days(61)),
        "the last third is for renewal"
    );
    assert!(!bundle.serves(&names(), days(100)));
    assert!(!bundle.serves(&["other.example.com".to_owned()], now()));
    assert!(!bundle.serves(&["10.0.0.1".to_owned()], now()));
}

#[test]
fn a_renewed_certificate_keeps_its_ca() {
    let old = Bundle::create(&names(), now()).unwrap();
    let new = old.renew(&["10.0.0.1".to_owned()], days(80)).unwrap();
    assert_eq!(new.ca, old.ca);
    assert_ne!(new.certificate, old.certificate);
    assert_ne!(new.key, old.key);
    assert!(new.serves(&["10.0.0.1".to_owned()], days(80)));
}

#[test]
fn a_ca_that_would_end_before_the_leaf_is_replaced_too() {
    let old = Bundle::create(&names(), now()).unwrap();
    let new = old.renew(&names(), days(3600)).unwrap();
    assert_ne!(new.ca, old.ca);
    assert!(new.serves(&names(), days(3600)));
}

#[test]
fn what_is_no_certificate_serves_nothing() {
    let mut bundle = Bundle::create(&names(), now()).unwrap();
    bundle.certificate =
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
    assert!(!bundle.serves(&names(), now()));
    bundle.certificate.clear();
    assert!(!bundle.serves(&names(), now()));
}

#[test]
fn a_certificate_in_a_log_shows_no_key() {
    let shown = format!(
        "{:?}",
        Bundle::create(&names(), now()).unwrap().certificate()
    );
    assert_eq!(shown, "Certificate { .. }");
}

// === The Secret, and replicas that race for it ===

/// One Secret, with the concurrency rules of an API server.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    secret: Option<Value>,
    version: u64,
    /// What somebody else writes just before our next write.
    rival: Option<Value>,
    forbidden: bool,
}

impl Store {
    fn client(&self) -> Client {
        let store = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let store = store.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let (status, answer) = store.answer(&parts.method, &body);
                let answer = Body::from(serde_json::to_vec(&answer)?);
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
            }
        });
        Client::new(service, NAMESPACE)
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let mut stored = self.0.lock().unwrap();
        if stored.forbidden {
            return refuse(StatusCode::FORBIDDEN, "Forbidden");
        }
        if *method == Method::GET {
            return stored.secret.clone().map_or_else(
                || refuse(StatusCode::NOT_FOUND, "NotFound"),
                |it| (StatusCode::OK, it),
            );
        }
        if let Some(rival) = stored.rival.take() {
            stored.put(rival);
        }
        let new: Value = serde_json::from_slice(body).unwrap();
        match &stored.secret {
            Some(_) if *method == Method::POST => refuse(StatusCode::CONFLICT, "AlreadyExists"),
            Some(old)
                if old["metadata"]["resourceVersion"] != new["metadata"]["resourceVersion"] =>
            {
                refuse(StatusCode::CONFLICT, "Conflict")
            }
            _ => (StatusCode::OK, stored.put(new)),
        }
    }

    fn secret(&self) -> Value {
        self.0.lock().unwrap().secret.clone().unwrap()
    }
}

impl Stored {
    fn put(&mut self, mut secret: Value) -> Value {
        self.version += 1;
        secret["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.secret = Some(secret.clone());
        secret
    }
}

fn refuse(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, status)
}

fn secret_of(bundle: &Bundle) -> Value {
    serde_json::to_value(super::to_secret(bundle, NAMESPACE, None)).unwrap()
}

async fn ask(store: &Store, now: Timestamp) -> Result<Certificate, TlsError> {
    certificate(&store.client(), NAMESPACE, &names(), now).await
}

#[tokio::test]
async fn the_first_start_makes_a_certificate_and_the_second_reads_it() {
    let store = Store::default();
    let first = ask(&store, now()).await.unwrap();
    assert_eq!(store.secret()["type"], "kubernetes.io/tls");
    let second = ask(&store, days(10)).await.unwrap();
    assert_eq!(
        (first.ca_pem, first.chain_pem),
        (second.ca_pem, second.chain_pem)
    );
    assert_eq!(
        store.secret()["metadata"]["resourceVersion"],
        "1",
        "written once"
    );
}

#[tokio::test]
async fn of_two_replicas_that_start_together_both_serve_what_one_has_made() {
    let store = Store::default();
    let rival = Bundle::create(&names(), now()).unwrap();
    store.0.lock().unwrap().rival = Some(secret_of(&rival));
    let ours = ask(&store, now()).await.unwrap();
    assert_eq!(ours.chain_pem, rival.certificate);
}

#[tokio::test]
async fn of_two_replicas_that_renew_together_both_serve_what_one_has_made() {
    let store = Store::default();
    let old = Bundle::create(&names(), now()).unwrap();
    let rival = old.renew(&names(), days(80)).unwrap();
    store.0.lock().unwrap().put(secret_of(&old));
    store.0.lock().unwrap().rival = Some(secret_of(&rival));
    let ours = ask(&store, days(80)).await.unwrap();
    assert_eq!(
        (&ours.ca_pem, &ours.chain_pem),
        (&old.ca, &rival.certificate)
    );
}

#[tokio::test]
async fn an_old_leaf_is_replaced_at_start() {
    let store = Store::default();
    let first = ask(&store, now()).await.unwrap();
    let later = ask(&store, days(89)).await.unwrap();
    assert_eq!(first.ca_pem, later.ca_pem);
    assert_ne!(first.chain_pem, later.chain_pem);
    assert_eq!(
        ask(&store, days(89)).await.unwrap().chain_pem,
        later.chain_pem
    );
}

#[tokio::test]
async fn somebody_elses_certificate_is_served_but_never_replaced() {
    let store = Store::default();
    let mut theirs = Bundle::create(&names(), now()).unwrap();
    theirs.ca_key.clear();
    store.0.lock().unwrap().put(secret_of(&theirs));
    assert_eq!(
        ask(&store, now()).await.unwrap().chain_pem,
        theirs.certificate
    );
    let error = ask(&store, days(89)).await.unwrap_err().to_string();
    assert!(
        error.contains("canary-system/canary-webhook-tls"),
        "{error}"
    );
    assert!(error.contains("renew it"), "{error}");
}

#[tokio::test]
async fn a_secret_without_certificate_is_filled() {
    let store = Store::default();
    store.0.lock().unwrap().put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "canary-webhook-tls"}, "data": {"tls.crt": "", "tls.key": ""},
    }));
    let made = ask(&store, now()).await.unwrap();
    assert_eq!(ask(&store, now()).await.unwrap().chain_pem, made.chain_pem);
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let store = Store::default();
    store.0.lock().unwrap().forbidden = true;
    let error = ask(&store, now()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot get Secret canary-system/canary-webhook-tls"),
        "{error}"
    );
    assert!(error.contains("rbac.yaml"), "{error}");
}

// === Serving ===

/// A client that trusts `ca` and nobody else.
fn client_of(ca: &str) -> reqwest::Client {
    // An error says that another test has installed it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_client_that_knows_the_ca_reaches_the_router_and_another_does_not() {
    #[allow(clippy::disallowed_methods)] // the client compares with its own clock
    let today = Timestamp::now();
    let bundle = Bundle::create(&names(), today).unwrap();
    let stranger = Bundle::create(&names(), today).unwrap();
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = Router::new().route("/healthz", get(|| async { "ok" }));
    let certificate = bundle.certificate();
    let served = tokio::spawn(async move {
        let shutdown = async {
            stopped.await.ok();
        };
        serve(listener, router, &certificate, shutdown).await
    });

    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/healthz");
        let answer = client_of(&bundle.ca).get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok");
        assert!(client_of(&stranger.ca).get(&url).send().await.is_err());
    }
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let first = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = first.local_addr().unwrap();
    let error = listen(address).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {address}")),
        "{error}"
    );
}
