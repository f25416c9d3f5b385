//! One review becomes another: at random, and where it matters to the rules.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::corpus::Corpus;
use crate::oddities;
use crate::world::OWN_USER;

/// More than is read.
const TOO_LARGE: usize = 7 << 20;

/// The body of a call.
pub fn body(rng: &mut Rng, corpus: &Corpus) -> Vec<u8> {
    let mut review = pick(rng, corpus).clone();
    for _ in 0..rng.usize(..4) {
        aim(rng, &mut review);
    }
    for _ in 0..rng.usize(..3) {
        twist(rng, &mut review["request"], corpus);
    }
    if rng.usize(..30) == 0 {
        twist(rng, &mut review, corpus);
    }
    if rng.usize(..4000) == 0 {
        let large = json!("a".repeat(TOO_LARGE));
        put(
            &mut review,
            &["request", "object", "metadata", "annotations", "a"],
            large,
        );
    }
    // A reader of our own would refuse what is too deep before the server sees it.
    let mut body = serde_json::to_vec(&review).unwrap();
    if rng.usize(..8) == 0 {
        for _ in 0..rng.usize(1..5) {
            scramble(rng, &mut body, corpus);
        }
    }
    body
}

fn pick<'a>(rng: &mut Rng, corpus: &'a Corpus) -> &'a Value {
    &corpus.reviews[rng.usize(..corpus.reviews.len())]
}

// === bytes ===

fn scramble(rng: &mut Rng, body: &mut Vec<u8>, corpus: &Corpus) {
    if body.is_empty() {
        return;
    }
    let at = rng.usize(..body.len());
    match rng.usize(..6) {
        0 => body[at] ^= 1 << rng.usize(..8),
        1 => body[at] = rng.u8(..),
        2 => body.truncate(at),
        3 => {
            let other = pick(rng, corpus).to_string().into_bytes();
            body.truncate(at);
            body.extend_from_slice(&other[rng.usize(..other.len())..]);
        }
        4 => {
            let end = (at + rng.usize(1..64)).min(body.len());
            let piece = body[at..end].to_vec();
            body.splice(at..at, piece);
        }
        // A field that is there twice.
        _ => {
            let opened = body[at..].iter().position(|byte| *byte == b'{');
            let twice = format!("\"{}\":{},", oddities::name(rng), oddities::value(rng));
            if let Some(opened) = opened {
                body.splice(at + opened + 1..=at + opened, twice.into_bytes());
            }
        }
    }
}

// === anywhere ===

/// Changes one place of `value`.
pub fn twist(rng: &mut Rng, value: &mut Value, corpus: &Corpus) {
    let place = descend(rng, value);
    match rng.usize(..10) {
        0 => *place = oddities::value(rng),
        1 => {
            // What stands somewhere in another review.
            let mut other = pick(rng, corpus).clone();
            *place = descend(rng, &mut other).take();
        }
        _ => match place {
            Value::Object(fields) => twist_object(rng, fields),
            Value::Array(items) => twist_array(rng, items),
            Value::String(text) => twist_text(rng, text),
            Value::Number(_) => *place = oddities::number(rng),
            Value::Null | Value::Bool(_) => *place = oddities::value(rng),
        },
    }
}

fn descend<'a>(rng: &mut Rng, value: &'a mut Value) -> &'a mut Value {
    let children = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if children == 0 || rng.usize(..8) == 0 {
        return value;
    }
    let child = rng.usize(..children);
    match value {
        Value::Object(fields) => descend(rng, fields.values_mut().nth(child).unwrap()),
        Value::Array(items) => descend(rng, &mut items[child]),
        leaf => leaf,
    }
}

fn twist_object(rng: &mut Rng, fields: &mut Map<String, Value>) {
    let some = (!fields.is_empty()).then(|| rng.usize(..fields.len()));
    let key = some.and_then(|at| fields.keys().nth(at).cloned());
    match (rng.usize(..4), key) {
        (0, Some(key)) => {
            fields.remove(&key);
        }
        (1, Some(key)) => {
            let value = fields.remove(&key).unwrap_or_default();
            fields.insert(oddities::name(rng), value);
        }
        (2, Some(key)) => {
            fields.insert(key, oddities::value(rng));
        }
        _ => {
            fields.insert(oddities::name(rng), oddities::value(rng));
        }
    }
}

fn twist_array(rng: &mut Rng, items: &mut Vec<Value>) {
    let some = (!items.is_empty()).then(|| rng.usize(..items.len()));
    match (rng.usize(..5), some) {
        (0, Some(at)) => {
            items.remove(at);
        }
        (1, Some(at)) => items.push(items[at].clone()),
        (2, Some(at)) => items.extend(vec![items[at].clone(); rng.usize(1..300)]),
        (3, Some(_)) => rng.shuffle(items),
        _ => items.push(oddities::value(rng)),
    }
}

fn twist_text(rng: &mut Rng, text: &mut String) {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let at = ends
        .get(rng.usize(..=ends.len()))
        .copied()
        .unwrap_or(text.len());
    match rng.usize(..4) {
        0 => *text = oddities::text(rng),
        1 => text.insert_str(at, &oddities::text(rng)),
        2 => text.truncate(at),
        _ => *text = text.repeat(rng.usize(1..4)),
    }
}

// === where it matters ===

