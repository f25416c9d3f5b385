use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use canary_core::canary::{Canary, CanarySpec, Hook};
use canary_core::hook::{EventFacts, Payload};
use canary_core::status::Phase;
use jiff::Timestamp;

use super::background::lane;
use super::{Background, Backoff, HookError, Outgoing, call, event_hooks};
use crate::transport::testing::{closed, hanging, raw, serve, transport};

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(50),
};

fn hook(url: &str, retries: i64, timeout: &str) -> Hook {
    Hook {
        name: "gate".into(),
        url: url.into(),
        retries: Some(retries),
        timeout: Some(timeout.into()),
        ..Hook::default()
    }
}

fn payload() -> Payload {
    Payload {
        name: "podinfo".into(),
        namespace: "test".into(),
        phase: Phase::Progressing,
        checksum: "85f557f14f6a8a47".into(),
        metadata: BTreeMap::from([("type".to_owned(), "cmd".to_owned())]),
    }
}

fn outgoing(url: &str, retries: i64, timeout: &str) -> Outgoing {
    Outgoing::new(&hook(url, retries, timeout), &payload()).unwrap()
}

async fn post_to(url: &str, retries: i64) -> Result<(), HookError> {
    call(&transport(), &outgoing(url, retries, "10s"), QUICK).await
}

/// Answers one status after the other, the last for ever, and counts the calls.
#[derive(Clone)]
struct Script(Arc<Mutex<Played>>);

