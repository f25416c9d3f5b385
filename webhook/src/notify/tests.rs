use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use canary_core::canary::{Canary, CanarySpec};
use canary_core::message::Severity;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use serde_json::{Value, json};

use super::{EventWriter, NotifyError, Reporter, Written, event, event_name, repetition};
use crate::transport::testing::serve;

fn canary(name: &str) -> Canary {
    let mut canary = Canary::new(name, CanarySpec::default());
    canary.metadata.namespace = Some("test".into());
    canary.metadata.uid = Some("0f6c1a2b-7d5e-4c3b-9a8f-1e2d3c4b5a69".into());
    canary.metadata.resource_version = Some("12345".into());
    canary
}

fn reporter() -> Reporter {
    Reporter {
        component: "flagger".into(),
        instance: "canary-webhook-7d9f".into(),
    }
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00.987654Z".parse().unwrap()
}

fn advance(text: &str) -> Event {
    event(
        &reporter(),
        &canary("podinfo"),
        26,
        Severity::Normal,
        text,
        now(),
    )
}

mod objects {
    use super::*;

    #[test]
    fn an_event_has_the_fields_that_flaggers_readers_use() {
        let event = advance("Advance podinfo.test canary weight 20");
        assert_eq!(
            serde_json::to_value(event).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": { "name": "podinfo.0f6c1a2b.0000001a", "namespace": "test" },
                "involvedObject": {
                    "apiVersion": "flagger.app/v1beta1",
                    "kind": "Canary",
                    "name": "podinfo",
                    "namespace": "test",
                    "uid": "0f6c1a2b-7d5e-4c3b-9a8f-1e2d3c4b5a69",
                },
                "type": "Normal",
                "reason": "Synced",
                "message": "Advance podinfo.test canary weight 20",
                "source": { "component": "flagger" },
                "firstTimestamp": "2026-11-23T12:00:00Z",
                "lastTimestamp": "2026-11-23T12:00:00Z",
                "eventTime": "2026-11-23T12:00:00.987654Z",
                "count": 1,
                "action": "Synced",
                "reportingComponent": "flagger",
                "reportingInstance": "canary-webhook-7d9f",
            })
        );
    }

    #[test]
    fn names_sort_in_the_order_of_writing() {
        let canary = canary("podinfo");
        let names: Vec<_> = [0, 1, 9, 10, 15, 16, 255, 256, 65_536, i64::from(u32::MAX)]
            .map(|n| event_name(&canary, n))
            .into();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn the_longest_canary_name_still_gives_a_valid_event_name() {
        let name = event_name(&canary(&"a".repeat(253)), i64::from(u32::MAX));
        assert!(name.len() <= 253, "{}", name.len());
        assert!(name.ends_with(".0f6c1a2b.ffffffff"));
    }

    #[test]
    fn a_canary_created_again_under_its_name_has_other_event_names() {
        let mut again = canary("podinfo");
        again.metadata.uid = Some("99999999-7d5e-4c3b-9a8f-1e2d3c4b5a69".into());
        assert_ne!(event_name(&canary("podinfo"), 1), event_name(&again, 1));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = advance(&"ä€".repeat(500)).message.unwrap();
        assert_eq!(message.len(), 1022);
        assert!(
            message.ends_with("ä"),
            "1024 is in the middle of a euro sign"
        );
    }

    #[test]
    fn a_long_instance_is_cut_to_what_the_api_server_accepts() {
        let reporter = Reporter {
            instance: "i".repeat(200),
            ..reporter()
        };
        let canary = canary("podinfo");
        let event = event(&reporter, &canary, 1, Severity::Warning, "x", now());
        assert_eq!(event.reporting_instance.unwrap().len(), 128);
        assert_eq!(event.type_.unwrap(), "Warning");
    }

    #[test]
    fn a_repetition_patches_count_and_last_time_only() {
        assert_eq!(
            repetition(3, now()),
            json!({ "count": 3, "lastTimestamp": "2026-11-23T12:00:00Z" })
        );
    }
}

mod writing {
    use super::*;

    /// Answers each call from a list, and keeps method, path, type and body of the call.
    #[derive(Clone, Default)]
    struct ApiServer(Arc<Mutex<Played>>);

    #[derive(Default)]
    struct Played {
        answers: Vec<(u16, Value)>,
        calls: Vec<(String, String, Value)>,
    }

    impl ApiServer {
        async fn answering(answers: Vec<(u16, Value)>) -> (Self, EventWriter) {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let server = Self::default();
            server.0.lock().unwrap().answers = answers;
            let router = Router::new().fallback(answer).with_state(server.clone());
            let address = serve(router).await;
            let config = kube::Config::new(format!("http://{address}").parse().unwrap());
            (server, EventWriter::new(Client::try_from(config).unwrap()))
        }

