//! Why a Canary is where it is, and what to do about it. Pure: facts in, paragraphs out.
//!
//! ```text
//!  CanaryReport ─┐           ┌─ answer      one sentence
//!  queries ──────┼─► explain ┼─ paragraphs  rule, last check, pods, …
//!  pods ─────────┘           ├─ metrics     value, range, query, link
//!                            └─ commands    what a person most probably wants now
//! ```

mod leaving;
mod pods;
mod why;

use canary_core::canary::Canary;
use canary_core::status::{Phase, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use super::trouble::{DELETING, PENDING};
use super::{API_VERSION, CanaryReport, Meta};

pub use pods::{PodFact, Pods, pod};

/// What an explanation rests on.
#[derive(Clone, Debug)]
pub struct Facts {
    pub canary: Canary,
    pub report: CanaryReport,
    /// In the order of the metrics in the spec.
    pub queries: Vec<Query>,
    pub pods: Pods,
    pub now: Timestamp,
}

/// What a metric asks, and whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The query, or why it is not known.
    pub text: Result<String, String>,
    /// The metric server; none where it is the default of canary-webhook.
    pub server: Option<String>,
    /// Where a browser shows it.
    pub link: Option<String>,
}

/// Machine-readable, and versioned as all reports are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: Meta,
    pub phase: Phase,
    pub answer: String,
    pub paragraphs: Vec<Paragraph>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricFact>,
    pub commands: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paragraph {
    pub about: &'static str,
    pub lines: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricFact {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// None before the first check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_unknown: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

// === impl Explanation ===

impl Explanation {
    pub fn of(facts: &Facts) -> Self {
        let report = &facts.report;
        let why = why::why(facts);
        let mut paragraphs = why.paragraphs;
        // Only where the release has pods, or had them a moment ago.
        if report.running || report.phase == Phase::Failed {
            paragraphs.extend(facts.pods.paragraph(&report.target));
        }
        paragraphs.extend(refused(facts));
        paragraphs.extend(attention(report));
        Self {
            api_version: API_VERSION,
            kind: "CanaryExplanation",
            metadata: report.metadata.clone(),
            phase: report.phase,
            answer: why.answer,
            paragraphs,
            metrics: metrics(facts),
            commands: why.commands,
        }
    }
}

pub(super) fn paragraph(about: &'static str, lines: Vec<String>) -> Option<Paragraph> {
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    (!lines.is_empty()).then_some(Paragraph { about, lines })
}

fn metrics(facts: &Facts) -> Vec<MetricFact> {
    let report = &facts.report;
    let analysed = report.running || report.phase == Phase::Failed;
    let checks = report.checks.iter().filter(|_| analysed);
    let queries = facts.queries.iter().map(Some);
    checks
        .zip(queries.chain(std::iter::repeat(None)))
        .map(|(check, query)| MetricFact {
            name: check.name.clone(),
            value: check.last.as_ref().and_then(|last| last.value),
            min: check.min,
            max: check.max,
            verdict: check.last.as_ref().map(|last| last.verdict),
            message: check
                .last
                .as_ref()
                .map_or(String::new(), |last| last.message.clone()),
            query: query.and_then(|query| query.text.clone().ok()),
            query_unknown: query.and_then(|query| query.text.clone().err()),
            server: query.and_then(|query| query.server.clone()),
            link: query.and_then(|query| query.link.clone()),
        })
        .collect()
}

/// A request that came to nothing, as long as the release that it was about is the last one.
fn refused(facts: &Facts) -> Option<Paragraph> {
    use canary_core::status::RequestOutcome;
    let report = &facts.report;
    let request = report.last_request.as_ref()?;
    let started = report.release.as_ref()?.started_at;
    if request.outcome == RequestOutcome::Done || request.at < started {
        return None;
    }
    let by = request.by.as_deref().unwrap_or("unknown");
    paragraph(
        "request",
        vec![format!(
            "the {} that {by} asked for was refused: {}",
            request.verb, request.message
        )],
    )
}

/// What else a person should look at; what the answer says already is left out.
fn attention(report: &CanaryReport) -> Option<Paragraph> {
    const SAID: [&str; 6] = ["Paused", "Held", "Halted", "Ready", PENDING, DELETING];
    let others = report.attention.iter();
    let others = others.filter(|it| !SAID.contains(&it.type_.as_str()));
    let lines = others.flat_map(|it| {
        let hint = it.hint.as_ref().map(|hint| format!("hint: {hint}"));
        std::iter::once(it.message.clone()).chain(hint)
    });
    paragraph("also", lines.collect())
}

#[cfg(test)]
pub mod tests;
