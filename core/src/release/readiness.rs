//! Is a Deployment's rollout complete? A pure reading of its status.

use crate::release::facts::{Readiness, Wait};

/// The numbers of a Deployment that its readiness follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub generation: i64,
    pub observed_generation: i64,
    /// `spec.replicas`.
    pub desired: i32,
    pub replicas: i32,
    pub updated: i32,
    pub ready: i32,
    pub available: i32,
    /// Its `Progressing` condition says `ProgressDeadlineExceeded`.
    pub deadline_exceeded: bool,
}

/// `threshold`: percentage of the updated replicas that must be available.
pub fn readiness(name: &str, counts: Counts, threshold: i64) -> Readiness {
    if counts.observed_generation < counts.generation {
        return Readiness::Waiting(Wait::Unobserved);
    }
    if counts.deadline_exceeded {
        return Readiness::Stuck(format!(
            "deployment {name:?} exceeded its progress deadline"
        ));
    }
    if counts.updated < counts.desired {
        return Readiness::Waiting(Wait::Updating {
            updated: counts.updated,
            desired: counts.desired,
        });
    }
    if counts.replicas > counts.updated {
        return Readiness::Waiting(Wait::Terminating {
            old: counts.replicas - counts.updated,
        });
    }
    let needed = i64::from(counts.updated) * threshold / 100;
    if i64::from(counts.available) < needed {
        return Readiness::Waiting(Wait::Unavailable {
            available: counts.available,
            updated: counts.updated,
            threshold,
        });
    }
    Readiness::Ready
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(desired: i32, updated: i32, available: i32) -> Counts {
        Counts {
            generation: 2,
            observed_generation: 2,
            desired,
            replicas: updated,
            updated,
            ready: available,
            available,
            ..Counts::default()
        }
    }

    fn why(counts: Counts, threshold: i64) -> String {
        match readiness("podinfo", counts, threshold) {
            Readiness::Ready => String::new(),
            Readiness::Waiting(wait) => wait.to_string(),
            Readiness::Stuck(why) => why,
        }
    }

    #[test]
    fn a_generation_that_the_controller_has_not_seen_is_not_ready() {
        let lagging = Counts {
            generation: 3,
            ..counts(1, 1, 1)
        };
        assert_eq!(
            why(lagging, 100),
            "waiting for rollout to finish: observed deployment generation less than desired generation"
        );
    }

    #[test]
    fn replicas_not_updated_yet_are_counted() {
        assert_eq!(
            why(counts(2, 1, 1), 100),
            "waiting for rollout to finish: 1 out of 2 new replicas have been updated"
        );
    }

    #[test]
    fn old_replicas_must_be_gone() {
        let old = Counts {
            replicas: 5,
            ..counts(2, 2, 2)
        };
        assert_eq!(
            why(old, 100),
            "waiting for rollout to finish: 3 old replicas are pending termination"
        );
    }

    #[test]
    fn updated_replicas_must_be_available() {
        assert_eq!(
            why(counts(1, 1, 0), 100),
            "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available"
        );
    }

    #[test]
    fn a_threshold_of_half_is_met_by_half_of_the_replicas() {
        assert_eq!(why(counts(4, 4, 2), 50), "");
        assert_eq!(
            why(counts(4, 4, 1), 50),
            "waiting for rollout to finish: 1 of 4 (readyThreshold 50%) updated replicas are available"
        );
    }

    #[test]
    fn a_progress_deadline_that_has_passed_is_final() {
        let stuck = Counts {
            deadline_exceeded: true,
            ..counts(1, 1, 0)
        };
        assert_eq!(
            why(stuck, 100),
            "deployment \"podinfo\" exceeded its progress deadline"
        );
    }

    #[test]
    fn a_deadline_of_an_older_generation_says_nothing_about_the_new_one() {
        let stale = Counts {
            deadline_exceeded: true,
            generation: 3,
            ..counts(1, 1, 0)
        };
        assert_eq!(
            readiness("podinfo", stale, 100),
            Readiness::Waiting(Wait::Unobserved)
        );
    }
}
