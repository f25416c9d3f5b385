use axum::body::{Body, to_bytes};
use canary_core::guard::Guard;
use futures::StreamExt;
use kube::runtime::watcher::Event;
use tower::ServiceExt;

use super::super::session::Session;
use super::*;
use crate::args::Global;
use crate::client::Cluster;
use crate::env::Env;
use crate::report::tests::{canary, noon, progressing};

const HOST: &str = "127.0.0.1:4000";
const OURS: &str = "http://127.0.0.1:4000";
const COOKIE: &str = "kubectl-canary-4000=s3cret";
const PODINFO: &str = "/api/canaries/test/podinfo";

/// A dashboard of one Canary; nobody is at the API server's address.
async fn dashboard(read_only: bool) -> Arc<Dashboard> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let flags = Global {
        server: Some("http://127.0.0.1:1".into()),
        ..Global::default()
    };
    let cluster = Cluster::connect(&flags, &Env::default()).await.unwrap();
    let session = Session::with(4000, "t0ken".into(), "s3cret".into());
    let dashboard = Dashboard::new(session, cluster, Some("test".into()), read_only);
    let known = Guard(Ok(canary(&progressing())));
    for event in [Event::Init, Event::InitApply(known), Event::InitDone] {
        dashboard.feed.take_in(Ok(event), noon());
    }
    dashboard
}

struct Ask(axum::http::request::Builder);

impl Ask {
    fn get(path: &str) -> Self {
        Self(Request::get(path))
    }

    fn post(path: &str) -> Self {
        Self(Request::post(path)).with("content-type", "application/json")
    }

