//! Whether an answer is one.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use canary_tests::clock::now;
use http::{Request, StatusCode};
use json_patch::{Patch, PatchOperation};
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::world::Server;

/// Longest time that an answer may take.
const LIMIT: Duration = Duration::from_secs(1);
/// What is looked at once more.
const NOTABLE: Duration = Duration::from_millis(50);
/// What the server reads at most.
const BODY_LIMIT: usize = 7 << 20;
/// What the API server passes on of one warning, and of all.
const WARNING: usize = 256;
const WARNINGS: usize = 4096;
/// What admission may write into an object's metadata: the map, and how its keys begin.
const OURS: [(&str, &str); 3] = [
    ("annotations", "kubectl-canary.dev/"),
    // Put back where a manifest that knows nothing of it dropped it.
    ("labels", "kubectl-canary.dev/managed"),
    ("labels", "policy.kubectl-canary.dev/"),
];

/// An answer that is right, in words that say which kind it is of.
#[derive(Debug, Default)]
pub struct Seen {
    pub kinds: Vec<String>,
    /// Fields that something was objected to for.
    pub fields: Vec<String>,
    pub took: Duration,
}

/// Of a review what an answer must repeat. What else is in it may be deeper than a `Value` can be.
#[derive(Deserialize)]
struct Sent {
    request: Named,
}

#[derive(Deserialize)]
struct Named {
    uid: String,
}

type Checked<T> = Result<T, String>;

struct Reply {
    status: StatusCode,
    review: Value,
    took: Duration,
}

/// Sends `body`, and says what is wrong with the answer.
pub async fn judge(server: &Server, webhook: &str, body: &[u8]) -> Checked<Seen> {
    let mut reply = send(server, webhook, body).await?;
    // A busy machine is slow once, a slow answer always.
    for _ in 0..2 {
        if reply.took > NOTABLE {
            let again = send(server, webhook, body).await?;
            reply.took = reply.took.min(again.took);
        }
    }
    if reply.took > LIMIT {
        return Err(format!("took {:?}, three times", reply.took));
    }
    let mut seen = Seen {
        took: reply.took,
        ..Seen::default()
    };
    let response = &reply.review["response"];
    if reply.status == StatusCode::OK {
        answered(webhook, body, response, &mut seen)?;
        let patch = patch(response)?;
        if !patch.0.is_empty() {
            seen.kinds.push(format!("{webhook} 200 patched"));
            Box::pin(patched(server, webhook, body, &patch)).await?;
        }
    } else {
        failed(reply.status, body, response)?;
        let code = reply.status.as_u16();
        seen.kinds.push(format!("{webhook} {code}"));
    }
    Ok(seen)
}

async fn send(server: &Server, webhook: &str, body: &[u8]) -> Checked<Reply> {
    let request = Request::post(format!("/{webhook}?timeout=5s"))
        .header("content-type", "application/json")
        .body(Body::from(body.to_vec()))
        .unwrap();
    let start = now();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let took = start.elapsed();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let review: Value =
        serde_json::from_slice(&body).map_err(|error| format!("no JSON: {error}"))?;
    let kind = (&review["apiVersion"], &review["kind"]);
    if kind.0 != "admission.k8s.io/v1" || kind.1 != "AdmissionReview" {
        return Err(format!("{status}: no AdmissionReview of v1, but {kind:?}"));
    }
    Ok(Reply {
        status,
        review,
        took,
    })
}

/// A 200: a decision about the request that was sent.
fn answered(webhook: &str, body: &[u8], response: &Value, seen: &mut Seen) -> Checked<()> {
    let sent: Sent = serde_json::from_slice(body).map_err(|error| format!("200 for {error}"))?;
    let uid = sent.request.uid;
    if response["uid"] != uid {
        return Err(format!("uid {} for {uid}", response["uid"]));
    }
    let mut said = Vec::new();
    match response["allowed"].as_bool() {
        None => return Err("neither allowed nor denied".to_owned()),
        Some(true) => seen.kinds.push(format!("{webhook} 200 allowed")),
        Some(false) => said.extend(denied(webhook, response, seen)?),
    }
    let warnings: Vec<&str> = texts(&response["warnings"])?;
    let runes = |text: &&str| text.chars().count();
    let all: usize = warnings.iter().map(runes).sum();
    if all > WARNINGS && warnings.iter().any(|text| runes(text) > WARNING) {
        return Err(format!("{all} runes of warnings, which are cut"));
    }
    if warnings.iter().any(|text| text.trim().is_empty()) {
        return Err("a warning without a word".to_owned());
    }
    if !warnings.is_empty() {
        seen.kinds.push(format!("{webhook} 200 warned"));
    }
    said.extend(warnings);
    let audit = response["auditAnnotations"].as_object();
    for note in audit.into_iter().flat_map(|notes| notes.values()) {
        seen.kinds.push(format!("{webhook} 200 recorded"));
        said.push(note.as_str().ok_or("an audit annotation that is no text")?);
    }
    seen.fields
        .extend(said.iter().flat_map(|text| fields(text)));
    Ok(())
}

fn texts(list: &Value) -> Checked<Vec<&str>> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| format!("no texts: {list}"))
}

