//! What people ask of a release.

use serde_json::{Value, json};

use super::{BOB, CAROL, SERVER, Site, UNTIL, canary};

const REVISION: &str = "v1-0123456789ab";

pub struct Asked {
    pub site: Site,
    uid: String,
}

impl Asked {
    /// A Canary whose release bob started.
    pub async fn under(spec: Value) -> Self {
        let site = Site::new().await;
        site.given(canary(json!({"stepWeight": 10, "maxWeight": 50})))
            .await;
        let uid = site.read("canary/podinfo").await["metadata"]["uid"]
            .as_str()
            .unwrap()
            .to_owned();
        let status = json!({"status": {"phase": "Progressing", "release": {
            "number": 1, "revision": REVISION, "images": [], "by": BOB,
            "startedAt": "2026-11-23T10:00:00Z",
        }}})
        .to_string();
        let args = [
            "patch",
            "canary/podinfo",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        let kubeconfig = site.plane.admin_kubeconfig();
        let args: Vec<&str> = ["-n", &site.name].into_iter().chain(args).collect();
        site.plane
            .kubectl_with(kubeconfig, &args, "")
            .await
            .unwrap()
            .ok()
            .unwrap();
        site.policy(&site.name, spec).await;
        Self { site, uid }
    }

    /// A request, and a reason for it if there is a text.
    pub fn wish(&self, verb: &str, reason: &Value) -> Value {
        let id = verb.len();
        let reason = reason.as_str().map(|reason| format!("{id} {reason}"));
        json!({"metadata": {"annotations": {
            "kubectl-canary.dev/request": format!("{verb} {REVISION} {} {id}", self.uid),
            "kubectl-canary.dev/request-reason": reason,
        }}})
    }

    async fn refused(&self, user: &str, wish: Value, why: &str) {
        let why = format!("CanaryPolicy {}: {why}", self.site.name);
        let output = self
            .site
            .patch_refused(user, "canary/podinfo", wish, &why)
            .await;
        assert!(output.stderr.contains("(Forbidden)"), "{output:?}");
    }

    /// It is taken back: one that waits may keep others from taking its place.
    async fn allowed(&self, user: &str, wish: Value) {
        self.site.patch(user, "canary/podinfo", wish).await;
        let none = json!({"metadata": {"annotations": {"kubectl-canary.dev/request": ""}}});
        self.site.patch(user, "canary/podinfo", none).await;
    }
}

#[tokio::test]
async fn a_promotion_needs_a_reason() {
    let asked = Asked::under(json!({"approvals": {"promote": {"requireReason": true}}})).await;
    let why = "spec.approvals.promote.requireReason: a promotion needs a reason: add --reason";
    for reason in [Value::Null, json!(""), json!(" \t")] {
        for verb in ["promote", "promote-full"] {
            asked.refused(CAROL, asked.wish(verb, &reason), why).await;
        }
    }
    for verb in ["pause", "resume", "rollback", "retry"] {
        asked.allowed(CAROL, asked.wish(verb, &Value::Null)).await;
    }
    asked
        .allowed(CAROL, asked.wish("promote", &json!(".")))
        .await;
}

#[tokio::test]
async fn the_reason_of_an_earlier_request_is_none_for_the_next() {
    let asked = Asked::under(json!({"approvals": {"promote": {"requireReason": true}}})).await;
    asked
        .allowed(CAROL, asked.wish("pause", &json!("lunch")))
        .await;
    // What a person writes by hand leaves the other annotation as it was.
    let alone = |id: &str| {
        let request = format!("promote {REVISION} {} {id}", asked.uid);
        json!({"metadata": {"annotations": {"kubectl-canary.dev/request": request}}})
    };
    let why = "spec.approvals.promote.requireReason: a promotion needs a reason: add --reason, \
               or by hand annotation kubectl-canary.dev/request-reason \"<request id> <reason>\"";
    asked.refused(CAROL, alone("77"), why).await;
    // Nor is one that names no request, or another one that begins alike.
    for reason in ["lunch", "77", "77 ", "77 \t", "777 lunch", "5 lunch"] {
        let mut wish = alone("77");
        wish["metadata"]["annotations"]["kubectl-canary.dev/request-reason"] = json!(reason);
        asked.refused(CAROL, wish, why).await;
    }
    // The same text may be sent again.
    let mut wish = alone("77");
    wish["metadata"]["annotations"]["kubectl-canary.dev/request-reason"] = json!("77 lunch");
    asked.allowed(CAROL, wish).await;
}

#[tokio::test]
async fn who_started_a_release_does_not_promote_it() {
    let asked = Asked::under(json!({"approvals": {"promote": {"notByAuthor": true}}})).await;
    let why = "spec.approvals.promote.notByAuthor: bob started this release: let somebody else promote it";
    for verb in ["promote", "promote-full"] {
        asked
            .refused(BOB, asked.wish(verb, &json!("mine")), why)
            .await;
    }
    // In no other name either.
    let mut forged = asked.wish("promote", &Value::Null);
    forged["metadata"]["annotations"]["kubectl-canary.dev/requested-by"] = json!(CAROL);
    asked.refused(BOB, forged, why).await;

    for verb in ["pause", "resume", "rollback", "retry"] {
        asked.allowed(BOB, asked.wish(verb, &Value::Null)).await;
    }
    asked
        .allowed(CAROL, asked.wish("promote", &Value::Null))
        .await;
}

#[tokio::test]
async fn a_freeze_holds_promotions_and_retries_but_never_the_way_back() {
    let asked = Asked::under(json!({"release": {"freezeWindows": []}})).await;
    asked.site.freeze(true).await;
    let field = "spec.release.freezeWindows[year-end]: ";
    let held =
        format!("{field}releases are held in a freeze until {UNTIL} (CHG-1234); wait, or ask");
    for verb in ["promote", "promote-full"] {
        asked
            .refused(CAROL, asked.wish(verb, &Value::Null), &held)
            .await;
    }
    let retry = asked.wish("retry", &Value::Null);
    let frozen = format!("{field}releases are frozen until {UNTIL} (CHG-1234); wait, or ask");
    asked.refused(CAROL, retry, &frozen).await;
    for verb in ["pause", "resume", "rollback"] {
        asked.allowed(CAROL, asked.wish(verb, &Value::Null)).await;
    }
    asked
        .allowed(
            SERVER,
            json!({"metadata": {"annotations": {"kubectl-canary.dev/request": null}}}),
        )
        .await;
}

#[tokio::test]
async fn a_freeze_that_lets_releases_go_on_holds_no_promotion() {
    let on_freeze = json!({"running": "Continue"});
    let asked = Asked::under(json!({"release": {"onFreeze": on_freeze}})).await;
    asked.site.freeze(true).await;
    let retry = asked.wish("retry", &Value::Null);
    asked
        .refused(
            CAROL,
            retry,
            "spec.release.freezeWindows[year-end]: releases are frozen",
        )
        .await;
    asked
        .allowed(CAROL, asked.wish("promote", &Value::Null))
        .await;
}

#[tokio::test]
async fn odd_spacing_and_escapes_do_not_hide_a_promotion() {
    let asked = Asked::under(json!({"approvals": {"promote": {"requireReason": true}}})).await;
    let uid = &asked.uid;
    let known = asked.wish("promote", &Value::Null);
    asked.refused(CAROL, known, "spec.approvals.promote").await;
    for text in [
        format!(" promote {REVISION} {uid} 1"),
        format!("promote  {REVISION} {uid} 1"),
        format!("promote\t{REVISION} {uid} 1"),
        format!("promote\u{a0}{REVISION} {uid} 1"),
        format!("promote {REVISION} {uid} 1\n"),
        format!("\\u0070romote {REVISION} {uid} 1"),
        format!("PROMOTE {REVISION} {uid} 1"),
        format!("promote%20{REVISION} {uid} 1"),
    ] {
        let wish = json!({"metadata": {"annotations": {"kubectl-canary.dev/request": text}}});
        // Of two refusals the API server tells the first that it comes to, in an order of its own.
        let wish = wish.to_string();
        let args = ["patch", "canary/podinfo", "--type=merge", "-p", &wish];
        let output = asked.site.kubectl(CAROL, &args, "").await;
        let said = [
            "must read \"<verb> <revision> <canary uid> <id>\"",
            "a promotion needs a reason",
        ];
        let said = said.iter().any(|why| output.stderr.contains(why));
        assert!(output.code == Some(1) && said, "{text:?}: {output:?}");
    }
    // JSON's own escapes are the same text.
    let escaped = format!(
        r#"{{"metadata":{{"annotations":{{"kubectl-canary.dev/request":"\u0070romote {REVISION} {uid} 1"}}}}}}"#
    );
    let args = ["patch", "canary/podinfo", "--type=merge", "-p", &escaped];
    asked
        .site
        .refused(CAROL, &args, "", "a promotion needs a reason")
        .await;
}
