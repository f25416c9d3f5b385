use serde_json::json;

use super::*;
use crate::doctor::Outcome;

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

#[test]
fn old_api_servers_lack_the_policies() {
    for (version, outcome) in [
        ("v1.27.9", Outcome::Fail),
        ("v1.29.1-gke.5", Outcome::Warn),
        ("v1.30.0", Outcome::Ok),
        ("v1.36.3+k3s1", Outcome::Ok),
        ("odd", Outcome::Ok),
    ] {
        assert_eq!(kubernetes(version, "x").outcome, outcome, "{version}");
    }
}

#[test]
fn a_lease_that_nobody_renews_is_a_failure() {
    let lease_at = |holder: &str, at: &str| {
        let live = json!({"spec": {"holderIdentity": holder, "renewTime": at}});
        lease(Some(&live), "canary-system", noon())
    };
    assert_eq!(
        lease_at("a", "2026-03-01T11:59:58.000000Z").outcome,
        Outcome::Ok
    );
    // A clock of this machine that goes behind is no failure.
    assert_eq!(lease_at("a", "2026-03-01T12:00:20Z").outcome, Outcome::Ok);
    let stale = lease_at("a", "2026-03-01T11:55:00Z");
    assert_eq!(stale.outcome, Outcome::Fail);
    assert_eq!(
        stale.message,
        "nobody leads: the Lease was last renewed 5m ago, held by a"
    );
    assert_eq!(lease_at("", "2026-03-01T11:59:58Z").outcome, Outcome::Fail);
    assert_eq!(lease(None, "x", noon()).outcome, Outcome::Fail);
}

/// Certificates that end in these months and on these days of the year.
fn bundle(ends: &[(u8, u8)]) -> String {
    let pem: String = ends
        .iter()
        .map(|&(month, day)| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(2026, month, day);
            params.self_signed(&key).unwrap().pem()
        })
        .collect();
    base64::engine::general_purpose::STANDARD.encode(pem)
}

#[test]
fn the_authority_that_ends_last_in_a_bundle_counts_and_the_webhook_that_ends_first() {
    let check = |bundles: &[&str]| {
        let webhooks: Vec<_> = bundles
            .iter()
            .map(|it| json!({"clientConfig": {"caBundle": it}}))
            .collect();
        let live = json!({"webhooks": webhooks});
        registration("ValidatingWebhookConfiguration", Some(&live), noon()).outcome
    };
    let old = bundle(&[(2, 28)]);
    let new = bundle(&[(2, 28), (6, 1)]);
    let soon = bundle(&[(3, 4)]);
    assert_eq!(check(&[&new, &new]), Outcome::Ok);
    assert_eq!(check(&[&new, &soon]), Outcome::Warn);
    assert_eq!(check(&[&new, &old]), Outcome::Fail);
    assert_eq!(check(&[&new, ""]), Outcome::Fail);
    assert_eq!(check(&["bm90IGEgY2VydGlmaWNhdGU="]), Outcome::Fail);
    assert_eq!(check(&[]), Outcome::Fail);
    assert_eq!(registration("x", None, noon()).outcome, Outcome::Fail);
}

#[test]
fn flagger_s_own_definition_is_not_ours() {
    let wanted = [
        json!({"metadata": {"name": "canaries.flagger.app"}, "spec": {"versions": [{"name": "v1beta1", "served": true}]}}),
    ];
    let mut live = wanted[0].clone();
    live["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    let check = |live: Option<&Value>| {
        definitions(
            &wanted,
            &[("canaries.flagger.app".to_owned(), live.cloned())],
        )
    };
    assert!(check(Some(&live)).message.contains("Flagger's own"));
    live["spec"]["versions"][0]["schema"] = json!({"lastRequest": {}});
    assert_eq!(check(Some(&live)).outcome, Outcome::Ok);
    live["spec"]["versions"][0]["served"] = json!(false);
    assert!(
        check(Some(&live))
            .message
            .contains("does not serve v1beta1")
    );
    assert!(check(None).message.contains("not installed"));
}

#[test]
fn only_the_webhook_s_own_words_show_that_it_answers() {
    for (denied, outcome) in [
        (
            Some("spec.provider: provider istio is not supported yet: use apisix"),
            Outcome::Ok,
        ),
        (
            Some("Internal error occurred: failed calling webhook \"x\": connection refused"),
            Outcome::Fail,
        ),
        (Some("releases are frozen"), Outcome::Skipped),
        (None, Outcome::Fail),
    ] {
        assert_eq!(answered(denied, "test").outcome, outcome, "{denied:?}");
    }
}

#[test]
fn replicas_and_versions_of_the_server_are_compared() {
    let live = |ready: i64| json!({"metadata": {"name": "canary-webhook", "namespace": "c"}, "spec": {"replicas": 2}, "status": {"readyReplicas": ready}});
    for (ready, version, outcome) in [
        (2, "0.1.0", Outcome::Ok),
        (1, "0.1.0", Outcome::Warn),
        (0, "0.1.0", Outcome::Fail),
        (2, "0.3.0", Outcome::Warn),
        (2, "latest", Outcome::Ok),
    ] {
        let check = deployment(Some(&live(ready)), Some(version), "0.1.0");
        assert_eq!(check.outcome, outcome, "{ready} {version}");
    }
    assert_eq!(deployment(None, None, "0.1.0").outcome, Outcome::Warn);
}

#[test]
fn what_is_missing_is_named() {
    let names = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let check = policies(&names(&["a", "b", "c"]), &names(&["c"]));
    assert_eq!(check.message, "2 of 3 are missing, such as a");
    assert_eq!(
        policies(&names(&["a"]), &names(&["a", "z"])).outcome,
        Outcome::Ok
    );
    let check = rights(
        "test",
        &[("read", true), ("promote", false), ("roll back", false)],
    );
    assert_eq!(
        check.message,
        "you may not promote, roll back in namespace test"
    );
    assert_eq!(rights("test", &[("read", true)]).outcome, Outcome::Ok);
}

#[test]
fn a_right_that_the_server_lacks_is_a_failure_and_names_what_it_is_for() {
    let account = "canary-system/canary-webhook";
    let held = [("write ApisixRoutes", true), ("scale Deployments", true)];
    assert_eq!(its_rights(account, "test", &held).outcome, Outcome::Ok);
    let check = its_rights(account, "test", &[("write ApisixRoutes", false), held[1]]);
    assert_eq!(check.outcome, Outcome::Fail);
    assert_eq!(
        check.message,
        "ServiceAccount canary-system/canary-webhook may not write ApisixRoutes in namespace test"
    );
}