fn denied<'a>(webhook: &str, response: &'a Value, seen: &mut Seen) -> Checked<Option<&'a str>> {
    let status = &response["status"];
    let code = status["code"].as_i64().unwrap_or_default();
    let message = status["message"].as_str().unwrap_or_default();
    if message.trim().is_empty() {
        return Err("denied without a word".to_owned());
    }
    if !response["patch"].is_null() {
        return Err("denied, and patched".to_owned());
    }
    match code {
        403 => {
            let by = message.split(' ').next().unwrap_or_default();
            seen.kinds.push(format!("{webhook} 200 denied 403 {by}"));
        }
        422 => {
            seen.kinds.push(format!("{webhook} 200 denied 422"));
            let causes = status["details"]["causes"].as_array();
            let causes = causes
                .filter(|it| !it.is_empty())
                .ok_or("a 422 without a cause")?;
            for cause in causes {
                let field = cause["field"].as_str().unwrap_or_default();
                if field.is_empty() || cause["message"].as_str().is_none_or(str::is_empty) {
                    return Err(format!("a cause that says nothing: {cause}"));
                }
                seen.fields.push(format!("invalid {}", plain(field)));
            }
        }
        code => return Err(format!("denied with {code}")),
    }
    Ok(Some(message))
}

/// `CanaryPolicy prod: spec.images.requireDigest: …` as the field, once for each policy.
fn fields(text: &str) -> Vec<String> {
    let parts = text.split("CanaryPolicy ").skip(1);
    let fields = parts.filter_map(|part| part.split(": ").nth(1));
    let fields = fields.filter(|field| field.starts_with("spec."));
    fields.map(plain).collect()
}

/// Without what stands in brackets.
fn plain(field: &str) -> String {
    match (field.find('['), field.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &field[..=open], &field[close..])
        }
        _ => field.to_owned(),
    }
}

/// No decision: the caller is told why.
fn failed(status: StatusCode, body: &[u8], response: &Value) -> Checked<()> {
    let said = &response["status"];
    let message = said["message"].as_str().unwrap_or_default();
    let wrong = match status {
        StatusCode::BAD_REQUEST => !message.starts_with("not an AdmissionReview: "),
        StatusCode::PAYLOAD_TOO_LARGE => body.len() <= BODY_LIMIT,
        _ => true,
    };
    if wrong || message.ends_with(": ") || said["code"] != status.as_u16() {
        return Err(format!("{status}: {message:?}"));
    }
    if response["allowed"] != false || !response["patch"].is_null() {
        return Err(format!("{status}, and allowed or patched"));
    }
    Ok(())
}

// === patches ===

fn patch(response: &Value) -> Checked<Patch> {
    let bytes: Vec<u8> = match &response["patch"] {
        Value::Null => return Ok(Patch::default()),
        list @ Value::Array(_) => {
            serde_json::from_value(list.clone()).map_err(|it| it.to_string())?
        }
        text => {
            serde_json::from_value::<ByteString>(text.clone())
                .map_err(|error| error.to_string())?
                .0
        }
    };
    if response["patchType"] != "JSONPatch" {
        return Err(format!("patch of type {}", response["patchType"]));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("no JSON Patch: {error}"))
}

/// A patch can be applied, changes only what is ours, and leaves nothing to patch.
async fn patched(server: &Server, webhook: &str, body: &[u8], patch: &Patch) -> Checked<()> {
    if webhook != "mutate" {
        return Err("a patch of the validating webhook".to_owned());
    }
    // A field that the server does not look at may be deeper than a `Value` can be, or hold half a
    // surrogate pair: then there is nothing that could be sent again.
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        return Ok(());
    };
    let metadata = &review["request"]["object"]["metadata"];
    if let Some(other) = patch.0.iter().find(|it| !is_ours(it, metadata)) {
        return Err(format!("patches {}", other.path()));
    }
    let before = review["request"]["object"].clone();
    let object = &mut review["request"]["object"];
    json_patch::patch(object, patch).map_err(|error| format!("cannot be applied: {error}"))?;
    if without_ours(object) != without_ours(&before) {
        return Err("changes what is not ours".to_owned());
    }
    let again = send(server, webhook, review.to_string().as_bytes()).await?;
    if again.status != StatusCode::OK {
        return Err(format!("{} for what it has patched itself", again.status));
    }
    let more = self::patch(&again.review["response"])?;
    if !more.0.is_empty() {
        return Err(format!("patches again: {more:?}"));
    }
    Ok(())
}

/// Whether it writes one of our entries, or the map for them where there was none.
fn is_ours(operation: &PatchOperation, metadata: &Value) -> bool {
    let place = operation.path().to_string();
    OURS.iter().any(|(map, prefix)| {
        let Some(rest) = place.strip_prefix(&format!("/metadata/{map}")) else {
            return false;
        };
        let makes_map = rest.is_empty()
            && metadata[*map].is_null()
            && matches!(operation, PatchOperation::Add(add) if add.value == serde_json::json!({}));
        let key = rest.strip_prefix('/').map(|key| key.replace("~1", "/"));
        makes_map || key.is_some_and(|key| key.starts_with(prefix))
    })
}

fn without_ours(object: &Value) -> Value {
    let mut rest = object.clone();
    let Some(metadata) = rest["metadata"].as_object_mut() else {
        return rest;
    };
    for (map, prefix) in OURS {
        let Some(entries) = metadata.get_mut(map) else {
            continue;
        };
        if let Some(entries) = entries.as_object_mut() {
            entries.retain(|key, _| !key.starts_with(prefix));
        }
        if entries.as_object().is_none_or(serde_json::Map::is_empty) {
            metadata.remove(map);
        }
    }
    rest
}
