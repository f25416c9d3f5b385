//! How many pods a primary and a canary get where no autoscaler says so. Pure.
//!
//! ```text
//!  replicas of the target   whose number it is          canary gets        primary gets at a promotion
//!  5                        somebody's                  5                  5
//!  1                        nobody's: a default         what the primary   what it has
//!  0, or what we wrote      ours, Flagger's, an HPA's    has                what it has
//! ```
//! At rest the target has 0, so that its number says nothing about the application. A primary never gets
//! fewer pods than it has unless somebody wants that.

use crate::names;

/// Who set `spec.replicas` of a Deployment, as `metadata.managedFields` say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner<'a> {
    pub manager: &'a str,
    /// By a server-side apply, which owns no defaults.
    pub applied: bool,
    /// By the subresource `scale`, which has no defaults.
    pub scaled: bool,
}

/// Whose number the target's `replicas` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Ours, Flagger's or an autoscaler's, or nobody knows.
    #[default]
    Nobody,
    /// The API server filled it in: the manifest says nothing.
    Default,
    Somebody,
}

/// What the API server fills in.
const DEFAULT: i32 = 1;

/// Those who scale without wanting a size: Flagger, and the controller that carries out HPAs.
const MACHINES: [&str; 3] = [
    "flagger",
    "kube-controller-manager",
    "horizontal-pod-autoscaler",
];