    fn with(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// As a page of ours asks.
    fn ours(self) -> Self {
        self.with("host", HOST)
            .with("cookie", COOKIE)
            .with("origin", OURS)
    }

    async fn of(self, dashboard: &Arc<Dashboard>, body: &str) -> Response {
        let request = self.0.body(Body::from(body.to_owned())).unwrap();
        router(dashboard.clone()).oneshot(request).await.unwrap()
    }
}

async fn body(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_token_becomes_a_cookie_once_and_leaves_the_address() {
    let dashboard = dashboard(false).await;
    let enter = || Ask::get("/?token=t0ken").with("host", HOST);
    let entered = enter().of(&dashboard, "").await;
    assert_eq!(entered.status(), 200);
    let cookie = header(&entered, "set-cookie").to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(body(entered).await.contains("content=\"0;url=/\""));

    let again = enter().of(&dashboard, "").await;
    assert_eq!(
        (again.status(), header(&again, "set-cookie")),
        (StatusCode::FORBIDDEN, "")
    );
    assert!(body(again).await.contains("was used already"));
    // The one who has used it may use it again.
    let known = enter().with("cookie", COOKIE).of(&dashboard, "").await;
    assert_eq!(
        (known.status(), header(&known, "set-cookie")),
        (StatusCode::OK, "")
    );
}

#[tokio::test]
async fn nothing_is_told_without_the_cookie() {
    let dashboard = dashboard(false).await;
    for path in [
        "/",
        "/canaries/test/podinfo",
        "/assets/app.js",
        "/api/canaries",
        PODINFO,
        "/x",
    ] {
        for cookie in [
            "",
            "kubectl-canary-4000=wrong",
            "kubectl-canary-4001=s3cret",
        ] {
            let asked = Ask::get(path).with("host", HOST).with("cookie", cookie);
            let answer = asked.of(&dashboard, "").await;
            assert_eq!(answer.status(), 403, "{path} {cookie}");
            assert!(body(answer).await.contains("no session"));
        }
    }
    // A token opens the front door only.
    let side = Ask::get("/api/canaries?token=t0ken").with("host", HOST);
    assert_eq!(side.of(&dashboard, "").await.status(), 403);
}

#[tokio::test]
async fn another_host_name_is_refused_even_with_the_cookie() {
    let dashboard = dashboard(false).await;
    for host in ["evil.example", "evil.example:4000", "127.0.0.1:4001", ""] {
        let asked = Ask::get("/").with("host", host).with("cookie", COOKIE);
        assert_eq!(asked.of(&dashboard, "").await.status(), 403, "{host}");
    }
    let nameless = Ask::get("/").with("cookie", COOKIE);
    assert_eq!(nameless.of(&dashboard, "").await.status(), 403);
    let localhost = Ask::get("/")
        .with("host", "localhost:4000")
        .with("cookie", COOKIE);
    assert_eq!(localhost.of(&dashboard, "").await.status(), 200);
}

#[tokio::test]
async fn another_origin_is_refused_and_a_write_without_one_too() {
    let dashboard = dashboard(false).await;
    let pause = format!("{PODINFO}/pause");
    let wish = r#"{"revision": "v1-bbbbbbbbbbbb"}"#;
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1:4001",
        "https://127.0.0.1:4000",
    ] {
        for ask in [Ask::get(PODINFO), Ask::post(&pause)] {
            let ask = ask
                .with("host", HOST)
                .with("cookie", COOKIE)
                .with("origin", origin);
            let answer = ask.of(&dashboard, wish).await;
            assert_eq!(answer.status(), 403, "{origin}");
            assert!(body(answer).await.contains("another site"));
        }
    }
    let silent = Ask::post(&pause).with("host", HOST).with("cookie", COOKIE);
    assert_eq!(silent.of(&dashboard, wish).await.status(), 403);
}

#[tokio::test]
async fn a_dashboard_that_only_reads_refuses_every_verb() {
    let dashboard = dashboard(true).await;
    for verb in Verb::ALL {
        let ask = Ask::post(&format!("{PODINFO}/{verb}")).ours();
        let answer = ask
            .of(&dashboard, r#"{"revision": "v1-bbbbbbbbbbbb"}"#)
            .await;
        assert_eq!(answer.status(), 403, "{verb}");
        assert!(body(answer).await.contains("only reads"));
    }
    assert_eq!(Ask::get("/").ours().of(&dashboard, "").await.status(), 200);
}

#[tokio::test]
async fn a_wish_has_a_known_verb_a_known_canary_and_a_revision() {
    let dashboard = dashboard(false).await;
    let wish = r#"{"revision": "v1-bbbbbbbbbbbb"}"#;
    let table = [
        (format!("{PODINFO}/explode"), wish, 404),
        (
            "/api/canaries/test/..%2Fpodinfo/pause".to_owned(),
            wish,
            404,
        ),
        ("/api/canaries/other/podinfo/pause".to_owned(), wish, 404),
        (format!("{PODINFO}/pause"), "{}", 422),
        (
            format!("{PODINFO}/pause"),
            r#"{"revision": "r", "force": true}"#,
            422,
        ),
        (format!("{PODINFO}/pause"), "revision=r", 400),
    ];
    for (path, wish, status) in table {
        let answer = Ask::post(&path).ours().of(&dashboard, wish).await;
        assert_eq!(answer.status(), status, "{path} {wish}");
    }
    // A form of another site needs no leave for this type of content.
    let form = Ask(Request::post(format!("{PODINFO}/pause"))).with("content-type", "text/plain");
    assert_eq!(form.ours().of(&dashboard, wish).await.status(), 415);
    let long = format!(
        r#"{{"revision": "r", "reason": "{}"}}"#,
        "x".repeat(LONGEST_BODY)
    );
    let answer = Ask::post(&format!("{PODINFO}/pause"))
        .ours()
        .of(&dashboard, &long)
        .await;
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn an_error_of_the_cluster_is_told_with_its_hint() {
    let dashboard = dashboard(false).await;
    let ask = Ask::post(&format!("{PODINFO}/pause")).ours();
    let answer = ask
        .of(&dashboard, r#"{"revision": "v1-bbbbbbbbbbbb"}"#)
        .await;
    assert_eq!(answer.status(), 502);
    let told: Value = serde_json::from_str(&body(answer).await).unwrap();
    assert!(
        told["message"].as_str().unwrap().contains("cannot reach"),
        "{told}"
    );
    assert!(
        told["hint"]
            .as_str()
            .unwrap()
            .contains("kubectl cluster-info"),
        "{told}"
    );
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let dashboard = dashboard(false).await;
    for ask in [
        Ask::get("/").ours(),
        Ask::get("/nowhere").ours(),
        Ask::get("/").with("host", "x"),
    ] {
        let answer = ask.of(&dashboard, "").await;
        let policy = header(&answer, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(
            header(&answer, "cross-origin-resource-policy"),
            "same-origin"
        );
        assert_eq!(header(&answer, "cache-control"), "no-store");
        assert_eq!(header(&answer, "access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn the_page_and_its_files_are_served_with_their_types() {
    let dashboard = dashboard(false).await;
    for path in ["/", "/canaries/test/podinfo"] {
        let answer = Ask::get(path).ours().of(&dashboard, "").await;
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    }
    for asset in page::ASSETS {
        let answer = Ask::get(&format!("/assets/{}", asset.name))
            .ours()
            .of(&dashboard, "")
            .await;
        assert_eq!(header(&answer, "content-type"), asset.kind);
        assert_eq!(body(answer).await.as_bytes(), asset.bytes);
    }
    let unasked = Ask::get("/favicon.ico").ours().of(&dashboard, "").await;
    assert_eq!(header(&unasked, "content-type"), "image/svg+xml");
    let missing = Ask::get("/assets/..%2fCargo.toml")
        .ours()
        .of(&dashboard, "")
        .await;
    assert_eq!(missing.status(), 404);
}

/// Names and data of the first messages.
async fn told(answer: Response, count: usize) -> Vec<(String, Value)> {
    let mut stream = answer.into_body().into_data_stream();
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
    }
    let message = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        (
            name,
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
        )
    };
    text.split("\n\n")
        .filter(|block| !block.is_empty())
        .map(message)
        .collect()
}

#[tokio::test]
async fn a_page_is_greeted_told_all_and_then_each_change() {
    let dashboard = dashboard(true).await;
    let answer = Ask::get("/api/canaries").ours().of(&dashboard, "").await;
    assert_eq!(header(&answer, "content-type"), "text/event-stream");
    let changes = dashboard.clone();
    tokio::spawn(async move {
        // Once the page listens.
        while changes.feed.listeners() == 0 {
            tokio::task::yield_now().await;
        }
        let gone = Guard(Ok(canary(&progressing())));
        changes.feed.take_in(Ok(Event::Apply(gone.clone())), noon());
        changes.feed.take_in(Ok(Event::Delete(gone)), noon());
        changes
            .feed
            .take_in(Err(Error::Api("gone fishing".into())), noon());
    });
    let told = told(answer, 5).await;
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["hello", "list"]);
    assert_eq!(told[0].1["readOnly"], true);
    assert_eq!(told[0].1["namespace"], "test");
    assert_eq!(told[1].1[0]["name"], "podinfo");
    assert_eq!(names[names.len() - 1], "trouble");
    assert_eq!(told[names.len() - 1].1["message"], "gone fishing");
    assert!(names.contains(&"gone"), "{names:?}");
}

#[tokio::test]
async fn a_canary_that_is_not_there_is_said_to_be_gone() {
    let dashboard = dashboard(false).await;
    let answer = Ask::get("/api/canaries/test/nobody")
        .ours()
        .of(&dashboard, "")
        .await;
    let told = told(answer, 2).await;
    assert_eq!(told[1].0, "gone");
}

#[test]
fn errors_have_the_status_that_a_page_expects() {
    let text = String::new;
    let table = [
        (Error::WriteForbidden(text()), 403),
        (Error::Deleted(text()), 404),
        (Error::Refused(text()), 409),
        (
            Error::NothingToDo {
                message: text(),
                hint: None,
            },
            409,
        ),
        (
            Error::Superseded {
                message: text(),
                command: text(),
            },
            409,
        ),
        (
            Error::Timeout {
                message: text(),
                hint: text(),
            },
            504,
        ),
        (Error::Conflict(text()), 502),
    ];
    for (error, expected) in table {
        assert_eq!(status(&error), expected, "{error:?}");
    }
}
