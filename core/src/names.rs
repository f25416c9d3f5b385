//! Labels, annotations, finalizers and suffixes: every name that is written on an object.

use sha2::{Digest as _, Sha256};

/// On each target that a Canary manages; the admission webhook selects by it.
pub const MANAGED_LABEL: &str = "kubectl-canary.dev/managed";
/// The value of [`MANAGED_LABEL`].
pub const MANAGED_VALUE: &str = "true";

/// On each object that a Canary generated: the uid of that Canary. A policy of the API server lets nobody but
/// the server set, change or drop it.
pub const GENERATED: &str = "kubectl-canary.dev/generated";

/// On the primary: the revision that it was promoted to.
pub const REVISION: &str = "kubectl-canary.dev/revision";
/// On the primary: which copies of configuration it refers to, and what they said when it was promoted.
pub const COPIES: &str = "kubectl-canary.dev/copies";
/// On the primary: [`COPIES`] as they were before the last promotion.
pub const PREVIOUS_COPIES: &str = "kubectl-canary.dev/previous-copies";
/// On each object that is written whole: what was written last, so that what is taken out of its source is a
/// difference.
pub const APPLIED: &str = "kubectl-canary.dev/applied";
/// On the target: the revision that the server saw when it wrote a mark on it. Another template with it was made
/// by another webhook on that write.
pub const SEEN_REVISION: &str = "kubectl-canary.dev/seen-revision";
/// On the Canary: what a person asks for, in the form of [`crate::request::Request`].
pub const REQUEST: &str = "kubectl-canary.dev/request";
/// On the Canary: why, after the id of the request that it is for.
pub const REQUEST_REASON: &str = "kubectl-canary.dev/request-reason";
/// On the Canary: who; only admission writes it.
pub const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";
/// On an object with a generated name that somebody else made: "true" lets us take it.
pub const ADOPT: &str = "kubectl-canary.dev/adopt";
/// On what a promotion replaced in the primary's configuration: which Canary and release did.
pub const KEPT: &str = "kubectl-canary.dev/kept";
/// On a Service of the user's that leads to the primary: what it was before, to be restored on deletion.
pub const ORIGINAL_SERVICE: &str = "kubectl-canary.dev/original-service";
/// On another Service that leads to the target's pods: what becomes of it.
pub const FOLLOW: &str = "kubectl-canary.dev/follow";
/// A value of [`FOLLOW`]: it is pointed at the primary.
pub const FOLLOW_PRIMARY: &str = "primary";
/// A value of [`FOLLOW`]: it is left alone.
pub const FOLLOW_IGNORE: &str = "ignore";
/// On the target: who changed its template, as admission saw it.
pub const TRIGGERED_BY: &str = "kubectl-canary.dev/triggered-by";
/// On the target: the revision that [`TRIGGERED_BY`] speaks of; it attributes nothing else.
pub const TRIGGERED_REVISION: &str = "kubectl-canary.dev/triggered-revision";

/// On the object of a request: why it passes policies by. Honoured once, of holders of the verb
/// `bypass` on the policy.
pub const BREAK_GLASS: &str = "kubectl-canary.dev/break-glass";
/// On the target: the images of the promoted revision, container → image as a JSON object with
/// sorted keys. A template with these is a rollback, and no freeze refuses it.
pub const PROMOTED_IMAGES: &str = "kubectl-canary.dev/promoted-images";
/// On the target while a promotion must not be changed under way: `<canary> <revision>`.
pub const LOCKED_BY: &str = "kubectl-canary.dev/locked-by";

/// On the target: the number of the release that went back, and the revision that it had: `<number> <revision>`. It is
/// read once the Canary was deleted, and its status with it.
pub const FAILED: &str = "kubectl-canary.dev/failed";

/// On the target: how many pods its primary has, for one that is made anew.
pub const SIZE: &str = "kubectl-canary.dev/replicas";

/// On a `CanaryPolicy`: its enforcement. This and the next three are set by admission, from the spec.
pub const POLICY_ENFORCEMENT: &str = "policy.kubectl-canary.dev/enforcement";
/// On a `CanaryPolicy`: "false" if it has nothing against any change of a Deployment.
pub const POLICY_DEPLOYMENTS: &str = "policy.kubectl-canary.dev/deployments";
/// On a `CanaryPolicy`: "false" if it has nothing against any Canary.
pub const POLICY_CANARIES: &str = "policy.kubectl-canary.dev/canaries";
/// On a `CanaryPolicy`: "false" if it does not protect generated objects.
pub const POLICY_GENERATED: &str = "policy.kubectl-canary.dev/generated";

