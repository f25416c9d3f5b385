//! Somebody's loop says every five seconds that the target has a replica.

use crate::play;

#[test]
fn a_loop_that_scales_the_target_up_every_five_seconds_is_named_and_loses_no_request() {
    let looped = play::drift().unwrap();
    println!("loop: {}", looped.traffic);
    let conditions = looped.canary["status"]["conditions"].as_array().unwrap();
    let drift = conditions
        .iter()
        .find(|condition| condition["type"] == "Drift" && condition["status"] == "True");
    let drift = drift.unwrap_or_else(|| panic!("a condition says Drift: {conditions:#?}"));
    let message = drift["message"].as_str().unwrap();
    assert!(
        message.contains("argocd"),
        "it names the field manager of the loop: {message}"
    );
    assert_eq!(
        looped.weights,
        [(100, 0)],
        "the primary serves throughout, whatever the target has"
    );
    let least = 50 * (looped.seconds as u64 - 1);
    assert!(
        looped.traffic.requests >= least,
        "at least 50 requests a second in {} s: {}",
        looped.seconds,
        looped.traffic
    );
    assert_eq!(
        (looped.traffic.lost(), looped.traffic.errors()),
        (0, 0),
        "traffic stays whole: {}",
        looped.traffic
    );
}
