//! `rollback --to N`: a version that was promoted before is released again.
//!
//! ```text
//!  Canary, Deployment ─► goal (pure) ─► its kept template ─► patch ─► follow the release that starts
//!                                                               └─ --fast: promote it, unanalysed
//! ```

use canary_core::canary::Canary;
use canary_core::references;
use canary_core::request::Verb;
use canary_core::revision::{changed_images, images};
use canary_core::status::Outcome;
use serde_json::{Value, json};

use super::history::{release, template};
use super::request::{Wish, expected, perform};
use super::started;
use crate::args::RollbackArgs;
use crate::args::verbs::DryRun;
use crate::client::{Author, Cluster, PatchError, configuration, explained};
use crate::exit::{Error, code};
use crate::follow::Follower;
use crate::output::Output;
use crate::owner;
use crate::render;
use crate::render::detail::command;
use crate::report::history::History;
use crate::report::{CanaryReport, Observed};

/// A Deployment's status is written often while pods come and go.
const ATTEMPTS: u32 = 8;

/// The version to go back to.
#[derive(Debug, PartialEq, Eq)]
struct Goal {
    revision: String,
    /// As it stands in a sentence: `release 4`.
    whose: String,
}

pub async fn run(args: &RollbackArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let [name] = args.request.which.names.as_slice() else {
        return Err(Error::Usage(
            "--to is for one Canary: each has releases of its own".to_owned(),
        ));
    };
    let canary = cluster.canary(&cluster.namespace, &name.0).await?;
    let report = Observed::alone(canary.clone()).report();
    if let Some(number) = args.request.guards.expect_release {
        expected(number, &report)?;
    }
    let goal = goal(&canary, &report, args.to.unwrap_or_default())?;
    let kept = template(cluster, &canary, &goal.revision).await?;
    let kept = kept.map_err(|why| Error::NothingToDo {
        message: format!("the template of {} {why}", goal.whose),
        hint: Some(format!(
            "kubectl canary set image deployment/{} …",
            canary.target_name()
        )),
    })?;
    if !args.force {
        check_needs(cluster, (&canary, &goal), &kept).await?;
    }
    // Looked at before the change: the release that it starts has another number than the last one now.
    let mut follower = Follower::start(cluster, &cluster.namespace, &name.0).await?;
    let (said, note) = replace(args, cluster, (&canary, &goal), &kept).await?;
    output.print(&format!("{}: {said}\n", canary.id()))?;
    if args.request.guards.dry_run != DryRun::None {
        return Ok(code::OK);
    }
    anstream::eprintln!("{note}");
    if args.fast {
        return Box::pin(promote(args, cluster, &mut follower, output)).await;
    }
    let timeout = args.request.timeout.unwrap_or_default();
    Box::pin(started::follow(&mut follower, cluster, timeout, output)).await
}

/// What `--to` means for this Canary, if there is something to go back to.
fn goal(canary: &Canary, report: &CanaryReport, to: i64) -> Result<Goal, Error> {
    let id = report.id();
    let nothing = |message, hint| Err(Error::NothingToDo { message, hint });
    if report.suspended {
        let hint = "set spec.suspend to false first".to_owned();
        return nothing(format!("{id} is suspended"), Some(hint));
    }
    if report.running {
        let number = report.release.as_ref().map_or(0, |release| release.number);
        return nothing(
            format!("release {number} of {id} is in progress: it has to end first"),
            Some(command("rollback", report)),
        );
    }
    let history = History::of(canary);
    let promoted = |outcome: Option<Outcome>| outcome == Some(Outcome::Promoted);
    let goal = if to == 0 {
        let last = history.releases.iter().find(|past| promoted(past.outcome));
        let Some(last) = last else {
            return nothing(format!("no release of {id} was promoted yet"), None);
        };
        Goal {
            revision: last.from.clone(),
            whose: format!("the version before release {}", last.number),
        }
    } else {
        let past = release(&history, to)?;
        if !promoted(past.outcome) {
            return nothing(
                format!("release {to} of {id} was never promoted: nobody is to go back to it"),
                Some(command("history", report)),
            );
        }
        Goal {
            revision: past.revision.clone(),
            whose: format!("release {to}"),
        }
    };
    let status = canary.status.as_ref();
    let current = status.and_then(|status| status.last_promoted_spec.as_deref());
    if current == Some(goal.revision.as_str()) {
        let message = format!(
            "nothing to do: the primary of {id} runs {} already",
            goal.whose
        );
        return nothing(message, None);
    }
    Ok(goal)
}

