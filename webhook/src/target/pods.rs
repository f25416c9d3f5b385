//! Whose a pod is, by its name: pods are not watched, and an `EndpointSlice` names those behind a Service.
//!
//! ```text
//!  Deployment   <deployment>-<hash>-<five characters>      of the alphabet of random names
//!  others       a StatefulSet's web-0, a Job's backup-x7k2p, a bare pod's debug
//! ```

/// Of the names that the API server and the controllers make up: without vowels, and digits that look like some.
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
const RANDOM: usize = 5;
/// Of a `ReplicaSet`'s name, which is cut where a pod's name has to be as long as a label may be.
const LONGEST_PREFIX: usize = 58;

/// The Deployment that a pod with this name is of; the name itself if it can be of none, or of one with a name
/// that had to be cut.
pub fn owner_of(pod: &str) -> &str {
    let made_up = |part: &str| !part.is_empty() && part.chars().all(|it| ALPHABET.contains(it));
    let parts = pod.rsplit_once('-').and_then(|(rest, random)| {
        let (deployment, hash) = rest.rsplit_once('-')?;
        Some((deployment, hash, random))
    });
    match parts {
        Some((deployment, hash, random))
            if random.len() == RANDOM
                && hash.len() <= 10
                && [hash, random].into_iter().all(made_up) =>
        {
            deployment
        }
        _ => pod,
    }
}

/// Whether what [`owner_of`] said may be a Deployment of this name.
pub fn is_of(owner: &str, deployment: &str) -> bool {
    let was_cut = owner.len() == LONGEST_PREFIX + RANDOM;
    let prefix = deployment.get(..LONGEST_PREFIX.min(deployment.len()));
    let begins = prefix.is_some_and(|prefix| owner.starts_with(prefix));
    owner == deployment || was_cut && begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_of_the_deployment_that_its_name_begins_with_and_of_no_other_workload() {
        for (pod, deployment, is) in [
            ("web-7d9f8c6b5d-x7k2p", "web", true),
            ("web-primary-7d9f8c6b5d-x7k2p", "web-primary", true),
            ("web-primary-7d9f8c6b5d-x7k2p", "web", false),
            ("web-db-0", "web", false),
            ("web-0", "web", false),
            ("web-x7k2p", "web", false),
            ("debug", "web", false),
            ("web-backup-28934520-x7k2p", "web", false),
            ("web-7d9f8c6b5d-other", "web", false),
        ] {
            assert_eq!(is_of(owner_of(pod), deployment), is, "{pod} {deployment}");
        }
    }

    #[test]
    fn the_name_of_a_long_deployment_is_cut_and_its_pods_are_its_own() {
        let deployment = "a".repeat(56);
        let replica_set = format!("{deployment}-7d9f8c6b5d-");
        let pod = format!("{}x7k2p", &replica_set[..LONGEST_PREFIX]);
        assert_eq!(pod.len(), 63);
        assert!(is_of(owner_of(&pod), &deployment));
        let other = "b".repeat(56);
        assert!(!is_of(owner_of(&pod), &other));
    }
}
