//! Requests lost while traffic changes sides: none of ours, and the test can see them.
//!
//! The client counts. The gateway is a second behind the cluster, tries nothing twice, and says on an
//! answer that it is its own; an answer of the application, whatever its code, is not lost.

use canary_tests::fixtures::load::Counts;

use crate::play;
use crate::play::count::{Losses, RATE};

fn none_lost(what: &str, counts: &Counts) {
    println!("{what}: {counts}");
    assert!(counts.requests > 0, "{what}: nobody asked anything");
    assert_eq!(
        counts.lost(),
        0,
        "{what}: every request must reach a pod that answers, but {counts}"
    );
}

/// Half of the traffic went to the canary, or nothing changed sides.
fn served(version: &str, counts: &Counts) {
    let percent = counts.percent(version);
    assert!(
        percent > 5.0,
        "version {version} must have answered, but did so to {percent:.1} %: {counts}"
    );
}

/// At least fifty requests a second, half of them on kept connections, or the figures say little.
fn enough_asked(losses: &Losses) {
    let total = losses.total();
    let least = 50 * (losses.seconds as u64 - 2);
    assert!(
        total.requests >= least,
        "{RATE} requests a second were planned, at least 50 must be sent: {total} in {} s",
        losses.seconds
    );
    let kept = 100 * total.kept / total.requests;
    assert!(
        (45..=55).contains(&kept),
        "half of the requests go over kept connections, but {kept} % do: {total}"
    );
}

#[test]
fn adoption_of_a_service_that_served_before_loses_no_request() {
    enough_asked(play::lost().unwrap());
    none_lost("adoption", &play::lost().unwrap().adoption);
}

#[test]
fn adoption_of_pods_that_end_the_moment_they_are_told_to_loses_no_request() {
    enough_asked(play::hasty().unwrap());
    none_lost("adoption, hasty pods", &play::hasty().unwrap().adoption);
}

#[test]
fn a_promotion_loses_no_request_though_the_canarys_pods_end_at_once() {
    let promotion = play::lost().unwrap().promotion.as_ref();
    let promotion = promotion.expect("a revision was promoted");
    served("6.0.1", promotion);
    none_lost("promotion", promotion);
}

#[test]
fn a_rollback_loses_no_request_though_the_canarys_pods_end_at_once() {
    for losses in [play::lost().unwrap(), play::hasty().unwrap()] {
        served("6.0.2", &losses.rollback);
        none_lost("rollback", &losses.rollback);
    }
}

#[test]
fn without_a_drain_requests_are_lost_so_that_it_is_the_drain_that_saves_them() {
    let losses = play::undrained().unwrap();
    println!("adoption, --drain 0: {}", losses.adoption);
    println!("rollback, --drain 0: {}", losses.rollback);
    enough_asked(losses);
    for (what, counts) in [
        ("adoption", &losses.adoption),
        ("rollback", &losses.rollback),
    ] {
        assert!(
            counts.lost() > 0,
            "with --drain 0 the {what} must lose requests, or nothing is proven by losing none: {counts}"
        );
    }
}
