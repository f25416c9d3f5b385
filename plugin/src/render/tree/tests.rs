//! Golden trees: wide, narrow, in ASCII, of a crowd, and of what nobody may read.

use super::*;
use crate::render::picture::{self, Wish};
use crate::report::Observed;
use crate::report::tests::noon;
use crate::report::workloads::tests::{crowd, forbidden, world};

fn draw(observed: &Observed, width: Option<usize>, folding: Folding) -> String {
    let theme = Theme::new(false, true, width);
    theme.paint(&lines(&observed.report(), &theme, noon(), folding))
}

fn usual(observed: &Observed, width: usize) -> String {
    draw(observed, Some(width), Folding::default())
}

#[test]
fn a_release_in_progress() {
    insta::assert_snapshot!(usual(&world(), 100));
}

#[test]
fn on_a_terminal_of_80_columns() {
    insta::assert_snapshot!(usual(&world(), 80));
}

#[test]
fn on_a_terminal_of_40_columns() {
    insta::assert_snapshot!(usual(&world(), 40));
}

#[test]
fn in_ascii() {
    let theme = Theme::new(false, false, Some(80));
    let drawn = theme.paint(&lines(
        &world().report(),
        &theme,
        noon(),
        Folding::default(),
    ));
    assert!(drawn.is_ascii(), "{drawn}");
    insta::assert_snapshot!(drawn);
}

#[test]
fn of_200_pods_those_that_are_not_well_come_first_and_the_rest_is_counted() {
    insta::assert_snapshot!(usual(&crowd(), 80));
}

#[test]
fn unfolded_it_has_every_pod_and_every_revision() {
    let drawn = draw(&crowd(), None, Folding::UNFOLDED);
    assert_eq!(
        drawn.lines().filter(|line| line.contains(" Pod ")).count(),
        202
    );
    let drawn = draw(&world(), None, Folding::UNFOLDED);
    assert!(drawn.contains("podinfo-65fb"), "{drawn}");
}

#[test]
fn revisions_are_limited_from_the_newest_on() {
    let with = |revisions| Folding {
        revisions: Some(revisions),
        ..Folding::default()
    };
    let two = draw(&world(), Some(100), with(2));
    assert!(
        two.contains("podinfo-65fb") && !two.contains("older"),
        "{two}"
    );
    let one = draw(&world(), Some(100), with(1));
    assert!(
        !one.contains("podinfo-65fb") && one.contains("… 1 older"),
        "{one}"
    );
}

#[test]
fn what_nobody_may_read_is_said_in_its_place() {
    let mut observed = world();
    observed.below.primary.pods = forbidden("Pods");
    observed.below.canary.pods = forbidden("Pods");
    observed.below.canary.replica_sets = forbidden("ReplicaSets");
    insta::assert_snapshot!(usual(&observed, 80));
}

#[test]
fn a_low_terminal_gets_a_smaller_tree_and_never_less_than_its_trunk() {
    let theme = Theme::new(false, true, Some(80));
    let picture = |rows| picture::fitted(&crowd().report(), &theme, noon(), Wish::default(), rows);
    let whole = picture(100);
    assert_eq!(
        whole,
        picture::whole(&crowd().report(), &theme, noon(), Wish::default())
    );
    let low = picture(20);
    assert!(low.lines().count() <= 20, "{low}");
    assert!(low.contains("more Running"), "{low}");
    let lowest = picture(1);
    assert!(!lowest.contains("podinfo-7c9d-"), "{lowest}");
    assert!(
        lowest.contains("… 197 more Running") || lowest.contains("197 more Running"),
        "{lowest}"
    );
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    for width in [20, 40, 60, 80, 120] {
        for observed in [world(), crowd()] {
            for line in usual(&observed, width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn a_canary_without_deployments_has_no_tree() {
    let observed = Observed::alone(world().canary);
    assert_eq!(usual(&observed, 80), "");
}
