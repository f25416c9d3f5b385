//! What the page asks, and who may ask it.
//!
//! ```text
//!  guard ─► /?token=…                      token ─► cookie
//!           / and /canaries/NS/NAME        the page
//!           /assets/FILE                   its files
//!           /api/canaries                  server-sent events: hello, list, row, gone, trouble
//!           /api/canaries/NS/NAME          server-sent events: hello, detail, unreadable, gone
//!           POST /api/canaries/NS/NAME/VERB   {revision, reason}
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, middleware};
use canary_core::request::Verb;
use futures::Stream;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use super::feed::Change;
use super::shown::{self, Message};
use super::{Dashboard, page};
use crate::args::CanaryName;
use crate::exit::{Error, code, one_line};
use crate::report::Meta;

/// Only our own files, no inline code, and no markup made from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";
/// A wish is a revision and a sentence.
const LONGEST_BODY: usize = 16 * 1024;
/// So many messages wait for a page that is slow.
const WAITING: usize = 8;

/// The address was good. The cookie counts from the next request on, which the page itself has to
/// make: one that another site caused would come without it.
const WELCOME: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
     <meta http-equiv=\"refresh\" content=\"0;url=/\"><title>kubectl canary</title>\
     <p>Opening the dashboard …</p></html>\n";

#[derive(Deserialize)]
struct Entrance {
    token: Option<String>,
}

/// What somebody wants to happen to the revision that the page showed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    revision: String,
    #[serde(default)]
    reason: String,
}

/// What a page learns first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hello<'a> {
    server: &'a str,
    namespace: Option<&'a str>,
    read_only: bool,
    version: &'static str,
}

pub fn router(dashboard: Arc<Dashboard>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/canaries/{namespace}/{name}", get(index))
        .route("/assets/{name}", get(asset))
        // Browsers ask for it now and then, although the page names its icon.
        .route("/favicon.ico", get(|| asset(Path("icon.svg".to_owned()))))
        .route("/api/canaries", get(list))
        .route("/api/canaries/{namespace}/{name}", get(detail))
        .route("/api/canaries/{namespace}/{name}/{verb}", post(ask))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is no such page", None) })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn_with_state(dashboard.clone(), guard))
        .layer(middleware::map_response(harden))
        .with_state(dashboard)
}

/// Nothing is answered before it is known who asks.
async fn guard(
    State(dashboard): State<Arc<Dashboard>>,
    Query(entrance): Query<Entrance>,
    request: Request,
    next: Next,
) -> Response {
    let session = &dashboard.session;
    let headers = request.headers();
    let forbidden = |why, hint| refusal(StatusCode::FORBIDDEN, why, Some(hint));
    if !session.is_our_host(text(headers, header::HOST)) {
        let hint = "open it by the address that `kubectl canary dashboard` printed";
        return forbidden("this host name is not the dashboard's", hint);
    }
    let origin = text(headers, header::ORIGIN);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !(session.is_our_origin(origin) || origin.is_empty() && reads) {
        let hint = "only the dashboard's own page may ask";
        return forbidden("the request comes from another site", hint);
    }
    let cookies = headers.get_all(header::COOKIE).iter();
    let known = cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .any(|cookies| session.knows(cookies));
    match entrance.token.filter(|_| request.uri().path() == "/") {
        Some(token) => match session.redeem(&token) {
            Some(cookie) => welcome(Some(&cookie)),
            None if known => welcome(None),
            None => forbidden(
                "this address was used already, or is of another dashboard",
                "end `kubectl canary dashboard` with Ctrl-C and start it again for a new address",
            ),
        },
        None if known => next.run(request).await,
        None => forbidden(
            "this browser has no session with the dashboard",
            "open the address that `kubectl canary dashboard` printed; it works once",
        ),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    // What is no text is nobody's name.
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap_or("?"))
}

