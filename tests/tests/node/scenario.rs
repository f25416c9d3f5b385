//! The user's scenario, up to the promotion: read from what the play left behind.

use serde_json::json;

use crate::play;

pub const HALT: &str = "Halt advancement no values found for apisix metric request-success-rate \
     probably podinfo.NS is not receiving traffic: running query failed: no values found";

/// What is told of a canary's way from its creation to its promotion, in order.
fn story(namespace: &str, replicas: u32) -> Vec<String> {
    [
        "all the metrics providers are available!",
        "Initialization done! podinfo.NS",
        "New revision detected! Scaling up podinfo.NS",
        "canary deployment podinfo.NS not ready: waiting for rollout to finish: 0 of N \
         (readyThreshold 100%) updated replicas are available",
        "Starting canary analysis for podinfo.NS",
        "Advance podinfo.NS canary weight 10",
        HALT,
        "Advance podinfo.NS canary weight 20",
        "Advance podinfo.NS canary weight 30",
        "Advance podinfo.NS canary weight 40",
        "Advance podinfo.NS canary weight 50",
        "Copying podinfo.NS template spec to podinfo-primary.NS",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down podinfo.NS",
    ]
    .map(|line| {
        line.replace("NS", namespace)
            .replace("of N", &format!("of {replicas}"))
    })
    .into()
}

#[test]
fn the_users_route_answers_503_until_there_is_a_canary() {
    let before = &play::user().unwrap().promoted.before;
    assert_eq!(before.status, 503, "there is no Service podinfo yet");
    assert!(
        before.gateway.is_some(),
        "it is the gateway that answers: {before:?}"
    );
}

#[test]
fn all_objects_of_the_users_scenario_appear_and_the_target_rests_at_zero() {
    let user = &play::user().unwrap().promoted;
    for object in [
        "deployment.apps/podinfo-primary",
        "horizontalpodautoscaler.autoscaling/podinfo-primary",
        "service/podinfo",
        "service/podinfo-canary",
        "service/podinfo-primary",
        "apisixroute.apisix.apache.org/podinfo-podinfo-canary",
    ] {
        assert!(
            user.objects.iter().any(|there| there == object),
            "{object} must exist once Initialized, but there is only {:#?}",
            user.objects
        );
    }
    assert_eq!(user.initialized["status"]["phase"], "Initialized");
    assert_eq!(
        user.at_rest["spec"]["replicas"], 0,
        "the target rests at zero"
    );
    let scaled = &user.autoscaler["spec"]["scaleTargetRef"]["name"];
    assert_eq!(
        scaled, "podinfo-primary",
        "the copied autoscaler scales the primary"
    );
}

#[test]
fn the_gateway_refuses_no_request_of_the_users_host_from_initialized_on() {
    let user = play::user().unwrap();
    let (before, after) = (user.promoted.refused, user.refused);
    assert!(
        before > 0.0,
        "it refused some before, and they were counted"
    );
    assert!(
        (after - before).abs() < 0.5,
        "502, 503 and 504 of the gateway: {before} until Initialized, {after} after two releases"
    );
}

#[test]
fn the_weights_move_by_ten_to_fifty_and_all_traffic_returns_to_the_new_primary() {
    let good = &play::user().unwrap().promoted.good;
    let steps = [
        (100, 0),
        (90, 10),
        (80, 20),
        (70, 30),
        (60, 40),
        (50, 50),
        (100, 0),
    ];
    assert_eq!(
        good.weights, steps,
        "weights of primary and canary, each as it was stored"
    );
    assert_eq!(good.primary_image(), "stefanprodan/podinfo:6.0.1");
    assert_eq!(
        good.target["spec"]["replicas"], 0,
        "the canary's pods are gone"
    );
}

#[test]
fn a_release_passes_through_the_phases_that_flaggers_readers_know() {
    let phases = &play::user().unwrap().promoted.good.phases;
    let expected = [
        "Initialized",
        "Progressing",
        "Promoting",
        "Finalising",
        "Succeeded",
    ];
    assert_eq!(*phases, expected, "status.phase, each as it was stored");
}

#[test]
fn the_events_tell_the_users_story_in_this_order_and_nothing_else() {
    let events = &play::user().unwrap().promoted.good.events;
    assert_eq!(*events, story("test", 1), "as the API lists them");
}

#[test]
fn kubectl_describe_prints_the_events_in_the_same_order() {
    let described = &play::user().unwrap().promoted.good.described;
    assert_eq!(
        *described,
        story("test", 1),
        "as kubectl describe canary/podinfo prints them"
    );
}

#[test]
fn with_two_replicas_the_story_says_0_of_2_and_halts_only_before_the_first_traffic() {
    let good = &play::two().unwrap().good;
    let mut expected = story("two", 2);
    // The load was there before: whether the first check finds two samples is up to the scrape.
    let halt = HALT.replace("NS", "two");
    if !good.events.contains(&halt) {
        expected.retain(|line| *line != halt);
    }
    assert_eq!(good.events, expected);
    assert_eq!(good.described, expected, "kubectl describe");
    assert_eq!(
        good.primary["spec"]["replicas"], 2,
        "the primary has as many"
    );
}

#[test]
fn a_promoted_canary_has_the_condition_that_scripts_wait_for() {
    let canary = &play::user().unwrap().promoted.good.canary;
    let condition = &canary["status"]["conditions"][0];
    let expected = json!({
        "type": "Promoted", "status": "True", "reason": "Succeeded",
        "message": "Canary analysis completed successfully, promotion finished.",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(condition[field], *value, "conditions[0].{field}");
    }
}

#[test]
fn kubectl_get_prints_the_columns_that_people_watch() {
    let columns = &play::user().unwrap().promoted.columns;
    let rows: Vec<Vec<&str>> = columns
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let header = [
        "NAMESPACE",
        "NAME",
        "STATUS",
        "WEIGHT",
        "LASTTRANSITIONTIME",
    ];
    assert_eq!(rows[0], header);
    let row = rows.iter().find(|row| row[..2] == ["test", "podinfo"]);
    let row = row.expect("the user's Canary is listed");
    assert_eq!(row[2..4], ["Succeeded", "0"], "{columns}");
    assert!(row[4].ends_with('Z'), "a time of RFC 3339: {columns}");
}

#[test]
fn changing_the_deployment_during_a_release_starts_the_analysis_again() {
    let seen = play::again().unwrap();
    let steps = [(100, 0), (90, 10), (100, 0), (90, 10), (80, 20), (100, 0)];
    assert_eq!(
        seen.weights, steps,
        "back to 100/0, and from the first step again"
    );
    let restarted = "New revision detected! Restarting analysis for podinfo.again";
    let at = seen.events.iter().position(|text| text == restarted);
    let at = at.unwrap_or_else(|| panic!("{restarted:?} is not among {:#?}", seen.events));
    let then: Vec<&String> = seen.events[at..]
        .iter()
        .filter(|text| text.starts_with("Starting canary analysis"))
        .collect();
    assert_eq!(
        then.len(),
        1,
        "the analysis starts once more: {:#?}",
        seen.events
    );
    assert_eq!(
        seen.primary_image(),
        "stefanprodan/podinfo:6.0.2",
        "the last change is promoted"
    );
    assert_eq!(seen.traffic.lost(), 0, "{}", seen.traffic);
}
