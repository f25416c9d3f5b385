//! Against an API server that answers as it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use canary_core::guard::Guard;
use http::{Request, Response, Uri};
use kube::api::DynamicObject;
use kube::client::Body;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::api::Kind;

type Any = Guard<DynamicObject>;

/// One answer to a list or a watch, in the order in which they are asked for.
#[derive(Clone)]
pub(crate) enum Said {
    /// A page, and whether there is another.
    Page(Vec<String>, bool),
    /// Events of a watch that ends after them.
    Events(Vec<String>),
    /// An error by its code and text.
    Error(u16, &'static str),
    /// Nothing ever.
    Silence,
}

/// What discovery says.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Discovery {
    Known,
    /// The group is there without the kind.
    Unknown,
    NoGroup,
    Down,
}

/// Answers in order, and with silence when there is none left. Asks are kept.
#[derive(Clone)]
pub(crate) struct Script {
    answers: Arc<Mutex<VecDeque<Said>>>,
    asked: Arc<Mutex<Vec<String>>>,
    silent: Arc<AtomicBool>,
    discovery: Discovery,
    kind: Kind,
}

pub(crate) fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

pub(crate) fn object(name: &str, version: u64) -> String {
    json!({
        "apiVersion": "v1", "kind": "Any",
        "metadata": { "name": name, "namespace": "test", "resourceVersion": version.to_string() },
    })
    .to_string()
}

/// An object nested deeper than can be read.
pub(crate) fn deep(name: &str, version: u64) -> String {
    let levels = 170;
    let nested = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let object = object(name, version);
    format!(r#"{},"spec":{nested}}}"#, &object[..object.len() - 1])
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The end of a watch whose changes are not kept any more, in the API server's words.
pub(crate) fn expired() -> String {
    event("ERROR", &status(410, EXPIRED).to_string())
}

pub(crate) const EXPIRED: &str = "too old resource version: 1404312 (1404999)";

// === impl Script ===

impl Script {
    pub(crate) fn new(kind: Kind, discovery: Discovery, answers: Vec<Said>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into())),
            asked: Arc::default(),
            silent: Arc::default(),
            discovery,
            kind,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            let uri = request.uri().clone();
            async move { script.answer(&uri).await }
        });
        Client::new(service, "default")
    }

    pub(crate) fn source<K: Watched>(&self) -> Source<K> {
        let source = Source::new(self.client(), self.kind.resource(), None);
        source.pauses(Duration::from_millis(1), Duration::from_millis(2))
    }

    /// Lists and watches so far, by their queries.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Whether all has been said, and taken in: more was asked for.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    async fn answer(&self, uri: &Uri) -> Result<Response<Body>, std::io::Error> {
        let resource = self.kind.resource();
        if !uri.path().ends_with(&resource.plural) {
            return Ok(self.discover(uri.path()));
        }
        let query = uri.query().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(query);
        let said = self.answers.lock().unwrap().pop_front();
        match said.unwrap_or(Said::Silence) {
            Said::Page(items, more) => {
                let list = format!(
                    r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"100"{}}},"items":[{}]}}"#,
                    if more { r#","continue":"next""# } else { "" },
                    items.join(",")
                );
                Ok(answer(200, list))
            }
            Said::Events(events) => Ok(answer(200, events.concat())),
            Said::Error(code, text) => Ok(answer(code, status(code, text).to_string())),
            Said::Silence => {
                self.silent.store(true, Ordering::Release);
                std::future::pending().await
            }
        }
    }

    fn discover(&self, path: &str) -> Response<Body> {
        let resource = self.kind.resource();
        if self.discovery == Discovery::Down {
            return answer(503, status(503, "the server is starting").to_string());
        }
        if path.trim_end_matches('/') == "/apis" {
            let version =
                json!({ "groupVersion": resource.api_version, "version": resource.version });
            let group = json!({
                "name": resource.group, "versions": [version], "preferredVersion": version,
            });
            let groups = if self.discovery == Discovery::NoGroup {
                vec![]
            } else {
                vec![group]
            };
            let list = json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
            return answer(200, list.to_string());
        }
        let resources = if self.discovery == Discovery::Known {
            json!([{
                "name": resource.plural, "singularName": "", "namespaced": true,
                "kind": resource.kind, "verbs": ["list", "watch"],
            }])
        } else {
            json!([])
        };
        let list = json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": resource.api_version, "resources": resources,
        });
        answer(200, list.to_string())
    }
}

