use canary_core::request::parse;

use super::*;

#[test]
fn what_is_written_has_the_form_that_the_controller_reads() {
    let request = Request {
        verb: Verb::PromoteFull,
        revision: "v1-0123456789ab".into(),
        uid: "6c4f1f4e-0000-4000-8000-000000000000".into(),
        id: random_id().unwrap(),
        options: std::collections::BTreeMap::new(),
    };
    let given = annotations(&request, Some("looks good"));
    let given = given[names::REQUEST_REASON].as_str().unwrap();
    assert_eq!(request.reason(given), Some("looks good"));
    let written = annotations(&request, None);
    assert_eq!(
        parse(written[names::REQUEST].as_str().unwrap()),
        Ok(request)
    );
    assert!(written[names::REQUEST_REASON].is_null() && written[names::REQUESTED_BY].is_null());
}

#[test]
fn no_two_requests_have_one_id() {
    let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| random_id().unwrap()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(
        ids.iter()
            .all(|id| id.len() == 36 && id.as_bytes()[14] == b'4')
    );
}

#[test]
fn only_what_takes_a_rollout_waits_long() {
    assert_eq!(timeout(Verb::Promote, None), Some(Duration::from_secs(60)));
    assert_eq!(
        timeout(Verb::PromoteFull, None),
        Some(Duration::from_secs(600))
    );
    assert_eq!(
        timeout(Verb::Rollback, Some(Duration::from_secs(1))),
        Some(Duration::from_secs(1))
    );
    assert_eq!(timeout(Verb::Rollback, Some(Duration::ZERO)), None);
}