/// Whose number `replicas` is. `declared` is what `kubectl apply` noted that the manifest says.
///
/// Who creates or replaces an object owns its defaults too, and so a 1 is a wish only where something says
/// that it was written down.
pub fn wish(replicas: i32, owners: &[Owner<'_>], declared: Option<i32>) -> Wish {
    let people = || owners.iter().filter(|owner| is_somebody(owner.manager));
    if replicas != DEFAULT {
        return match people().next() {
            Some(_) => Wish::Somebody,
            None => Wish::Nobody,
        };
    }
    let written = |owner: &Owner<'_>| owner.applied || owner.scaled || declared == Some(replicas);
    if people().any(written) {
        Wish::Somebody
    } else if owners.is_empty() || people().next().is_some() {
        Wish::Default
    } else {
        Wish::Nobody
    }
}

fn is_somebody(manager: &str) -> bool {
    !manager.starts_with(names::FIELD_MANAGER) && !MACHINES.contains(&manager)
}

/// The size that somebody wants the application to have. 0 is none: it is what a target has at rest.
pub fn wanted(replicas: i32, wish: Wish) -> Option<i32> {
    (wish == Wish::Somebody && replicas > 0).then_some(replicas)
}

/// Pods of a canary. `wanted` is what somebody wanted when it was seen last.
pub fn of_canary(replicas: i32, wish: Wish, wanted: Option<i32>, primary: Option<i32>) -> i32 {
    let like_primary = wanted.or(primary).unwrap_or(DEFAULT).max(DEFAULT);
    match wish {
        Wish::Default => replicas.max(like_primary),
        Wish::Somebody | Wish::Nobody if replicas > 0 => replicas,
        Wish::Somebody | Wish::Nobody => like_primary,
    }
}

/// Pods of a primary that is given another template. `serving` are the target's while people are on it, who
/// are about to be sent to the primary.
pub fn of_primary(wanted: Option<i32>, primary: i32, serving: i32) -> i32 {
    wanted.unwrap_or_else(|| primary.max(serving)).max(DEFAULT)
}

/// Pods of a primary that is put back: as many as it had `before` a promotion that wanted another size of it. None if it
/// has the size that somebody gave it since.
pub fn put_back(before: Option<i32>, wanted: Option<i32>, primary: i32) -> Option<i32> {
    before.filter(|_| wanted == Some(primary))
}

/// Pods of a primary that is made. `remembered` is what an earlier one had.
pub fn of_new_primary(replicas: i32, wish: Wish, remembered: Option<i32>) -> i32 {
    of_primary(
        wanted(replicas, wish),
        remembered.unwrap_or_default(),
        replicas,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by(manager: &str) -> Owner<'_> {
        Owner {
            manager,
            ..Owner::default()
        }
    }

    #[test]
    fn a_number_that_is_no_default_is_the_wish_of_whoever_wrote_it() {
        for manager in ["kubectl-client-side-apply", "helm", "argocd-controller"] {
            assert_eq!(wish(3, &[by(manager)], None), Wish::Somebody, "{manager}");
        }
        let both = [by("kubectl-canary"), by("kubectl-edit")];
        assert_eq!(wish(3, &both, None), Wish::Somebody);
    }

    #[test]
    fn what_machines_wrote_is_nobodys_wish() {
        for manager in [
            "kubectl-canary",
            "kubectl-canary-cli",
            "flagger",
            "kube-controller-manager",
        ] {
            for replicas in [0, 1, 6] {
                let found = wish(replicas, &[by(manager)], None);
                assert_eq!(found, Wish::Nobody, "{manager} {replicas}");
            }
        }
        assert_eq!(wish(6, &[], None), Wish::Nobody, "nobody knows");
    }

    #[test]
    fn a_default_of_one_is_no_wish_and_a_one_that_was_written_down_is() {
        let applied = Owner {
            manager: "flux",
            applied: true,
            scaled: false,
        };
        let scaled = Owner {
            manager: "kubectl",
            applied: false,
            scaled: true,
        };
        for (owners, declared, found) in [
            (vec![], None, Wish::Default),
            (vec![by("helm")], None, Wish::Default),
            (vec![by("kubectl-client-side-apply")], None, Wish::Default),
            (
                vec![by("kubectl-client-side-apply")],
                Some(3),
                Wish::Default,
            ),
            (
                vec![by("kubectl-client-side-apply")],
                Some(1),
                Wish::Somebody,
            ),
            (vec![applied], None, Wish::Somebody),
            (vec![scaled], None, Wish::Somebody),
            (vec![by("kubectl-canary")], Some(1), Wish::Nobody),
        ] {
            assert_eq!(wish(1, &owners, declared), found, "{owners:?} {declared:?}");
        }
    }

    #[test]
    fn a_canary_is_as_large_as_its_primary_unless_somebody_wants_another_size() {
        for (replicas, wish, wanted, size) in [
            (0, Wish::Nobody, None, 6),
            (1, Wish::Default, None, 6),
            (1, Wish::Somebody, None, 1),
            (9, Wish::Somebody, None, 9),
            // Of what we wrote ourselves nothing is changed under way.
            (1, Wish::Nobody, None, 1),
            // What somebody wanted before we scaled it away.
            (0, Wish::Nobody, Some(3), 3),
        ] {
            let found = of_canary(replicas, wish, wanted, Some(6));
            assert_eq!(found, size, "{replicas} {wish:?} {wanted:?}");
        }
        assert_eq!(of_canary(0, Wish::Nobody, None, None), 1);
    }

    #[test]
    fn a_primary_that_is_put_back_has_the_size_of_before_unless_somebody_scaled_it() {
        assert_eq!(put_back(Some(6), Some(1), 1), Some(6));
        assert_eq!(put_back(Some(2), Some(3), 3), Some(2));
        assert_eq!(put_back(Some(2), Some(3), 5), None, "scaled meanwhile");
        assert_eq!(put_back(Some(2), None, 2), None, "no size was wanted");
        assert_eq!(put_back(None, Some(3), 3), None);
    }

    #[test]
    fn a_primary_that_is_made_anew_is_as_large_as_the_one_before() {
        assert_eq!(of_new_primary(0, Wish::Nobody, Some(4)), 4);
        assert_eq!(of_new_primary(1, Wish::Default, Some(4)), 4);
        assert_eq!(of_new_primary(2, Wish::Somebody, Some(4)), 2);
        assert_eq!(of_new_primary(5, Wish::Nobody, Some(4)), 5, "they serve");
        assert_eq!(of_new_primary(0, Wish::Nobody, None), 1);
    }

    fn any_wish() -> impl Strategy<Value = Wish> {
        prop_oneof![
            Just(Wish::Nobody),
            Just(Wish::Default),
            Just(Wish::Somebody)
        ]
    }

    proptest! {
        #[test]
        fn a_promotion_makes_a_primary_smaller_only_if_somebody_wants_that(
            replicas in 0..20, wish in any_wish(), primary in 0..20, serving in 0..20,
        ) {
            let wanted = wanted(replicas, wish);
            let after = of_primary(wanted, primary, serving);
            prop_assert!(after >= 1);
            prop_assert!(after >= primary || wanted == Some(after));
            if wish == Wish::Somebody && replicas > 0 {
                prop_assert_eq!(after, replicas);
            }
        }
    }
}
