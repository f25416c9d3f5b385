//! Status of each `CanaryPolicy`: the leader writes it when a policy changes and at each edge of its
//! windows, by a timer. Between two edges nothing is asked and nothing is written.

mod required;

use std::sync::Arc;
use std::time::Duration;

use canary_core::policy::{CanaryPolicyStatus, Enforcement, not_ready};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tracing::error;

use crate::api::{ApiError, Cluster, Kind};
use crate::cache::Key;
use crate::caches::{Caches, Stated};
use crate::clock::Clock;
use crate::tick::difference;

const READY: &str = "Ready";
const INSTALLED: &str = "PoliciesInstalled";
/// What a `ValidatingAdmissionPolicy` looks at.
const SUBJECTS: [&str; 3] = ["deployments", "canaries", "generated"];
const RETRY: Duration = Duration::from_secs(5);

/// Keeps every status as it should be, for as long as it is polled.
pub async fn keep(caches: Arc<Caches>, cluster: Cluster, clock: Clock) {
    let mut required = None;
    loop {
        let mut next = None;
        let mut failed = false;
        let wanted = is_required(&caches);
        // Policies that nobody could read yet may have the rule: its entry stays as it is.
        if required != Some(wanted) && caches.policies.synced() {
            match required::ensure(&cluster, wanted).await {
                Ok(true) => required = Some(wanted),
                Ok(false) => failed = true,
                Err(error) => {
                    error!(%error, "cannot register for spec.canary.required");
                    failed = true;
                }
            }
        }
        for policy in caches.policies.in_namespace("") {
            let now = clock.now();
            let outlook = policy.rules.calendar.outlook(now);
            let generation = policy.object.metadata.generation;
            let mut status = policy.rules.status(&outlook, generation);
            status.conditions = conditions(&policy, &caches, now);
            next = outlook.edge.into_iter().chain(next).min();
            if let Err(error) = write(&caches, &cluster, &policy, &status).await
                && !error.is_stale()
            {
                error!(policy = policy.rules.name, "{error}");
                failed = true;
            }
        }
        let edge = async {
            match next {
                _ if failed => tokio::time::sleep(RETRY).await,
                Some(next) => tokio::time::sleep(clock.until(next)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = edge => {}
            () = caches.policies_changed.notified() => {}
        }
    }
}

fn is_required(caches: &Caches) -> bool {
    let policies = caches.policies.in_namespace("");
    let mut rules = policies
        .iter()
        .filter_map(|it| it.rules.spec.canary.as_ref());
    rules.any(|rules| rules.required)
}

/// A conflict is a policy that changed meanwhile: its change wakes us.
async fn write(
    caches: &Caches,
    cluster: &Cluster,
    policy: &Stated,
    status: &CanaryPolicyStatus,
) -> Result<(), ApiError> {
    let before = policy.object.status.clone().unwrap_or_default();
    if before == *status && policy.object.status.is_some() {
        return Ok(());
    }
    let as_json = |status| serde_json::to_value(status).unwrap_or(Value::Null);
    let old = match &policy.object.status {
        Some(status) => as_json(status),
        None => json!({}),
    };
    let patch = json!({
        "metadata": { "resourceVersion": policy.object.metadata.resource_version },
        "status": difference(&old, &as_json(status)),
    });
    let name = policy.object.name_any();
    let stored = cluster
        .merge_status(Kind::Policy, "", &name, &patch)
        .await?;
    caches.written(Kind::Policy, stored);
    Ok(())
}

fn conditions(policy: &Stated, caches: &Caches, now: Timestamp) -> Vec<Condition> {
    let ready = match not_ready(&policy.object, now) {
        None => (true, "Valid", String::new()),
        Some(why) => (false, "Invalid", why),
    };
    let missing = missing(policy.rules.spec.enforcement, caches);
    let installed = if !caches.enforcers.synced() {
        let why = "the server cannot read validatingadmissionpolicies: give it the right to list and watch them";
        (false, "Unreadable", why.to_owned())
    } else if missing.is_empty() {
        (true, "Installed", String::new())
    } else {
        let why = format!(
            "{} not installed, so nothing of it holds while the server is down: apply canary-policies.yaml of the installation",
            missing.join(", ")
        );
        (false, "Missing", why)
    };
    vec![
        condition(policy, READY, ready, now),
        condition(policy, INSTALLED, installed, now),
    ]
}

fn missing(enforcement: Enforcement, caches: &Caches) -> Vec<String> {
    let mode = enforcement.as_str().to_ascii_lowercase();
    let names = SUBJECTS.map(|subject| format!("canary-policy-{subject}-{mode}"));
    let there = |name: &String| caches.enforcers.get_key(&Key::new("", name)).is_some();
    names.into_iter().filter(|name| !there(name)).collect()
}

fn condition(
    policy: &Stated,
    type_: &str,
    (holds, reason, message): (bool, &str, String),
    now: Timestamp,
) -> Condition {
    let value = if holds { "True" } else { "False" };
    let before = policy.object.status.as_ref();
    let before = before.and_then(|status| status.conditions.iter().find(|it| it.type_ == type_));
    let since = before.filter(|before| before.status == value).map_or_else(
        || seconds(now),
        |before| before.last_transition_time.clone(),
    );
    Condition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since,
        observed_generation: policy.object.metadata.generation,
    }
}

fn seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
