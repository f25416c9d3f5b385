//! `can-i release`: whether a new version could be released now, and what blocks it until when.

use std::collections::BTreeMap;

use canary_core::canary::Canary;
use canary_core::names::BREAK_GLASS;
use canary_core::policy::{
    CanaryPolicy, Enforcement, Moment, Objection, Policy, blocks, holds, is_releasing,
};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::args::policy::CanIReleaseArgs;
use crate::client::Cluster;
use crate::env::now;
use crate::exit::{Error, code};
use crate::output::Output;
use crate::render::duration;
use crate::report::trouble::DELETING;
use crate::report::{API_VERSION, Attention, CanaryReport, Observed};

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CanIReport {
    api_version: &'static str,
    kind: &'static str,
    canary: String,
    namespace: String,
    target: String,
    allowed: bool,
    /// Nothing is released while `spec.suspend` stands.
    suspended: bool,
    /// The number of the release that a change would end.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_progress: Option<i64>,
    /// What the controller says keeps a release from starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    hindered: Option<Attention>,
    blocks: Vec<Block>,
    /// What its promotion waits for, policy by policy.
    approvals: Vec<String>,
    you: Rights,
    policies: Vec<PolicyState>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    policy: String,
    enforcement: Enforcement,
    field: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rights {
    /// Change the target, which starts a release.
    change: bool,
    promote: bool,
    rollback: bool,
    /// Policies that this user may pass by.
    bypass: Vec<String>,
}

/// What the API server goes by while nobody looks at the clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyState {
    name: String,
    /// By the calendar, now.
    frozen: bool,
    /// By `status`, as the server last wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_frozen: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_age_seconds: Option<i64>,
}

pub async fn release(
    args: &CanIReleaseArgs,
    cluster: &Cluster,
    output: &Output,
) -> Result<u8, Error> {
    let now = now();
    let canary = cluster.canary(&cluster.namespace, &args.name.0).await?;
    let labels = cluster.namespace_labels(&cluster.namespace).await?;
    let mut found = cluster.policies().await?;
    if labels.is_none()
        && found
            .iter()
            .any(|policy| !policy.spec.namespaces.match_labels.is_empty())
    {
        anstream::eprintln!(
            "note: the labels of namespace {} cannot be read, so every policy is taken to apply to it",
            cluster.namespace
        );
    }
    found.retain(|policy| applies(policy, labels.as_ref()));
    let policies: Vec<Policy> = found.iter().map(Policy::read).collect();
    let moment = Moment {
        canary: Some(&canary),
        others_releasing: others(cluster, &canary).await?,
        now,
    };
    let blocks = blocks(&policies, &moment);
    let you = rights(cluster, &canary, &blocks).await?;
    let forbidden = blocks
        .iter()
        .any(|block| block.enforcement == Enforcement::Deny);
    let seen = Observed::alone(canary.clone()).report();
    let report = CanIReport {
        api_version: API_VERSION,
        kind: "CanIReport",
        canary: canary.name_any(),
        namespace: cluster.namespace.clone(),
        target: canary.target_name().to_owned(),
        allowed: !forbidden && you.change && !seen.suspended && seen.obstacle().is_none(),
        suspended: seen.suspended,
        in_progress: running(&seen),
        hindered: seen.obstacle().cloned(),
        approvals: approvals(&policies, &moment),
        policies: found
            .iter()
            .zip(&policies)
            .map(|(policy, read)| state(policy, read, now))
            .collect(),
        blocks: blocks.into_iter().map(Block::from).collect(),
        you,
    };
    match &args.output {
        Some(format) => output.machine(format, &report)?,
        None => output.print(&text(&report, now))?,
    }
    Ok(if report.allowed {
        code::OK
    } else if forbidden || !report.you.change {
        code::FORBIDDEN
    } else {
        code::ERROR
    })
}

fn running(seen: &CanaryReport) -> Option<i64> {
    let release = seen.release.as_ref().filter(|_| seen.running);
    release.map(|release| release.number)
}

fn applies(policy: &CanaryPolicy, labels: Option<&BTreeMap<String, String>>) -> bool {
    labels.is_none_or(|labels| Policy::read(policy).applies(labels))
}

async fn others(cluster: &Cluster, canary: &Canary) -> Result<usize, Error> {
    let all = cluster.readable_canaries(Some(&cluster.namespace)).await?;
    Ok(all
        .iter()
        .filter(|other| other.name_any() != canary.name_any() && is_releasing(other))
        .count())
}