        fn calls(&self) -> Vec<String> {
            let played = self.0.lock().unwrap();
            played.calls.iter().map(|(call, ..)| call.clone()).collect()
        }
    }

    async fn answer(
        State(server): State<ApiServer>,
        method: Method,
        uri: Uri,
        headers: axum::http::HeaderMap,
        body: Bytes,
    ) -> impl IntoResponse {
        let mut played = server.0.lock().unwrap();
        let type_ = headers
            .get(header::CONTENT_TYPE)
            .map_or_else(String::new, |value| value.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&body).unwrap_or_default();
        played.calls.push((format!("{method} {uri}"), type_, body));
        let (status, answer) = played.answers.remove(0);
        (StatusCode::from_u16(status).unwrap(), axum::Json(answer))
    }

    fn failure(code: u16, reason: &str) -> (u16, Value) {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "reason": reason, "code": code, "message": reason,
        });
        (code, status)
    }

    fn stored(event: &Event) -> (u16, Value) {
        (200, serde_json::to_value(event).unwrap())
    }

    const EVENTS: &str = "/api/v1/namespaces/test/events";

    #[tokio::test]
    async fn a_new_event_costs_one_request() {
        let event = advance("weight 20");
        let (server, writer) = ApiServer::answering(vec![stored(&event)]).await;
        assert_eq!(writer.write(&event).await.unwrap(), Written::Created);
        assert_eq!(
            server.calls(),
            [format!("POST {EVENTS}?&fieldManager=kubectl-canary")]
        );
    }

    #[tokio::test]
    async fn an_event_written_before_a_crash_is_not_written_again() {
        let event = advance("weight 20");
        let answers = vec![failure(409, "AlreadyExists"), stored(&event)];
        let (_, writer) = ApiServer::answering(answers).await;
        assert_eq!(writer.write(&event).await.unwrap(), Written::Existed);
    }

    #[tokio::test]
    async fn a_name_with_another_text_is_taken() {
        let answers = vec![failure(409, "AlreadyExists"), stored(&advance("weight 10"))];
        let (server, writer) = ApiServer::answering(answers).await;
        let written = writer.write(&advance("weight 20")).await.unwrap();
        assert_eq!(written, Written::Taken);
        assert_eq!(
            server.calls()[1],
            format!("GET {EVENTS}/podinfo.0f6c1a2b.0000001a")
        );
    }

    #[tokio::test]
    async fn a_refusal_names_the_event_and_the_cause() {
        let (_, writer) = ApiServer::answering(vec![failure(403, "Forbidden")]).await;
        let error = writer.write(&advance("weight 20")).await.unwrap_err();
        assert!(matches!(error, NotifyError::Write { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with("event podinfo.0f6c1a2b.0000001a not written: "),
            "{text}"
        );
        assert!(text.contains("Forbidden"), "{text}");
    }

    #[tokio::test]
    async fn a_repetition_is_a_merge_patch_of_the_event() {
        let event = advance("weight 20");
        let answers = vec![stored(&event), failure(404, "NotFound")];
        let (server, writer) = ApiServer::answering(answers).await;
        let name = event.metadata.name.unwrap();
        assert!(writer.repeat("test", &name, 2, now()).await.unwrap());
        assert!(!writer.repeat("test", &name, 3, now()).await.unwrap());
        let played = server.0.lock().unwrap();
        let (call, type_, body) = &played.calls[0];
        assert_eq!(
            *call,
            format!("PATCH {EVENTS}/{name}?&fieldManager=kubectl-canary")
        );
        assert_eq!(type_, "application/merge-patch+json");
        assert_eq!(*body, repetition(2, now()));
    }

    /// A clock that is not stopped: what is waited for is a real connection.
    #[tokio::test]
    async fn nothing_waits_for_long_where_events_hang_and_only_there() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let hangs = |uri: Uri| async move {
            if uri.path() == EVENTS {
                std::future::pending::<()>().await;
            }
            axum::Json(serde_json::to_value(advance("weight 20")).unwrap())
        };
        let address = serve(Router::new().fallback(hangs)).await;
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let writer = EventWriter::new(Client::try_from(config).unwrap());
        let mut elsewhere = advance("weight 20");
        elsewhere.metadata.namespace = Some("other".to_owned());

        let hanging = advance("weight 20");
        assert_eq!(writer.write(&hanging).await.unwrap(), Written::Unknown);
        let began = tokio::time::Instant::now();
        let mut dropped = 0;
        for _ in 0..20 {
            dropped += usize::from(writer.write(&hanging).await.is_err());
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
        assert_eq!(dropped, 4, "16 are under way");
        let written = writer.write(&elsewhere).await.unwrap();
        assert_eq!(written, Written::Created);
    }
}
