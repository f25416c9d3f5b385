//! What cannot be meant in a policy itself.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::calendar::{Calendar, Window};
use super::{CanaryPolicy, CanaryPolicySpec, Enforcement, FreezeWindow, ImageRules, image};
use crate::canary::duration;
use crate::validate::Violation;

const WINDOWS: &str = "spec.release.freezeWindows";

/// Everything in `policy` that cannot be meant, in the order of the spec. What the CRD's own
/// rules refuse is refused here too: a policy in a file meets no CRD.
pub fn validate(policy: &CanaryPolicy, now: Timestamp) -> Vec<Violation> {
    let mut found = Vec::new();
    let spec = &policy.spec;
    if let Some(images) = &spec.images {
        registries(images, &mut found);
    }
    numbers(spec, &mut found);
    if let Some(release) = &spec.release {
        read_windows(&release.freeze_windows, &mut found);
        windows(&release.freeze_windows, now, &mut found);
        if let Some(text) = &release.min_interval
            && duration(text).is_none()
        {
            add(
                &mut found,
                "spec.release.minInterval",
                format!("{text:?} is no duration: write it as 30m or 1h30m"),
            );
        }
    }
    found
}

/// What is allowed, and probably not meant.
pub fn warnings(policy: &CanaryPolicy, now: Timestamp) -> Vec<String> {
    let spec = &policy.spec;
    let mut found = Vec::new();
    let mut warn = |field: &str, why: String| found.push(format!("{field}: {why}"));
    if *spec
        == (CanaryPolicySpec {
            namespaces: spec.namespaces.clone(),
            enforcement: spec.enforcement,
            bypass: spec.bypass.clone(),
            ..CanaryPolicySpec::default()
        })
    {
        warn("spec", "has no rule, so it allows everything".to_owned());
    }
    let Some(release) = &spec.release else {
        return found;
    };
    let readable = read_windows(&release.freeze_windows, &mut Vec::new());
    let alone: Vec<&Window> = readable.iter().filter(|w| w.never_ends(now)).collect();
    let joined = Calendar::new(readable.clone());
    let outlook = joined.outlook(now);
    let for_good = [&outlook.freeze, &outlook.next]
        .into_iter()
        .flatten()
        .find(|freeze| freeze.until.is_none());
    if alone.is_empty()
        && let Some(freeze) = for_good
    {
        warn(
            WINDOWS,
            format!(
                "the windows join each other without end from {}, so {}",
                freeze.start,
                consequence(spec.enforcement)
            ),
        );
    }
    for window in &release.freeze_windows {
        if Window::read(window).is_ok_and(|read| read.is_past(now)) {
            warn(
                &named(window),
                "is over and comes not again: take it away".to_owned(),
            );
        }
    }
    if let Some(freeze) = outlook.freeze.filter(|freeze| freeze.until.is_some())
        && spec.enforcement == Enforcement::Deny
        && spec.namespaces.match_labels.is_empty()
    {
        warn(
            &format!("{WINDOWS}[{}]", freeze.window),
            "freezes the releases of every namespace from this moment".to_owned(),
        );
    }
    found
}

fn consequence(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Deny => "nothing is ever released: leave a gap between them",
        Enforcement::Warn | Enforcement::Audit => {
            "every release is objected to: leave a gap between them"
        }
    }
}

/// The windows that can be read, and why others cannot.
pub(super) fn read_windows(windows: &[FreezeWindow], found: &mut Vec<Violation>) -> Vec<Window> {
    let mut readable = Vec::new();
    for window in windows {
        match Window::read(window) {
            Ok(read) => readable.push(read),
            Err(unreadable) => {
                for (field, why) in unreadable {
                    let dot = if field.is_empty() { "" } else { "." };
                    add(found, format!("{}{dot}{field}", named(window)), why);
                }
            }
        }
    }
    readable
}

/// What is wrong with windows that can be read.
fn windows(windows: &[FreezeWindow], now: Timestamp, found: &mut Vec<Violation>) {
    let mut names = BTreeSet::new();
    for window in windows {
        if !names.insert(&window.name) {
            add(
                found,
                format!("{}.name", named(window)),
                "another window has this name: give it one of its own",
            );
        }
        let Ok(read) = Window::read(window) else {
            continue;
        };
        if read.never_ends(now) {
            let length = window.duration.as_deref().unwrap_or_default();
            add(
                found,
                format!("{}.duration", named(window)),
                format!(
                    "{length} reaches to the next start each time, so the window never ends: make it shorter"
                ),
            );
        }
    }
}

fn registries(images: &ImageRules, found: &mut Vec<Violation>) {
    for prefix in &images.allowed_registries {
        let host = prefix.split('/').next().unwrap_or_default();
        let why = if host.is_empty()
            || prefix.contains("//")
            || prefix.contains(|c: char| c == '@' || c.is_whitespace())
        {
            format!("no image begins with {prefix:?}: write it as registry.example.com/team/")
        } else if !prefix.ends_with('/') {
            format!(
                "{prefix:?} must end in /, or it allows {prefix}-of-anybody too: write {prefix}/"
            )
        } else if !image::is_registry(host) {
            format!("{prefix:?} names no registry: write docker.io/{prefix} for Docker Hub")
        } else {
            continue;
        };
        add(found, "spec.images.allowedRegistries", why);
    }
}

fn numbers(spec: &CanaryPolicySpec, found: &mut Vec<Violation>) {
    let canary = spec.canary.as_ref();
    let release = spec.release.as_ref();
    let bounds = [
        (
            "spec.canary.maxStepWeight",
            canary.and_then(|canary| canary.max_step_weight),
            1..=100,
        ),
        (
            "spec.canary.maxWeight",
            canary.and_then(|canary| canary.max_weight),
            1..=100,
        ),
        (
            "spec.canary.minMetrics",
            canary.and_then(|canary| canary.min_metrics),
            0..=32,
        ),
        (
            "spec.release.maxConcurrentPerNamespace",
            release.and_then(|release| release.max_concurrent_per_namespace),
            1..=1000,
        ),
    ];
    for (field, value, bounds) in bounds {
        if value.is_some_and(|value| !bounds.contains(&value)) {
            add(
                found,
                field,
                format!("must be from {} to {}", bounds.start(), bounds.end()),
            );
        }
    }
}

fn named(window: &FreezeWindow) -> String {
    format!("{WINDOWS}[{}]", window.name)
}

fn add(found: &mut Vec<Violation>, field: impl Into<String>, message: impl Into<String>) {
    found.push(Violation {
        field: field.into(),
        message: message.into(),
    });
}

#[cfg(test)]
mod tests;
