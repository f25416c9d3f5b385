//! Whatever arrives at `/mutate` and `/validate` is answered: no panic, nothing that takes long, and always
//! an `AdmissionReview`, whose patch touches nothing but our annotations and labels.
//!
//! ```text
//!  tests/corpus/admission ─► mutation ─► router, in one of several worlds ─► oracle ─► tally
//!   what a real API server                (caches full of Canaries and          │
//!   has sent (make corpus)                 policies, so that rules are reached) └► target/fuzz, if it is wrong
//! ```
//!
//! A short run of a fixed seed is part of `make test`; `make fuzz` goes on for as long as it is told. What it
//! finds is put into `tests/corpus/admission/found` with the fix, and replayed ever after.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "fuzz/campaign.rs"]
mod campaign;
#[path = "fuzz/corpus.rs"]
mod corpus;
#[path = "fuzz/mutation.rs"]
mod mutation;
#[path = "fuzz/oddities.rs"]
mod oddities;
#[path = "fuzz/oracle.rs"]
mod oracle;
#[path = "fuzz/world.rs"]
mod world;

use std::time::Duration;

use canary_tests::clock::now;

use self::campaign::Campaign;

/// Answers without which a run has tested nothing but the reading of JSON.
const REACHED: [&str; 12] = [
    "mutate 200 allowed",
    "mutate 200 patched",
    "mutate 200 warned",
    "mutate 400",
    "validate 200 allowed",
    "validate 200 warned",
    "validate 200 recorded",
    "validate 200 denied 403 CanaryPolicy",
    "validate 200 denied 403 user",
    "validate 200 denied 403 cannot",
    "validate 200 denied 422",
    "validate 400",
];

/// Likewise: fields that a policy, or the server itself, has objected to.
const FIELDS: [&str; 22] = [
    "spec.images.allowedRegistries",
    "spec.images.requireDigest",
    "spec.images.disallowedTags",
    "spec.canary.required",
    "spec.canary.maxStepWeight",
    "spec.canary.maxWeight",
    "spec.canary.minMetrics",
    "spec.canary.forbidSkipAnalysis",
    "spec.release.freezeWindows[]",
    "spec.release.minInterval",
    "spec.release.maxConcurrentPerNamespace",
    "spec.release.onRunningRelease",
    "spec.approvals.promote.requireReason",
    "spec.approvals.promote.notByAuthor",
    "invalid spec.provider",
    "invalid spec.targetRef.name",
    "invalid metadata.annotations[]",
    "invalid spec.release.freezeWindows[].schedule",
    "invalid spec.release.freezeWindows[].timeZone",
    "invalid spec.release.minInterval",
    "invalid spec.images.allowedRegistries",
    "invalid spec",
];

#[tokio::test]
async fn what_a_real_api_server_has_sent_is_understood_in_every_world() {
    let mut campaign = Campaign::new(0);
    campaign.replay().await;
    campaign.conclude();
    let tally = &campaign.tally;
    assert!(tally.cases > 300, "{} cases", tally.cases);
    let read = |kind: &&String| kind.contains(" 200 ");
    let unread: Vec<&String> = tally.answers.keys().filter(|kind| !read(kind)).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[tokio::test]
async fn mutated_reviews_are_answered_and_reach_every_rule() {
    let mut campaign = Campaign::new(7);
    campaign.replay_found().await;
    campaign.run(|tally| tally.cases < 6000).await;
    campaign.conclude();
    campaign.has_reached(&REACHED, &FIELDS);
}

#[tokio::test]
#[ignore = "as long as FUZZ_SECONDS says, ten minutes by default: `make fuzz`"]
async fn mutated_reviews_are_answered_for_as_long_as_asked() {
    let seconds = asked("FUZZ_SECONDS").unwrap_or(600);
    let seed = asked("FUZZ_SEED").unwrap_or_else(|| fastrand::Rng::new().u64(..));
    println!("FUZZ_SEED={seed} for {seconds} s");
    let mut campaign = Campaign::new(seed);
    let end = now() + Duration::from_secs(seconds);
    campaign.replay().await;
    campaign.replay_found().await;
    campaign.run(|_| now() < end).await;
    campaign.tally.print();
    campaign.conclude();
    if seconds >= 60 {
        campaign.has_reached(&REACHED, &FIELDS);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long, and from which seed: what a person says to `make fuzz`"
)]
fn asked(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|it| !it.is_empty())?;
    Some(value.parse().unwrap())
}