/// Changes what some rule looks at.
fn aim(rng: &mut Rng, review: &mut Value) {
    let request = &mut review["request"];
    let Value::Object(_) = request else { return };
    match rng.usize(..5) {
        0 => aim_request(rng, request),
        _ => match request["kind"]["kind"].as_str() {
            Some("Deployment") => aim_deployment(rng, request),
            Some("Canary") => aim_canary(rng, request),
            Some("CanaryPolicy") => aim_policy(rng, request),
            _ => aim_request(rng, request),
        },
    }
}

/// What is at that place; it is made if it is not, unless something else is in its way.
fn put(object: &mut Value, path: &[&str], value: Value) {
    let mut place = object;
    for key in path {
        if !(place.is_object() || place.is_null()) {
            return;
        }
        place = &mut place[*key];
    }
    *place = value;
}

fn side(rng: &mut Rng) -> &'static str {
    ["object", "object", "oldObject"][rng.usize(..3)]
}

fn annotate(side: &str, request: &mut Value, key: &str, value: Value) {
    put(request, &[side, "metadata", "annotations", key], value);
}

fn aim_request(rng: &mut Rng, request: &mut Value) {
    const NAMESPACES: &str = "system:serviceaccount:kube-system:namespace-controller";
    match rng.usize(..6) {
        0 => {
            request["userInfo"]["username"] =
                json!(["alice", "bob", OWN_USER, NAMESPACES][rng.usize(..4)]);
        }
        1 => {
            let operations = ["CREATE", "UPDATE", "DELETE", "CONNECT"];
            request["operation"] = json!(operations[rng.usize(..4)]);
        }
        2 => request[side(rng)] = Value::Null,
        3 => request["subResource"] = json!(["", "status", "scale"][rng.usize(..3)]),
        4 => request["namespace"] = json!(["canary-system", "other", ""][rng.usize(..3)]),
        _ => put(
            request,
            &[side(rng), "metadata", "deletionTimestamp"],
            json!("2026-12-24T11:00:00Z"),
        ),
    }
}

fn aim_deployment(rng: &mut Rng, request: &mut Value) {
    let container = json!([{"name": "podinfod", "image": oddities::image(rng)}]);
    let (metadata, template) = ("metadata", ["spec", "template", "spec"]);
    match rng.usize(..7) {
        0 | 1 => {
            let list = ["containers", "initContainers"][rng.usize(..2)];
            put(
                request,
                &["object", template[0], template[1], template[2], list],
                container,
            );
        }
        2 => put(
            request,
            &[side(rng), metadata, "labels", "kubectl-canary.dev/managed"],
            json!("true"),
        ),
        3 => put(request, &["object", metadata, "annotations"], Value::Null),
        4 => {
            let owner = json!([{"apiVersion": "flagger.app/v1beta1", "kind": "Canary",
                                "name": "podinfo", "uid": "u", "controller": rng.bool()}]);
            put(request, &[side(rng), metadata, "ownerReferences"], owner);
        }
        5 => annotate(
            side(rng),
            request,
            "kubectl-canary.dev/break-glass",
            json!(oddities::text(rng)),
        ),
        _ => {
            let stamp = ["triggered-by", "triggered-revision"][rng.usize(..2)];
            let key = format!("kubectl-canary.dev/{stamp}");
            annotate(side(rng), request, &key, json!(oddities::text(rng)));
        }
    }
}

fn aim_canary(rng: &mut Rng, request: &mut Value) {
    let number = oddities::number(rng);
    match rng.usize(..9) {
        0 | 1 => annotate(
            side(rng),
            request,
            "kubectl-canary.dev/request",
            json!(oddities::wish(rng)),
        ),
        2 => {
            let reason = json!(["7c1e4d why", "7c1e4d", "why"][rng.usize(..3)]);
            annotate(
                side(rng),
                request,
                "kubectl-canary.dev/request-reason",
                reason,
            );
        }
        3 => annotate(
            side(rng),
            request,
            "kubectl-canary.dev/requested-by",
            json!(oddities::text(rng)),
        ),
        4 => annotate(
            side(rng),
            request,
            "kubectl-canary.dev/break-glass",
            json!(oddities::text(rng)),
        ),
        5 => {
            let fields = ["stepWeight", "maxWeight", "iterations", "threshold"];
            put(
                request,
                &["object", "spec", "analysis", fields[rng.usize(..4)]],
                number,
            );
        }
        6 => put(
            request,
            &["object", "spec", "analysis", "stepWeights"],
            json!([1, number, 50]),
        ),
        7 => put(request, &["object", "spec", "skipAnalysis"], json!(true)),
        _ => put(
            request,
            &["object", "spec", "targetRef", "name"],
            json!("other"),
        ),
    }
}

fn aim_policy(rng: &mut Rng, request: &mut Value) {
    let text = json!(oddities::text(rng));
    match rng.usize(..6) {
        0 => put(request, &["object", "spec", "release", "minInterval"], text),
        1 => put(
            request,
            &["object", "spec", "images", "allowedRegistries"],
            json!([text]),
        ),
        2 => put(request, &["oldObject", "spec"], Value::Null),
        _ => {
            let windows = request.pointer_mut("/object/spec/release/freezeWindows");
            let windows = windows.and_then(Value::as_array_mut);
            let Some(windows) = windows.filter(|it| !it.is_empty()) else {
                return;
            };
            let fields = ["schedule", "duration", "timeZone", "start", "end", "name"];
            let at = rng.usize(..windows.len());
            put(&mut windows[at], &[fields[rng.usize(..6)]], text);
        }
    }
}
