//! Whatever arrives gets an `AdmissionReview` back, and no panic.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt as _;

use super::{Server, World, canary, deployment, update};

#[tokio::test]
async fn a_body_that_is_no_review_is_answered_with_400() {
    let bodies = [
        "",
        "not json",
        "null",
        "[]",
        "{}",
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"x"}}"#,
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}"#,
    ];
    let mut older = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    older["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let bodies = bodies.map(str::to_owned).into_iter();
    let bodies = bodies.chain([older.to_string()]);
    for path in ["/mutate", "/validate"] {
        for body in bodies.clone() {
            let (status, answer) = World::default().serve().send(path, body.clone()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(answer["kind"], "AdmissionReview", "{body}");
            assert_eq!(answer["response"]["allowed"], false, "{body}");
            assert_eq!(answer["response"]["status"]["code"], 400, "{body}");
        }
    }
}

#[tokio::test]
async fn a_body_over_7_mib_is_answered_with_413() {
    let server = World::default().serve();
    let (status, answer) = server.send("/mutate", vec![b' '; (7 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["status"]["code"], 413);
}

#[tokio::test]
async fn a_review_of_6_mib_is_answered() {
    let mut new = deployment("podinfo:2");
    new["metadata"]["annotations"] = json!({"large": "x".repeat(6 << 20)});
    let reply = World::of([canary()])
        .serve()
        .ask("/mutate", &update("alice", &deployment("podinfo:1"), &new))
        .await;
    assert!(reply.allowed());
}

#[tokio::test]
async fn a_panic_is_answered_with_500_and_counted() {
    let server = World {
        broken: true,
        ..World::default()
    }
    .serve();
    let review = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    let (status, answer) = server.send("/mutate", review.to_string()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer["kind"], "AdmissionReview");
    assert_eq!(answer["response"]["status"]["code"], 500);
    assert!(
        server.metrics().contains("canary_admission_panics_total 1"),
        "{}",
        server.metrics()
    );
}

#[tokio::test]
async fn a_long_review_that_takes_longer_than_the_caller_waits_is_given_up() {
    let server = World {
        slow: Duration::from_millis(300),
        ..World::of([canary()])
    }
    .serve();
    // A short one takes no time that anybody could wait for.
    let mut long = deployment("podinfo:2");
    long["metadata"]["annotations"] = json!({"long": "x".repeat(200 << 10)});
    let review = update("alice", &deployment("podinfo:1"), &long);
    let path = "/mutate?timeout=50ms";
    let (status, answer) = server.send(path, review.to_string()).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer["response"]["status"]["code"], 504);
    // Its work is not forgotten: it counts against the capacity until it has ended.
    let in_flight = "canary_admission_in_flight_requests 1";
    assert!(server.metrics().contains(in_flight), "{}", server.metrics());
}

#[tokio::test]
async fn a_time_to_wait_that_fits_nowhere_is_not_waited_for() {
    let server = World::of([canary()]).serve();
    let review = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    for time in ["99999999999999999999h", "1m-5s", "18446744073709551615s1s"] {
        let reply = server
            .ask(&format!("/mutate?timeout={time}"), &review)
            .await;
        assert!(reply.allowed(), "{time}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up_after_the_time_that_the_caller_waits() {
    let server = World::default().serve();
    let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, answer) = server.send("/mutate?timeout=50ms", body).await;
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer["kind"], "AdmissionReview");
}

#[tokio::test]
async fn more_long_reviews_than_there_is_room_for_are_turned_away_and_short_ones_are_not() {
    let server = World::default().serve();
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let request = Request::post("/mutate").body(body).unwrap();
        let mut call = Box::pin(server.router.clone().oneshot(request));
        assert!(futures::poll!(&mut call).is_pending());
        stuck.push(call);
    }
    let long = "x".repeat(200 << 10);
    let (status, answer) = server.send("/mutate", long.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["kind"], "AdmissionReview");
    let (status, _) = server.send("/mutate", "{}").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    drop(stuck);
    let (status, _) = server.send("/mutate", long).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "there is room again");
}

#[tokio::test]
async fn more_reviews_than_are_answered_in_time_are_turned_away_until_nobody_waits() {
    let world = World {
        takes: 1,
        ..World::of([canary()])
    };
    let server = world.serve();
    let review = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2")).to_string();
    let status = async || server.send("/mutate", review.clone()).await.0;
    let in_time = 20 * std::thread::available_parallelism().unwrap().get();
    for number in 0..in_time {
        assert_eq!(status().await, StatusCode::OK, "{number}");
    }
    assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
    let text = server.metrics();
    assert!(
        text.contains(r#"decision="failed",reason="overload"} 1"#),
        "{text}"
    );
    server.flood.idle();
    assert_eq!(status().await, StatusCode::OK);
}

#[tokio::test]
async fn another_resource_or_subresource_is_allowed_as_it_is() {
    let server = World::of([canary()]).serve();
    let change = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    for path in ["/mutate", "/validate"] {
        for (field, value) in [
            (
                "resource",
                json!({"group": "apps", "version": "v1", "resource": "daemonsets"}),
            ),
            (
                "resource",
                json!({"group": "example.com", "version": "v1", "resource": "deployments"}),
            ),
            ("subResource", json!("scale")),
            ("operation", json!("CONNECT")),
            ("object", json!(null)),
        ] {
            let mut review = change.clone();
            review["request"][field] = value;
            let reply = server.ask(path, &review).await;
            assert!(reply.allowed(), "{field}");
            assert!(reply.patch().0.is_empty(), "{field}");
        }
    }
}

#[tokio::test]
async fn ready_means_certificate_caches_and_that_we_reach_ourselves() {
    let ready = async |server: &Server, path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        response.status() == StatusCode::OK
    };
    for synced in [true, false] {
        let server = World {
            synced,
            ..World::default()
        }
        .serve();
        assert!(!ready(&server, "/readyz").await, "no certificate");
        server.health.certified();
        assert!(!ready(&server, "/readyz").await, "not reached");
        server.health.reached();
        assert_eq!(ready(&server, "/readyz").await, synced);
        server.health.drain();
        assert!(!ready(&server, "/readyz").await, "shutting down");
        assert!(ready(&server, "/healthz").await, "alive all the time");
    }
}

#[tokio::test]
async fn while_shutting_down_reviews_are_answered_and_connections_are_given_up() {
    let server = World::of([canary()]).serve();
    let review = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2")).to_string();
    for draining in [false, true] {
        let request = Request::post("/mutate").header("content-type", "application/json");
        let request = request.body(Body::from(review.clone())).unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let closes = response.headers().get("connection").is_some();
        assert_eq!(closes, draining);
        server.health.drain();
    }
}

#[tokio::test]
async fn each_review_is_counted_by_webhook_operation_and_decision() {
    let server = World::of([canary()]).serve();
    let change = update("alice", &deployment("podinfo:1"), &deployment("podinfo:2"));
    server.ask("/mutate", &change).await;
    server.ask("/validate", &change).await;
    server.send("/validate", "{}").await;
    let text = server.metrics();
    for line in [
        r#"canary_admission_requests_total{webhook="mutate",operation="UPDATE",decision="patched",reason=""} 1"#,
        r#"canary_admission_requests_total{webhook="validate",operation="UPDATE",decision="allowed",reason=""} 1"#,
        r#"canary_admission_requests_total{webhook="validate",operation="UNKNOWN",decision="failed",reason="unreadable"} 1"#,
        "canary_admission_in_flight_requests 0",
        r#"canary_admission_duration_seconds_count{webhook="mutate"} 1"#,
        r#"canary_admission_duration_seconds_count{webhook="validate"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}