/// Refuses a version whose pods would not start. Whoever may not read what it needs is not kept from it.
async fn check_needs(
    cluster: &Cluster,
    (canary, goal): (&Canary, &Goal),
    kept: &Value,
) -> Result<(), Error> {
    let namespace = Some(cluster.namespace.as_str());
    let mut missing = Vec::new();
    for (secret, name) in references::mandatory(kept) {
        let kind = configuration(secret);
        match cluster.find(namespace, &name, &kind).await {
            Ok(None) => missing.push(format!("{} {name}", kind.kind)),
            Ok(Some(_)) | Err(Error::ReadForbidden(_)) => {}
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::NothingToDo {
        message: format!(
            "{} of {} needs {}, which is not there: its pods would not start",
            goal.whose,
            canary.id(),
            missing.join(" and "),
        ),
        hint: Some("make it again first; --force goes back all the same".to_owned()),
    })
}

/// Gives the target the kept template: what is said of it, and what is to be done in Git.
async fn replace(
    args: &RollbackArgs,
    cluster: &Cluster,
    (canary, goal): (&Canary, &Goal),
    kept: &Value,
) -> Result<(String, String), Error> {
    let mut first: Option<Value> = None;
    for _ in 0..ATTEMPTS {
        let live = cluster.deployment(canary.target_name()).await?;
        let template = &live["spec"]["template"];
        if first.get_or_insert_with(|| template.clone()) != template {
            break;
        }
        let said = sentence(args, goal, template, kept);
        let note = owner::note(&live);
        let patch = patch(&live, kept, args.request.reason.as_deref());
        let author = (canary, Author::Rollback);
        match started::change(cluster, author, &patch, args.request.guards.dry_run).await {
            Ok(()) => return Ok((said, note)),
            Err(PatchError::Conflict) => {}
            Err(PatchError::Other(error)) => return Err(error),
        }
    }
    Err(Error::Conflict(canary.id()))
}

/// `$patch: replace` leaves nothing of the old template; the version keeps a change of somebody else
/// from being lost.
fn patch(live: &Value, kept: &Value, reason: Option<&str>) -> Value {
    let mut template = kept.clone();
    template["$patch"] = json!("replace");
    let patch = json!({
        "metadata": { "resourceVersion": live["metadata"]["resourceVersion"] },
        "spec": { "template": template },
    });
    explained(patch, reason)
}

fn sentence(args: &RollbackArgs, goal: &Goal, live: &Value, kept: &Value) -> String {
    let changes = changed_images(images(live), images(kept));
    let changes = render::bracketed(&changes);
    let how = if args.fast { ", without analysis" } else { "" };
    let dry = args.request.guards.dry_run;
    let does = match dry {
        DryRun::None => "releases",
        DryRun::Client | DryRun::Server => "would release",
    };
    format!("{does} {} again{changes}{how}{}", goal.whose, dry.suffix())
}

/// Promotes the release that has just begun.
async fn promote(
    args: &RollbackArgs,
    cluster: &Cluster,
    follower: &mut Follower,
    output: &Output,
) -> Result<u8, Error> {
    let number = Box::pin(started::begun(follower)).await?;
    let metadata = follower.observed.report().metadata;
    let wish = Wish {
        ask: Verb::PromoteFull.into(),
        namespace: &metadata.namespace,
        name: &metadata.name,
        reason: args.request.reason.as_deref(),
        timeout: args.request.timeout,
        expect: Some(number),
        looked_at: None,
    };
    let said = Box::pin(perform(&wish, cluster)).await?;
    output.print(&format!("{said}\n"))?;
    Ok(code::OK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{canary, status};

    fn record(number: i64, from: &str, revision: &str, outcome: &str) -> Value {
        json!({"number": number, "revision": revision, "from": from, "images": [], "outcome": outcome, "weight": 50,
            "startedAt": "2026-03-01T10:00:00Z", "endedAt": "2026-03-01T10:10:00Z"})
    }

    /// Three releases: v1 → v2, v2 → v3 failed, v2 → v4, which is what the primary runs.
    fn rested(over: &Value) -> Canary {
        let mut status = status(
            "Succeeded",
            0,
            0,
            &json!({"number": 3, "revision": "v4", "from": "v2", "outcome": "Promoted", "endedAt": "2026-03-01T10:10:00Z"}),
        );
        status["lastPromotedSpec"] = json!("v4");
        status["history"] = json!([
            record(3, "v2", "v4", "Promoted"),
            record(2, "v2", "v3", "RolledBack"),
            record(1, "v1", "v2", "Promoted"),
        ]);
        for (key, value) in over.as_object().unwrap() {
            status[key] = value.clone();
        }
        canary(&status)
    }

    fn to(canary: &Canary, number: i64) -> Result<String, String> {
        let report = Observed::alone(canary.clone()).report();
        match goal(canary, &report, number) {
            Ok(goal) => Ok(format!("{} {}", goal.revision, goal.whose)),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_was_promoted_once_can_be_gone_back_to() {
        let canary = rested(&json!({}));
        assert_eq!(to(&canary, 1), Ok("v2 release 1".into()));
        assert_eq!(to(&canary, 0), Ok("v2 the version before release 3".into()));
    }

    #[test]
    fn before_the_first_release_there_was_a_version_too() {
        let first = json!({
            "history": [record(1, "v1", "v2", "Promoted")], "lastPromotedSpec": "v2", "release": null,
        });
        assert_eq!(
            to(&rested(&first), 0),
            Ok("v1 the version before release 1".into())
        );
    }

    #[test]
    fn nobody_goes_back_to_what_failed_what_runs_or_what_never_was() {
        let canary = rested(&json!({}));
        let said = |number| to(&canary, number).unwrap_err();
        assert_eq!(
            said(2),
            "release 2 of podinfo.test was never promoted: nobody is to go back to it"
        );
        assert_eq!(
            said(3),
            "nothing to do: the primary of podinfo.test runs release 3 already"
        );
        assert_eq!(said(9), "release 9 of podinfo.test is not in its history");
        let none = rested(&json!({"history": [], "release": null}));
        assert_eq!(
            to(&none, 0).unwrap_err(),
            "no release of podinfo.test was promoted yet"
        );
    }

    #[test]
    fn what_runs_has_to_end_first() {
        let running = canary(&status("Progressing", 20, 0, &json!({"number": 4})));
        assert_eq!(
            to(&running, 1).unwrap_err(),
            "release 4 of podinfo.test is in progress: it has to end first"
        );
    }

    #[test]
    fn nothing_of_the_old_template_is_left_and_nobody_else_s_change_is_lost() {
        let live = json!({"metadata": {"resourceVersion": "7"}, "spec": {"template": {"spec": {"containers": []}}}});
        let kept = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}});
        let mut expected = kept.clone();
        expected["$patch"] = json!("replace");
        assert_eq!(
            patch(&live, &kept, Some("errors")),
            json!({
                "metadata": {"resourceVersion": "7", "annotations": {"kubernetes.io/change-cause": "errors"}},
                "spec": {"template": expected},
            })
        );
        assert!(patch(&live, &kept, None)["metadata"]["annotations"].is_null());
    }
}