async fn rights(cluster: &Cluster, canary: &Canary, blocks: &[Objection]) -> Result<Rights, Error> {
    let right = |verb: &str, group: &str, resource: &str, name: &str| ResourceAttributes {
        verb: Some(verb.into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        name: Some(name.into()),
        namespace: Some(cluster.namespace.clone()),
        ..ResourceAttributes::default()
    };
    let name = canary.name_any();
    let mut bypass = Vec::new();
    for block in blocks {
        let everywhere = ResourceAttributes {
            namespace: None,
            ..right(
                "bypass",
                "policy.kubectl-canary.dev",
                "canarypolicies",
                &block.policy,
            )
        };
        if !bypass.contains(&block.policy) && cluster.may(everywhere).await? {
            bypass.push(block.policy.clone());
        }
    }
    Ok(Rights {
        change: cluster
            .may(right("patch", "apps", "deployments", canary.target_name()))
            .await?,
        promote: cluster
            .may(right("promote", "flagger.app", "canaries", &name))
            .await?,
        rollback: cluster
            .may(right("rollback", "flagger.app", "canaries", &name))
            .await?,
        bypass,
    })
}

fn approvals(policies: &[Policy], moment: &Moment<'_>) -> Vec<String> {
    let held = holds(policies, moment, false).approval;
    held.iter().map(ToString::to_string).collect()
}

fn state(policy: &CanaryPolicy, read: &Policy, now: Timestamp) -> PolicyState {
    let written = policy
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.as_deref() == Some("status"));
    let written = written
        .filter_map(|entry| entry.time.as_ref())
        .map(|time| time.0)
        .max();
    PolicyState {
        name: policy.name_any(),
        frozen: read.calendar.is_frozen(now),
        status_frozen: policy.status.as_ref().map(|status| status.frozen),
        status_age_seconds: written.map(|written| now.duration_since(written).as_secs()),
    }
}

impl From<Objection> for Block {
    fn from(objection: Objection) -> Self {
        Self {
            policy: objection.policy,
            enforcement: objection.enforcement,
            field: objection.field,
            message: objection.message,
            until: objection.until,
        }
    }
}

fn text(report: &CanIReport, now: Timestamp) -> String {
    let mut lines: Vec<_> = report
        .blocks
        .iter()
        .map(|block| said_of_block(block, now))
        .collect();
    lines.extend(said_of_canary(report));
    if let Some(hindrance) = &report.hindered {
        let said = if hindrance.type_ == DELETING {
            hindrance.message.clone()
        } else {
            format!("the Canary is not ready: {}", hindrance.message)
        };
        lines.push(("blocked", said));
        lines.extend(hindrance.hint.iter().map(|hint| ("helps", hint.clone())));
    }
    let approvals = report.approvals.iter();
    lines.extend(approvals.map(|approval| ("promotion", approval.clone())));
    lines.extend(said_of_rights(report));
    let policies = report.policies.iter();
    lines.extend(policies.map(|policy| ("status", said_of_status(policy))));
    let answer = if report.allowed { "yes" } else { "no" };
    lines
        .into_iter()
        .fold(format!("{answer}\n"), |text, (what, said)| {
            text + &format!("{what:<10} {said}\n")
        })
}

fn said_of_block(block: &Block, now: Timestamp) -> (&'static str, String) {
    let what = match block.enforcement {
        Enforcement::Deny => "blocked",
        Enforcement::Warn => "warned",
        Enforcement::Audit => "audited",
    };
    let left = block.until.map_or(String::new(), |until| {
        format!(
            " ({} from now)",
            duration(until.duration_since(now).as_secs())
        )
    });
    let said = format!(
        "CanaryPolicy {}: {}: {}{left}",
        block.policy, block.field, block.message
    );
    (what, said)
}

/// What becomes of a change, policies aside.
fn said_of_canary(report: &CanIReport) -> Option<(&'static str, String)> {
    if report.suspended {
        let said =
            "the Canary is suspended: a change is stored, and released once spec.suspend is false";
        return Some(("blocked", said.to_owned()));
    }
    let number = report.in_progress?;
    let said = format!("release {number} is in progress: a change ends it and starts the next one");
    Some(("note", said))
}

fn said_of_rights(report: &CanIReport) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if !report.you.change {
        let target = format!("{}/{}", report.namespace, report.target);
        lines.push((
            "forbidden",
            format!("you may not patch deployments.apps {target}, which is what starts a release"),
        ));
    }
    let verbs = match (report.you.promote, report.you.rollback) {
        (true, true) => "promote, rollback",
        (true, false) => "promote",
        (false, true) => "rollback",
        (false, false) => "neither promote nor roll back",
    };
    lines.push(("you may", verbs.to_owned()));
    lines.extend(report.you.bypass.iter().map(|policy| {
        (
            "you may",
            format!(
                "pass CanaryPolicy {policy} by: annotate the Deployment {BREAK_GLASS}=<reason>"
            ),
        )
    }));
    lines
}

/// How old that is which the API server goes by.
fn said_of_status(policy: &PolicyState) -> String {
    let name = &policy.name;
    let Some(frozen) = policy.status_frozen else {
        return format!("CanaryPolicy {name} has none yet: is the server running?");
    };
    let word = if frozen { "frozen" } else { "not frozen" };
    let age = policy
        .status_age_seconds
        .map_or("at an unknown time".to_owned(), |age| {
            format!("{} ago", duration(age))
        });
    let behind = if frozen == policy.frozen {
        ""
    } else {
        ", and its windows say otherwise: the server is behind, and until it writes again its word holds"
    };
    format!("CanaryPolicy {name} is {word}, as the server wrote {age}{behind}")
}