fn welcome(cookie: Option<&str>) -> Response {
    let mut response = axum::response::Html(WELCOME).into_response();
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// One line of cause, one of hint, as everywhere.
fn refusal(status: StatusCode, why: &str, hint: Option<&str>) -> Response {
    let hint = hint.map_or(String::new(), |hint| format!("hint: {hint}\n"));
    (status, format!("error: {why}\n{hint}")).into_response()
}

async fn harden(mut response: Response) -> Response {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in all {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn index() -> Response {
    (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        page::INDEX,
    )
        .into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    match page::find(&name) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "there is no such file", None),
    }
}

async fn list(State(dashboard): State<Arc<Dashboard>>) -> impl IntoResponse {
    events(dashboard, tell_all)
}

async fn detail(
    State(dashboard): State<Arc<Dashboard>>,
    Path((namespace, name)): Path<(String, String)>,
) -> impl IntoResponse {
    let meta = Meta { namespace, name };
    events(dashboard, |dashboard, page| {
        shown::tell(dashboard, meta, page)
    })
}

/// What `teller` sends, after a greeting, for as long as the page listens.
fn events<F>(
    dashboard: Arc<Dashboard>,
    teller: impl FnOnce(Arc<Dashboard>, mpsc::Sender<Message>) -> F,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (page, messages) = mpsc::channel(WAITING);
    let hello = json!(Hello {
        server: dashboard.cluster.server(),
        namespace: dashboard.namespace.as_deref(),
        read_only: dashboard.read_only,
        version: env!("CARGO_PKG_VERSION"),
    });
    let teller = teller(dashboard, page.clone());
    tokio::spawn(async move {
        if page.send(("hello", hello.to_string())).await.is_ok() {
            teller.await;
        }
    });
    let messages = stream::unfold(messages, |mut messages| async {
        let (name, data) = messages.recv().await?;
        Some((Ok(sse::Event::default().event(name).data(data)), messages))
    });
    Sse::new(messages).keep_alive(KeepAlive::default())
}

/// The whole list, and then each change of it.
async fn tell_all(dashboard: Arc<Dashboard>, page: mpsc::Sender<Message>) {
    let mut changes = dashboard.feed.subscribe();
    let mut next = Some(Change::All);
    // Trouble may be older than the page.
    if dashboard.feed.trouble().is_some() && page.send(trouble(&dashboard)).await.is_err() {
        return;
    }
    loop {
        let message = next.take().and_then(|change| said(&dashboard, change));
        if let Some(message) = message
            && page.send(message).await.is_err()
        {
            return;
        }
        next = tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => Some(change),
                Err(RecvError::Lagged(_)) => Some(resubscribed(&dashboard, &mut changes)),
                Err(RecvError::Closed) => return,
            },
            () = page.closed() => return,
        };
    }
}

/// What was missed is in the list.
fn resubscribed(dashboard: &Dashboard, changes: &mut broadcast::Receiver<Change>) -> Change {
    *changes = dashboard.feed.subscribe();
    Change::All
}

fn said(dashboard: &Dashboard, change: Change) -> Option<Message> {
    match change {
        Change::All => Some(("list", dashboard.feed.rows()?)),
        Change::Trouble => Some(trouble(dashboard)),
        Change::One(meta) => Some(match dashboard.feed.row(&meta) {
            Some(row) => ("row", row.to_string()),
            None => ("gone", json!(meta).to_string()),
        }),
    }
}

fn trouble(dashboard: &Dashboard) -> Message {
    ("trouble", json!(dashboard.feed.trouble()).to_string())
}

async fn ask(
    State(dashboard): State<Arc<Dashboard>>,
    Path((namespace, name, verb)): Path<(String, String, String)>,
    Json(wish): Json<Wish>,
) -> Response {
    if dashboard.read_only {
        let hint = Some("start it without --read-only");
        return outcome(StatusCode::FORBIDDEN, "the dashboard only reads", hint);
    }
    let Some(verb) = Verb::ALL.into_iter().find(|known| known.as_str() == verb) else {
        return outcome(StatusCode::NOT_FOUND, "there is no such verb", None);
    };
    // Both become parts of a URL.
    let name = match (namespace.parse::<CanaryName>(), name.parse::<CanaryName>()) {
        (Ok(_), Ok(name)) if dashboard.shows(&namespace) => name,
        _ => {
            let why = format!("canary {namespace}/{name} is not on this dashboard");
            return outcome(StatusCode::NOT_FOUND, &one_line(&why), None);
        }
    };
    let reason = one_line(&wish.reason);
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    match dashboard
        .carry_out(verb, namespace, name.0, (reason, wish.revision))
        .await
    {
        Ok(said) => (StatusCode::OK, Json(json!({ "message": said }))).into_response(),
        Err(error) => outcome(
            status(&error),
            &one_line(&error.to_string()),
            error.hint().as_deref(),
        ),
    }
}

fn outcome(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let body: Value = json!({ "message": message, "hint": hint });
    (status, Json(body)).into_response()
}

fn status(error: &Error) -> StatusCode {
    match error.code() {
        code::NOT_FOUND => StatusCode::NOT_FOUND,
        code::FORBIDDEN => StatusCode::FORBIDDEN,
        code::TIMEOUT => StatusCode::GATEWAY_TIMEOUT,
        code::SUPERSEDED | code::RELEASE_FAILED => StatusCode::CONFLICT,
        _ if matches!(error, Error::NothingToDo { .. } | Error::Refused(_)) => StatusCode::CONFLICT,
        _ => StatusCode::BAD_GATEWAY,
    }
}

#[cfg(test)]
mod tests;