/// `fieldManager` of every write.
pub const FIELD_MANAGER: &str = "kubectl-canary";
pub const FINALIZER: &str = "kubectl-canary.dev/finalizer";
pub const FLAGGER_FINALIZER: &str = "finalizer.flagger.app";
/// On the Canary: "true" accepts a target with strategy `Recreate`, outages and all.
pub const ALLOW_RECREATE: &str = "kubectl-canary.dev/allow-recreate";
/// On the Canary: "true" accepts that its Services select the pods of another workload too.
pub const ALLOW_SHARED_SELECTOR: &str = "kubectl-canary.dev/allow-shared-selector";

/// Finalizers that the API server's own garbage collector takes off: with the first it takes away what was
/// generated, and with the other it sets that free.
pub const COLLECTED: [&str; 2] = ["foregroundDeletion", "orphan"];

/// Of somebody else: neither ours, nor Flagger's, nor the garbage collector's.
pub fn is_foreign_finalizer(name: &str) -> bool {
    !is_finalizer(name) && !COLLECTED.contains(&name)
}

/// Ours to remove, whoever of the two wrote it.
pub fn is_finalizer(name: &str) -> bool {
    name == FINALIZER || name == FLAGGER_FINALIZER
}

/// On the primary's pod template: a new value makes each promotion a rolling update.
pub const FLAGGER_ID: &str = "flagger-id";
/// On the primary's pod template: which placement terms were made to speak of the primary's pods.
pub const PLACEMENT: &str = "kubectl-canary.dev/placement";
/// On the primary: the [`FLAGGER_ID`] that its pods had before the last promotion.
pub const PREVIOUS_ID: &str = "kubectl-canary.dev/previous-id";
/// On a `ConfigMap` or `Secret`: a value that starts with `disable` opts out of tracking.
pub const CONFIG_TRACKING: &str = "flagger.app/config-tracking";
/// On generated objects: Flux leaves them alone.
pub const FLUX_RECONCILE: (&str, &str) = ("kustomize.toolkit.fluxcd.io/reconcile", "disabled");
/// On generated objects: Helm's drift detection by Flux leaves them alone.
pub const FLUX_DRIFT_DETECTION: (&str, &str) =
    ("helm.toolkit.fluxcd.io/driftDetection", "disabled");

pub const PRIMARY_SUFFIX: &str = "-primary";
pub const CANARY_SUFFIX: &str = "-canary";

/// What the value of a label may have at most.
const LABEL_VALUE: usize = 63;
/// Of the hash of a value that was shortened.
const HASH: usize = 10;

/// A value that fits into a label: itself, or as much of it as there is room for and a hash of it all.
pub fn label_value(value: &str) -> String {
    suffixed(value, "")
}

/// What the primary's pods have where the target's have this value of a label.
pub fn primary_value(value: &str) -> String {
    suffixed(value, PRIMARY_SUFFIX)
}

fn suffixed(value: &str, suffix: &str) -> String {
    if value.len() + suffix.len() <= LABEL_VALUE {
        return format!("{value}{suffix}");
    }
    let hash = format!("{:x}", Sha256::digest(value));
    let room = LABEL_VALUE - suffix.len() - 1 - HASH;
    let kept: String = value.chars().take(room).collect();
    format!("{kept}-{}{suffix}", &hash[..HASH])
}

/// Name of the primary of a workload, Service, autoscaler or configuration object.
pub fn primary_of(name: &str) -> String {
    format!("{name}{PRIMARY_SUFFIX}")
}

/// Name of the canary Service of an apex.
pub fn canary_of(name: &str) -> String {
    format!("{name}{CANARY_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_fits_is_suffixed_as_flagger_does() {
        assert_eq!(primary_value("podinfo"), "podinfo-primary");
        let longest = "a".repeat(55);
        assert_eq!(primary_value(&longest), format!("{longest}-primary"));
        assert_eq!(label_value(&"a".repeat(63)), "a".repeat(63));
    }

    #[test]
    fn a_longer_value_is_shortened_with_a_hash_of_the_whole_of_it() {
        let long = |end: &str| format!("{}{end}", "a".repeat(62));
        let (one, other) = (primary_value(&long("b")), primary_value(&long("c")));
        assert_eq!((one.len(), other.len()), (63, 63));
        assert!(
            one.ends_with("-primary") && one.starts_with("aaaa"),
            "{one}"
        );
        assert_ne!(one, other, "the end of it counts");
        assert_eq!(one, primary_value(&long("b")), "and it is always the same");
        assert_eq!(label_value(&"b".repeat(200)).len(), 63);
    }
}