struct Played {
    calls: usize,
    answers: Vec<(StatusCode, &'static str)>,
}

impl Script {
    async fn serve(answers: &[(u16, &'static str)]) -> (Self, String) {
        let answers = answers
            .iter()
            .map(|(status, text)| (StatusCode::from_u16(*status).unwrap(), *text))
            .collect();
        let script = Self(Arc::new(Mutex::new(Played { calls: 0, answers })));
        let next = |State(script): State<Self>| async move {
            let mut played = script.0.lock().unwrap();
            let next = played.calls.min(played.answers.len() - 1);
            played.calls += 1;
            played.answers[next]
        };
        let router = Router::new()
            .route("/", post(next))
            .with_state(script.clone());
        let address = serve(router).await;
        (script, format!("http://{address}/"))
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }
}

mod answers {
    use super::*;

    async fn to(status: u16, text: &'static str) -> Result<(), HookError> {
        let (_, url) = Script::serve(&[(status, text)]).await;
        post_to(&url, 0).await
    }

    #[tokio::test]
    async fn two_hundred_to_two_hundred_and_two_are_success() {
        for status in [200, 201, 202] {
            assert_eq!(to(status, "").await, Ok(()));
        }
    }

    #[tokio::test]
    async fn other_answers_are_errors_in_the_servers_words() {
        let refused = |text: &str| Err(HookError::Refused(text.to_owned()));
        assert_eq!(to(403, "Forbidden\n").await, refused("Forbidden"));
        assert_eq!(to(203, "half").await, refused("half"));
        assert_eq!(to(404, "").await, refused("status 404 Not Found"));
    }

    #[tokio::test]
    async fn no_content_is_an_error_that_says_so() {
        let error = to(204, "").await.unwrap_err();
        assert_eq!(error.to_string(), "status 204 No Content");
    }

    #[tokio::test]
    async fn a_server_error_tells_attempts_and_reason() {
        let (_, url) = Script::serve(&[(500, "command hey failed")]).await;
        assert_eq!(
            post_to(&url, 0).await.unwrap_err().to_string(),
            format!("POST {url} giving up after 1 attempt(s): command hey failed")
        );
    }

    #[tokio::test]
    async fn an_answer_is_repeated_up_to_its_limit() {
        let long: &'static str = Box::leak("ä".repeat(1000).into_boxed_str());
        let Err(HookError::Refused(text)) = to(400, long).await else {
            panic!("the answer was accepted");
        };
        assert_eq!(text.len(), 1024);
        assert!(text.chars().all(|c| c == 'ä'));
    }
}

mod attempts {
    use super::*;

    #[tokio::test]
    async fn a_server_that_recovers_within_the_retries_is_success() {
        let (script, url) = Script::serve(&[(503, ""), (429, ""), (200, "")]).await;
        assert_eq!(post_to(&url, 2).await, Ok(()));
        assert_eq!(script.calls(), 3);
    }

    #[tokio::test]
    async fn an_answer_that_is_final_is_not_asked_again() {
        for status in [400, 403, 501] {
            let (script, url) = Script::serve(&[(status, "no")]).await;
            let error = post_to(&url, 5).await;
            assert_eq!(error, Err(HookError::Refused("no".into())), "{status}");
            assert_eq!(script.calls(), 1);
        }
    }

    #[tokio::test]
    async fn waits_double_up_to_their_limit() {
        let (script, url) = Script::serve(&[(500, "")]).await;
        let start = tokio::time::Instant::now();
        let error = post_to(&url, 3).await.unwrap_err();
        let took = start.elapsed();
        assert!(
            error.to_string().contains("giving up after 4 attempt(s)"),
            "{error}"
        );
        assert_eq!(script.calls(), 4);
        // 20 + 40 + 50
        assert!(took >= Duration::from_millis(110), "{took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn waits_are_those_of_flagger_and_no_server_makes_them_longer() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (1..=7).map(|n| backoff.after(n, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.after(1, Some(Duration::from_secs(7))).as_secs(), 7);
        assert_eq!(backoff.after(1, Some(Duration::MAX)).as_secs(), 30);
        assert_eq!(backoff.after(u32::MAX, None).as_secs(), 30);
    }

    #[tokio::test]
    async fn a_server_that_is_down_is_tried_again_and_named() {
        let url = format!("http://{}/gate", closed().await);
        let error = post_to(&url, 1).await.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "POST {url} giving up after 2 attempt(s): connect to "
            )),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_tried_again() {
        let url = format!("http://{}/gate", raw(b"").await);
        let error = post_to(&url, 1).await.unwrap_err().to_string();
        assert!(error.contains("giving up after 2 attempt(s)"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_that_hangs_costs_its_timeout_and_no_more() {
        let url = format!("http://{}/", hanging().await);
        let error = call(&transport(), &outgoing(&url, 5, "100ms"), QUICK).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("POST {url} timed out after 100ms in attempt 1")
        );
    }

    #[tokio::test]
    async fn the_timeout_spans_all_attempts() {
        let (script, url) = Script::serve(&[(500, "")]).await;
        let slow = Backoff {
            first: Duration::from_secs(3600),
            longest: Duration::from_secs(3600),
        };
        let error = call(&transport(), &outgoing(&url, 5, "100ms"), slow).await;
        assert!(
            matches!(error, Err(HookError::TimedOut { attempts: 1, .. })),
            "{error:?}"
        );
        assert_eq!(script.calls(), 1);
    }
}

mod requests {
    use super::*;

    #[tokio::test]
    async fn the_payload_is_sent_as_json() {
        let seen = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&seen);
        let receive = |headers: HeaderMap, body: String| async move {
            *keep.lock().unwrap() = Some((headers[header::CONTENT_TYPE].clone(), body));
        };
        let address = serve(Router::new().route("/", post(receive))).await;
        post_to(&format!("http://{address}/"), 0).await.unwrap();
        let (type_, body) = seen.lock().unwrap().take().unwrap();
        assert_eq!(type_, "application/json");
        assert_eq!(
            body,
            r#"{"name":"podinfo","namespace":"test","phase":"Progressing","checksum":"85f557f14f6a8a47","metadata":{"type":"cmd"}}"#
        );
    }

    #[test]
    fn what_is_no_url_is_named() {
        for url in ["", "flagger-loadtester.test", "h:80/", "file:///etc/passwd"] {
            let error = Outgoing::new(&hook(url, 0, "1s"), &payload()).unwrap_err();
            assert_eq!(error, HookError::Url(url.into()));
        }
    }

    #[tokio::test]
    async fn a_password_in_the_url_never_reaches_an_event() {
        let address = closed().await;
        let error = post_to(&format!("http://me:hunter2@{address}/x"), 0).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("POST http://{address}/x giving up")),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

mod events {
    use super::*;

    fn canary(hooks: Vec<Hook>) -> Canary {
        let mut canary = Canary::new("podinfo", CanarySpec::default());
        canary.metadata.namespace = Some("test".into());
        canary.spec.analysis.webhooks = hooks;
        canary
    }

    fn event(url: &str) -> Hook {
        Hook {
            type_: Some("event".into()),
            ..hook(url, 0, "60s")
        }
    }

    #[test]
    fn the_servers_webhook_is_told_where_a_canary_has_none_of_its_own() {
        let urls = |canary: &Canary, global| -> Vec<String> {
            let hooks = event_hooks(canary, global);
            hooks.into_iter().map(|hook| hook.url).collect()
        };
        let own = canary(vec![event("http://own"), hook("http://check", 0, "1s")]);
        assert_eq!(urls(&own, Some("http://global")), ["http://own"]);
        let none = canary(vec![hook("http://check", 0, "1s")]);
        assert_eq!(urls(&none, Some("http://global")), ["http://global"]);
        assert!(urls(&none, Some("")).is_empty());
        assert!(urls(&none, None).is_empty());
    }

    /// Keeps the messages in the order of their arrival.
    async fn listener() -> (Arc<Mutex<Vec<String>>>, String) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&seen);
        let receive = |body: axum::Json<Payload>| async move {
            let text = body.0.metadata["eventMessage"].clone();
            keep.lock().unwrap().push(text);
        };
        let address = serve(Router::new().route("/", post(receive))).await;
        (seen, format!("http://{address}/"))
    }

    fn told(url: &str, message: &str) -> Outgoing {
        let hook = event(url);
        let facts = EventFacts {
            message,
            type_: "Normal",
            at: Timestamp::UNIX_EPOCH,
        };
        let payload = Payload::event(&canary(vec![]), &hook, Phase::Progressing, &facts);
        Outgoing::new(&hook, &payload).unwrap()
    }

    #[tokio::test]
    async fn events_arrive_in_the_order_in_which_they_were_sent() {
        let (seen, url) = listener().await;
        let background = Background::start(&transport(), QUICK);
        let sent: Vec<_> = (0..50).map(|n| format!("event {n}")).collect();
        for message in &sent {
            assert!(background.send("podinfo.test", told(&url, message)));
        }
        background.finish().await;
        assert_eq!(*seen.lock().unwrap(), sent);
    }

    #[tokio::test]
    async fn a_webhook_that_hangs_delays_neither_the_sender_nor_others() {
        let (seen, url) = listener().await;
        let mut stuck = format!("http://{}/", hanging().await);
        while lane(&stuck) == lane(&url) {
            stuck = format!("http://{}/", hanging().await);
        }
        let background = Background::start(&transport(), QUICK);
        let full = (0..1000).any(|_| !background.send("podinfo.test", told(&stuck, "lost")));
        assert!(full, "the queue has no bound");
        assert!(background.send("podinfo.test", told(&url, "heard")));
        tokio::time::timeout(Duration::from_secs(30), async {
            while seen.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the other webhook waited");
    }
}
