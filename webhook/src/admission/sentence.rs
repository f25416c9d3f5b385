//! What kubectl prints after a change, as a warning of the API server.

use canary_core::canary::Canary;
use canary_core::revision::image_changes;
use canary_core::status::Phase;
use kube::ResourceExt as _;
use serde_json::Value;

/// The API server cuts longer warnings once their sum passes its limit.
const LIMIT: usize = 256;
/// Of a digest, what tells two apart.
const DIGEST: usize = "sha256:".len() + 7;

/// What a change of the target's pod template sets off, and the command that follows it.
pub fn on_change(canary: &Canary, revision: &str, before: &Value, template: &Value) -> String {
    let long = change(canary.target_name(), before, template);
    let sentence = effect(canary, revision, &long);
    if sentence.chars().count() <= LIMIT {
        return sentence;
    }
    fit(&effect(canary, revision, canary.target_name()))
}

/// What stops serving when `canary` is deleted; nothing if the target takes over.
pub fn on_delete(canary: &Canary) -> Option<String> {
    let phase = phase(canary);
    if matches!(phase, Phase::New | Phase::Initializing) {
        return None;
    }
    if canary.revert_on_deletion() {
        return put_in_charge(canary, phase);
    }
    let target = canary.target_name();
    let rest = match phase {
        Phase::Failed if has_failed_template(canary) => {
            format!(
                "deployment/{target} has 0 replicas and a template that failed: set that back and scale it up"
            )
        }
        Phase::Initialized | Phase::Succeeded | Phase::Failed => {
            format!("deployment/{target} has 0 replicas: scale it up")
        }
        _ => format!("deployment/{target} stays as it is scaled: scale it up"),
    };
    Some(fit(&format!(
        "deployment/{}, which serves, is deleted with Canary {}; {rest}, \
         or set spec.revertOnDeletion: true before deleting",
        canary.primary_name(),
        canary.name_any(),
    )))
}

/// The target takes over with the template that it has, whatever became of that.
fn put_in_charge(canary: &Canary, phase: Phase) -> Option<String> {
    let what = match phase {
        Phase::Failed if has_failed_template(canary) => "failed",
        Phase::Progressing | Phase::WaitingPromotion => "was not analysed to its end",
        _ => return None,
    };
    let status = canary.status.as_ref()?;
    let number = status.release.as_ref().map_or(0, |release| release.number);
    let (name, target) = (canary.name_any(), canary.target_name());
    let namespace = canary.namespace_name();
    Some(fit(&format!(
        "deleting Canary {name} puts release {number}, which {what}, in charge of all users (spec.revertOnDeletion); \
         to take it back first: kubectl rollout undo deployment/{target} -n {namespace}"
    )))
}

/// The release failed, and the target was not set back since.
fn has_failed_template(canary: &Canary) -> bool {
    let status = canary.status.as_ref();
    status.is_some_and(|status| status.last_applied_spec != status.last_promoted_spec)
}

/// Cut to what the API server passes on.
pub fn fit(text: &str) -> String {
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LIMIT - 1).collect();
    cut.push('…');
    cut
}

fn effect(canary: &Canary, revision: &str, change: &str) -> String {
    let name = canary.name_any();
    let promoted = canary
        .status
        .as_ref()
        .and_then(|status| status.last_promoted_spec.as_deref());
    let phase = phase(canary);
    let told = if canary.metadata.deletion_timestamp.is_some() {
        return format!("Canary {name} is being deleted: {change} starts no release");
    } else if canary.suspended() {
        return format!("Canary {name} is suspended: {change} waits until spec.suspend is false");
    } else if promoted == Some(revision) {
        if !is_running(phase) {
            return format!("{change} is what already serves: no release starts");
        }
        let ends = match phase {
            Phase::Promoting | Phase::Finalising => {
                "served before: the promotion in progress is taken back"
            }
            _ => "already serves: the running release is aborted",
        };
        format!("{change} is what {ends}")
    } else {
        format!("{change} {}", start(canary, phase))
    };
    let namespace = canary.namespace_name();
    format!("{told}; follow it: kubectl canary status {name} -n {namespace} --watch")
}

fn start(canary: &Canary, phase: Phase) -> &'static str {
    match phase {
        Phase::New | Phase::Initializing => {
            "starts as a canary release once the Canary is initialized"
        }
        Phase::Promoting | Phase::Finalising => {
            "starts as a canary release after the promotion in progress"
        }
        _ if canary.skip_analysis() => "is promoted without analysis (spec.skipAnalysis)",
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion => {
            "replaces the running release, which starts over"
        }
        Phase::Initialized
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Terminating
        | Phase::Terminated => "starts as a canary release",
    }
}

fn is_running(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Waiting
            | Phase::Progressing
            | Phase::WaitingPromotion
            | Phase::Promoting
            | Phase::Finalising
    )
}

fn phase(canary: &Canary) -> Phase {
    canary
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default()
}

/// `podinfo 6.0.0 → 6.0.1`, as short as it can be without being wrong.
fn change(target: &str, before: &Value, template: &Value) -> String {
    let changes = image_changes(Some(before), template);
    match changes.as_slice() {
        [] => format!("{target} (new pod template)"),
        [only] => match (&only.from, &only.to) {
            (Some(from), Some(to)) => {
                let (from, to) = if repository(from) == repository(to) {
                    (version(from), version(to))
                } else {
                    (from.as_str(), to.as_str())
                };
                format!("{target} {from} → {to}")
            }
            (None, _) => format!("{target} (new container {})", only.container),
            (Some(_), None) => format!("{target} (container {} dropped)", only.container),
        },
        several => format!("{target} ({} images)", several.len()),
    }
}

/// An image's name without tag and digest. A colon before the last slash is a registry's port.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    name[slash..]
        .find(':')
        .map_or(name, |colon| &name[..slash + colon])
}

/// Tag, or the start of the digest, or the whole name where there is neither.
fn version(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest.get(..DIGEST).unwrap_or(digest);
    }
    match image
        .strip_prefix(repository(image))
        .and_then(|tag| tag.strip_prefix(':'))
    {
        Some(tag) if !tag.is_empty() => tag,
        _ => image,
    }
}