fn answer(code: u16, body: String) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(Body::from(body.into_bytes()))
        .unwrap()
}

/// What a script shows, one word for each, until it is through and more is asked for.
async fn seen(script: &Script) -> Vec<String> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let source: Source<Any> = script.source();
    let watching = tokio::spawn(source.follow(move |seen| drop(tell.send(word(&seen)))));
    while !script.is_silent() {
        tokio::task::yield_now().await;
    }
    let mut words = Vec::new();
    while let Ok(word) = told.try_recv() {
        words.push(word);
    }
    watching.abort();
    words
}

fn word(seen: &Seen<Any>) -> String {
    let name = |object: &Any| {
        let readable = if object.0.is_ok() { "" } else { "!" };
        format!("{}{readable}", object.name_any())
    };
    match seen {
        Seen::Listing => "listing".to_owned(),
        Seen::Listed(object) => format!("listed {}", name(object)),
        Seen::Complete => "complete".to_owned(),
        Seen::Watching => "watching".to_owned(),
        Seen::Applied(object) => format!("applied {}", name(object)),
        Seen::Deleted(object) => format!("deleted {}", name(object)),
        Seen::Absent => "absent".to_owned(),
        Seen::Failed(error) => format!("failed {:?}", error.code()),
    }
}

#[tokio::test]
async fn a_list_comes_page_by_page_and_changes_are_watched_from_its_version() {
    let script = Script::new(
        Kind::Route,
        Discovery::Known,
        vec![
            Said::Page(vec![object("a", 1)], true),
            Said::Page(vec![object("b", 2)], false),
            Said::Events(vec![
                event("ADDED", &object("c", 101)),
                event("MODIFIED", &object("a", 102)),
                event("DELETED", &object("b", 103)),
                event(
                    "BOOKMARK",
                    r#"{"kind":"Any","apiVersion":"v1","metadata":{"resourceVersion":"110"}}"#,
                ),
            ]),
            Said::Events(vec![]),
        ],
    );
    let words = seen(&script).await;
    let expected = [
        "listing",
        "listed a",
        "listed b",
        "complete",
        "watching",
        "applied c",
        "applied a",
        "deleted b",
        "watching",
    ];
    assert_eq!(words, expected);
    let asked = script.asked();
    let has = |index: usize, text: &str| asked[index].split('&').any(|part| part == text);
    assert!(
        has(0, "limit=500") && !asked[0].contains("resourceVersion"),
        "{asked:?}"
    );
    assert!(has(1, "continue=next") && has(1, "limit=500"), "{asked:?}");
    assert!(
        has(2, "resourceVersion=100") && has(2, "allowWatchBookmarks=true"),
        "{asked:?}"
    );
    assert!(
        has(3, "resourceVersion=110"),
        "a watch that ends goes on where it was: {asked:?}"
    );
}

#[tokio::test]
async fn one_object_that_cannot_be_read_keeps_no_other_back() {
    let script = Script::new(
        Kind::Route,
        Discovery::Known,
        vec![
            Said::Page(vec![object("a", 1), deep("bad", 2), object("b", 3)], false),
            Said::Events(vec![
                event("MODIFIED", &deep("bad", 101)),
                event("ADDED", &object("c", 102)),
                event("DELETED", &deep("bad", 103)),
                event("ADDED", &object("d", 104)),
            ]),
            Said::Events(vec![]),
        ],
    );
    let words = seen(&script).await;
    let expected = [
        "listing",
        "listed a",
        "listed bad!",
        "listed b",
        "complete",
        "watching",
        "applied bad!",
        "applied c",
        "deleted bad!",
        "applied d",
        "watching",
    ];
    assert_eq!(words, expected);
    let last = script.asked().pop().unwrap();
    assert!(last.contains("resourceVersion=104"), "{last}");
}

