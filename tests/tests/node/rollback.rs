//! Line 8 of the user's scenario: releases that go back, and why.

use crate::play;
use crate::play::site::Seen;
use crate::scenario::HALT;

/// Traffic is back on the primary, the canary has no pods, the phase says so.
fn is_rolled_back(seen: &Seen, image: &str) {
    let status = &seen.canary["status"];
    assert_eq!(
        status["phase"], "Failed",
        "a rollback ends as Failed: {status}"
    );
    assert_eq!(
        seen.weights.last(),
        Some(&(100, 0)),
        "all traffic is back on the primary"
    );
    assert_eq!(
        seen.target["spec"]["replicas"], 0,
        "the canary is scaled to zero"
    );
    let tag = seen.primary_image().rsplit(':').next();
    assert_eq!(
        tag,
        Some(image),
        "the primary keeps the version that was good"
    );
    let log = seen.release_log();
    assert_eq!(
        log.last()
            .copied()
            .map(|line| line.starts_with("Canary failed! Scaling down podinfo.")),
        Some(true),
        "the log ends with the failure: {log:#?}"
    );
}

#[test]
fn errors_that_the_user_asks_for_through_the_gateway_roll_the_users_release_back() {
    let user = play::user().unwrap();
    is_rolled_back(&user.bad, "6.0.1");
    let log = user.bad.release_log();
    let rate = "Halt podinfo.test advancement success rate ";
    let halts = user.bad.halts();
    let low = |halt: &&str| halt.starts_with(rate) && halt.ends_with("% < 99%");
    let first = usize::from(halts[0] == HALT.replace("NS", "test"));
    assert_eq!(halts.len(), 10, "as many as the threshold: {halts:#?}");
    assert!(halts[first..].iter().all(low), "{halts:#?}");
    if first == 0 {
        // Later the user's own load test asks as well, which podinfo answers.
        assert_eq!(halts[0], format!("{rate}0.00% < 99%"));
    }
    let end = [
        "Rolling back podinfo.test failed checks threshold reached 10",
        "Canary failed! Scaling down podinfo.test",
    ];
    assert_eq!(log[log.len() - 2..], end, "how the log ends");
    assert!(
        user.after.status.is_success(),
        "podinfo serves on: {:?}",
        user.after
    );
    assert_eq!(user.bad.traffic.lost(), 0, "{}", user.bad.traffic);
}

#[test]
fn a_canary_that_answers_only_errors_has_success_rate_zero_until_the_threshold() {
    let seen = play::errors().unwrap();
    is_rolled_back(seen, "6.0.0");
    let halts = seen.halts();
    assert_eq!(halts.len(), 10, "as many as the threshold: {halts:#?}");
    let zero = "Halt podinfo.errors advancement success rate 0.00% < 99%";
    // Whether the first check finds two samples is up to the scrape.
    let first = usize::from(halts[0] == HALT.replace("NS", "errors"));
    assert!(
        halts[first..].iter().all(|halt| *halt == zero),
        "{halts:#?}"
    );
    assert_eq!(
        seen.weights,
        [(100, 0), (90, 10), (100, 0)],
        "no step beyond the first"
    );
}

#[test]
fn the_log_is_one_json_object_a_line_with_level_time_and_canary() {
    let log = &play::user().unwrap().bad.log;
    assert!(log.len() > 20, "two releases tell more than that: {log:#?}");
    for line in log {
        assert_eq!(line["canary"], "podinfo.test", "{line}");
        for field in ["level", "ts", "msg"] {
            assert!(line[field].is_string(), "every line has {field}: {line}");
        }
    }
}

#[test]
fn answers_that_are_late_roll_a_release_back() {
    let seen = play::delay().unwrap();
    is_rolled_back(seen, "6.0.0");
    let halts = seen.halts();
    assert!(
        halts.iter().any(|halt| {
            halt.starts_with("Halt podinfo.delay advancement request duration ")
                && halt.ends_with(" > 500ms")
        }),
        "/delay/1 answers after a second, which is more than 500 ms: {halts:#?}"
    );
    let rolled_back = "Rolling back podinfo.delay failed checks threshold reached 3";
    assert!(seen.release_log().contains(&rolled_back), "{:#?}", seen.log);
}

#[test]
fn an_image_whose_own_environment_makes_it_fail_is_rolled_back() {
    let bad = &play::two().unwrap().bad;
    is_rolled_back(bad, "6.0.1");
    let halts = bad.halts();
    assert!(
        halts
            .iter()
            .any(|halt| halt.starts_with("Halt podinfo.two advancement success rate ")),
        "a third of its answers are errors: {halts:#?}"
    );
    // Not counted as lost: its liveness probe fails at times, and the kubelet starts it anew.
    assert!(bad.traffic.errors() > 0, "{}", bad.traffic);
    let served = &bad.traffic.versions;
    assert!(
        served.contains_key("6.0.1") && served.contains_key("6.0.2"),
        "{served:?}"
    );
}
