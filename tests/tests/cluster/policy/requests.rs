//! What people ask of a release.

use serde_json::{Value, json};

use super::{BOB, CAROL, SERVER, Site, UNTIL, canary};

const REVISION: &str = "v1-0123456789ab";

struct Asked {
    site: Site,
    uid: String,
}

impl Asked {
    /// A Canary whose release bob started.
    async fn under(spec: Value) -> Self {
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

    fn wish(&self, verb: &str, reason: &Value) -> Value {
        let id = verb.len();
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

    async fn allowed(&self, user: &str, wish: Value) {
        self.site.patch(user, "canary/podinfo", wish).await;
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
    asked
        .site
        .patch_refused(
            BOB,
            "canary/podinfo",
            forged.clone(),
            "requested-by is set by admission",
        )
        .await;
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
    let why = "must read \"<verb> <revision> <canary uid> <id>\"";
    let uid = &asked.uid;
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
        asked
            .site
            .patch_refused(CAROL, "canary/podinfo", wish, why)
            .await;
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