#[tokio::test]
async fn an_expired_watch_is_a_new_list_also_when_it_cannot_even_be_opened() {
    for said in [Said::Events(vec![expired()]), Said::Error(410, EXPIRED)] {
        let script = Script::new(
            Kind::Policy,
            Discovery::NoGroup,
            vec![
                Said::Page(vec![object("a", 1)], false),
                said,
                Said::Page(vec![object("a", 1)], false),
                Said::Events(vec![]),
            ],
        );
        let mut words = seen(&script).await;
        words.retain(|word| word != "watching");
        let list = ["listing", "listed a", "complete"];
        let expected = [&list[..], &["failed Some(410)"], &list].concat();
        assert_eq!(words, expected);
    }
}

#[tokio::test]
async fn a_watch_that_cannot_be_opened_three_times_is_a_new_list() {
    let script = Script::new(
        Kind::Policy,
        Discovery::Known,
        vec![
            Said::Page(vec![object("a", 1)], false),
            Said::Error(504, "Too large resource version: 100, current: 7"),
            Said::Error(504, "Too large resource version: 100, current: 7"),
            Said::Error(504, "Too large resource version: 100, current: 7"),
            Said::Page(vec![object("a", 1)], false),
        ],
    );
    let words = seen(&script).await;
    let lists = words.iter().filter(|word| *word == "complete").count();
    let failed = words
        .iter()
        .filter(|word| word.starts_with("failed"))
        .count();
    assert_eq!((lists, failed), (2, 3), "{words:?}");
}

#[tokio::test]
async fn an_event_that_is_none_is_a_new_list_and_no_lost_event() {
    let script = Script::new(
        Kind::Policy,
        Discovery::Known,
        vec![
            Said::Page(vec![], false),
            Said::Events(vec![
                "{\"type\":\"ADDED\",\"obj\n".to_owned() + "ect\":1}\n",
            ]),
            Said::Page(vec![object("a", 1)], false),
        ],
    );
    let words = seen(&script).await;
    assert_eq!(
        words.last().map(String::as_str),
        Some("complete"),
        "{words:?}"
    );
    assert!(words.contains(&"listed a".to_owned()), "{words:?}");
}

#[tokio::test]
async fn not_found_is_believed_when_discovery_says_so_too() {
    let cases = [
        (Discovery::NoGroup, "absent"),
        (Discovery::Unknown, "absent"),
        (Discovery::Known, "failed Some(404)"),
        (Discovery::Down, "failed Some(404)"),
    ];
    for kind in [Kind::Route, Kind::Policy, Kind::Namespace] {
        for (discovery, expected) in cases {
            if kind == Kind::Namespace && discovery == Discovery::NoGroup {
                continue;
            }
            let answers = vec![Said::Error(404, "the server could not find it")];
            let script = Script::new(kind, discovery, answers);
            let words = seen(&script).await;
            assert_eq!(words[..2], ["listing", expected], "{kind:?}");
        }
    }
}

#[tokio::test]
async fn what_an_error_says_decides_nothing() {
    for (code, text) in [
        (500, "404 not found"),
        (403, "404: the server could not find the requested resource"),
        (503, "403 Forbidden 410 Gone"),
        (429, "404"),
    ] {
        let answers = vec![Said::Error(code, text)];
        let script = Script::new(Kind::Policy, Discovery::NoGroup, answers);
        let words = seen(&script).await;
        assert_eq!(
            words[..2],
            ["listing".to_owned(), format!("failed Some({code})")]
        );
    }
}
