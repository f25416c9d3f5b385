//! Values that nobody means.

use fastrand::Rng;
use serde_json::{Value, json};

const TEXTS: [&str; 44] = [
    "",
    " ",
    "\t\n",
    "\u{0}",
    "\u{feff}",
    "\u{202e}gnp",
    "e\u{301}",
    "🦀",
    "…",
    "\\u0070",
    "%00",
    "../..",
    "~0~1/",
    "{{",
    "'",
    "\"",
    "true",
    "null",
    "-1",
    "1e999",
    "99999999999999999999",
    "9223372036854775807",
    "0s",
    "100000000h",
    "9223372036854775807s",
    "1h1h1h",
    "0.0000000001s",
    "0 0 30 2 *",
    "* * * * *",
    "*/0 * * * *",
    "0 18 * * 5#6",
    "@yearly",
    "59-0 99 L W ?",
    "Europe/Berlin",
    "Europe/Atlantis",
    "2026-12-24T12:00:00Z",
    "9999-12-31T23:59:59Z",
    "-009999-01-01T00:00:00Z",
    "2026-03-29T02:30:00",
    "alice",
    "bob",
    "v1-0123456789ab",
    "kubectl-canary.dev/managed",
    "Recreate",
];

const IMAGES: [&str; 14] = [
    "",
    "@",
    ":",
    "/",
    "@sha256:",
    "a@sha256:é",
    "a:b@c:d@e",
    "localhost/a",
    "a:5000/b:c",
    "docker.io/stefanprodan/podinfo:latest",
    "stefanprodan/podinfo:6.0.2@sha256:",
    "é/é:é",
    "a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "A/b",
];

const NAMES: [&str; 16] = [
    "kubectl-canary.dev/request",
    "kubectl-canary.dev/request-reason",
    "kubectl-canary.dev/requested-by",
    "kubectl-canary.dev/triggered-by",
    "kubectl-canary.dev/triggered-revision",
    "kubectl-canary.dev/managed",
    "kubectl-canary.dev/break-glass",
    "kubectl-canary.dev/a~b/c",
    "annotations",
    "labels",
    "ownerReferences",
    "deletionTimestamp",
    "spec",
    "status",
    "metadata",
    "\u{0}/é",
];

fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

pub fn name(rng: &mut Rng) -> String {
    pick(rng, &NAMES).to_owned()
}

pub fn image(rng: &mut Rng) -> String {
    pick(rng, &IMAGES).to_owned()
}

pub fn text(rng: &mut Rng) -> String {
    match rng.usize(..12) {
        0 => pick(rng, &TEXTS).repeat(rng.usize(1..2000)),
        1 => (0..rng.usize(..40)).map(|_| rng.char(..)).collect(),
        2 => image(rng),
        3 => wish(rng),
        _ => pick(rng, &TEXTS).to_owned(),
    }
}

/// A request, or what looks like one.
pub fn wish(rng: &mut Rng) -> String {
    let verbs = [
        "promote",
        "promote-full",
        "rollback",
        "pause",
        "retry",
        "PROMOTE",
        "é",
        "",
    ];
    let gaps = [
        " ", " ", " ", " ", " ", " ", "  ", "\t", "\n", "\u{a0}", "%20", "",
    ];
    let options = [
        "",
        "",
        "",
        " a=b",
        " a=b a=b",
        " a=",
        " a=b ",
        " a=é",
        " a=b c=d e=f g=h",
    ];
    let mut wish = pick(rng, &verbs).to_owned();
    for word in ["v1-0123456789ab", "3f2a-uid", "7c1e4d"] {
        wish += pick(rng, &gaps);
        wish += word;
    }
    wish + pick(rng, &options)
}

pub fn number(rng: &mut Rng) -> Value {
    match rng.usize(..9) {
        0 => json!(i64::MIN),
        1 => json!(i64::MAX),
        2 => json!(u64::MAX),
        3 => json!(-0.0),
        4 => json!(1e308),
        5 => json!(0.1),
        6 => json!(i64::from(i32::MAX) + 1),
        7 => json!(rng.i64(..)),
        _ => json!(rng.i64(-1..102)),
    }
}

/// As deep as readers go, and deeper.
fn deep(rng: &mut Rng) -> Value {
    let in_lists = rng.bool();
    (0..rng.usize(1..160)).fold(Value::Null, |inner, _| {
        if in_lists {
            json!([inner])
        } else {
            json!({"a": inner})
        }
    })
}

pub fn value(rng: &mut Rng) -> Value {
    match rng.usize(..10) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 | 3 => number(rng),
        4 => json!({}),
        5 => json!([]),
        6 if rng.usize(..6) == 0 => deep(rng),
        _ => json!(text(rng)),
    }
}
