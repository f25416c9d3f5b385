//! The release that a change of the Deployment starts.
//!
//! ```text
//!  look ─► change ─► begun? ─► running ─► over: the exit code
//!                      └─ nobody answers: say so, and end after a minute
//! ```

use std::time::Duration;

use canary_core::canary::Canary;
use kube::ResourceExt as _;
use serde_json::Value;

use super::status::{View, settle, verdict};
use crate::args::StatusArgs;
use crate::args::verbs::DryRun;
use crate::client::{Author, Cluster, PatchError};
use crate::exit::{Error, seconds};
use crate::follow::{Fate, Follower, fate};
use crate::output::{Output, interrupted};
use crate::report::CanaryReport;

/// A controller that runs has begun by then.
const SILENCE: Duration = Duration::from_secs(5);
/// What has not begun by then was no release.
const BEGIN: Duration = Duration::from_secs(60);

/// Which release is waited for: the one that begins now, or the end of the one that this change aborts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    /// The last one before the change.
    before: Option<i64>,
    /// It was under way.
    running: bool,
}

/// Where the release is that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    NotBegun,
    Running,
    /// The number of the release whose end is the answer.
    Over(i64),
}

// === impl Expected ===

impl Expected {
    fn of(report: &CanaryReport) -> Self {
        Self {
            before: report.release.as_ref().map(|release| release.number),
            running: report.running,
        }
    }

    fn stage(self, report: &CanaryReport, begun: Option<i64>) -> Stage {
        let number = report.release.as_ref().map(|release| release.number);
        let new = begun.or(number.filter(|_| number > self.before));
        match (new, self.before) {
            (Some(new), _) if fate(report, Some(new)) == Fate::Running => Stage::Running,
            (Some(new), _) => Stage::Over(new),
            // The template is the promoted one again: nothing begins, and what ran is aborted.
            (None, Some(before)) if self.running && !report.running => Stage::Over(before),
            _ => Stage::NotBegun,
        }
    }
}

/// The change of the target that starts a release, or its rehearsal; what the API server warns of is shown.
pub async fn change(
    cluster: &Cluster,
    (canary, author): (&Canary, Author),
    patch: &Value,
    dry_run: DryRun,
) -> Result<(), PatchError> {
    if dry_run == DryRun::Client {
        return Ok(());
    }
    let hint = format!(
        "kubectl canary can-i release {} -n {}",
        canary.name_any(),
        canary.namespace_name()
    );
    let target = (canary.target_name(), author);
    let written = cluster.patch_deployment(target, patch, dry_run == DryRun::Server, &hint);
    for warning in written.await? {
        anstream::eprintln!("Warning: {warning}");
    }
    Ok(())
}

/// Shows the release that a change has just started, until it has ended.
pub async fn follow(
    follower: &mut Follower,
    cluster: &Cluster,
    timeout: Duration,
    output: &Output,
) -> Result<u8, Error> {
    let shown = StatusArgs {
        name: None,
        all_namespaces: false,
        watch: true,
        output: None,
        revisions: None,
    };
    let mut view = View::new(&shown, output);
    if view.shows_pods() {
        follower.add_pods(cluster).await;
    }
    let number = Box::pin(until(follower, timeout, |report, stage| {
        let Stage::Over(number) = stage else {
            view.show(report)?;
            return Ok(None);
        };
        view.over = true;
        view.show(report)?;
        Ok(Some(number))
    }))
    .await?;
    settle(follower).await?;
    let report = follower.observed.report();
    view.show(&report)?;
    drop(view);
    verdict(&report, Some(number))
}

/// The number of the release that a change has just started.
pub async fn begun(follower: &mut Follower) -> Result<i64, Error> {
    let number = |report: &CanaryReport, _| Ok(report.release.as_ref().map(|it| it.number));
    Box::pin(until(follower, Duration::ZERO, number)).await
}

/// Waits until `look` has found what it looks for; it looks at each change once the release has begun.
async fn until(
    follower: &mut Follower,
    timeout: Duration,
    mut look: impl FnMut(&CanaryReport, Stage) -> Result<Option<i64>, Error>,
) -> Result<i64, Error> {
    let expected = Expected::of(&follower.observed.report());
    let mut begun = None;
    let start = tokio::time::Instant::now();
    let (mut silent, mut second) = (true, tokio::time::interval(Duration::from_secs(1)));
    let mut stop = std::pin::pin!(interrupted());
    loop {
        let report = follower.observed.report();
        let stage = expected.stage(&report, begun);
        if stage != Stage::NotBegun {
            begun = begun.or(report.release.as_ref().map(|release| release.number));
            if let Some(number) = look(&report, stage)? {
                return Ok(number);
            }
        }
        if silent && stage == Stage::NotBegun && start.elapsed() > SILENCE {
            silent = false;
            let why = match (report.deleting(), report.hindrance()) {
                (Some(deleting), _) => deleting.message.clone(),
                (None, Some(it)) => format!("the Canary is not ready, {}", it.message),
                (None, None) => "is canary-webhook running?".to_owned(),
            };
            anstream::eprintln!("no release has begun yet: {why}");
        }
        late(&report, stage, start.elapsed(), timeout)?;
        tokio::select! {
            changed = follower.changed() => changed?,
            _ = second.tick() => {}
            () = &mut stop => return Err(Error::Interrupted),
        }
    }
}

/// The end of patience, as an error.
fn late(
    report: &CanaryReport,
    stage: Stage,
    waited: Duration,
    limit: Duration,
) -> Result<(), Error> {
    let id = report.id();
    let status = format!(
        "kubectl canary status {} -n {}",
        report.metadata.name, report.metadata.namespace
    );
    if !limit.is_zero() && waited > limit {
        return Err(Error::Timeout {
            message: format!(
                "the release of {id} has not ended within {}",
                seconds(limit)
            ),
            hint: format!("it goes on; follow it: {status} --watch"),
        });
    }
    if stage == Stage::NotBegun && waited > BEGIN {
        let why = report
            .obstacle()
            .map_or(String::new(), |it| format!(": {}", it.message));
        return Err(Error::Timeout {
            message: format!(
                "no release of {id} has begun within {}{why}",
                seconds(BEGIN)
            ),
            hint: format!("the image is set; the primary may run it already, or see {status}"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, status};
    use serde_json::json;

    fn numbered(phase: &str, number: i64, outcome: Option<&str>) -> CanaryReport {
        let mut over = json!({"number": number});
        if let Some(outcome) = outcome {
            over["outcome"] = json!(outcome);
            over["endedAt"] = json!("2026-03-01T12:00:00Z");
        }
        report(&status(phase, 0, 0, &over))
    }

    #[test]
    fn the_release_that_is_waited_for_is_the_one_that_this_change_starts() {
        let at_rest = Expected::of(&numbered("Succeeded", 2, Some("Promoted")));
        let stage = |report: &CanaryReport| at_rest.stage(report, None);
        assert_eq!(
            stage(&numbered("Succeeded", 2, Some("Promoted"))),
            Stage::NotBegun
        );
        assert_eq!(stage(&numbered("Progressing", 3, None)), Stage::Running);
        assert_eq!(
            stage(&numbered("Failed", 3, Some("RolledBack"))),
            Stage::Over(3)
        );
        // Another one took its place.
        let replaced = numbered("Progressing", 4, None);
        assert_eq!(at_rest.stage(&replaced, Some(3)), Stage::Over(3));
    }

    #[test]
    fn setting_the_promoted_image_back_ends_with_the_release_that_it_aborts() {
        let running = Expected::of(&numbered("Progressing", 2, None));
        assert_eq!(
            running.stage(&numbered("Progressing", 2, None), None),
            Stage::NotBegun
        );
        assert_eq!(
            running.stage(&numbered("Failed", 2, Some("Aborted")), None),
            Stage::Over(2)
        );
        assert_eq!(
            running.stage(&numbered("Progressing", 3, None), None),
            Stage::Running
        );
    }

    #[test]
    fn patience_ends_once_for_the_begin_and_once_for_the_end() {
        let report = numbered("Progressing", 2, None);
        let code = |stage, waited: u64, limit: u64| {
            let (waited, limit) = (Duration::from_secs(waited), Duration::from_secs(limit));
            late(&report, stage, waited, limit)
                .err()
                .map(|error| error.code())
        };
        assert_eq!(code(Stage::NotBegun, 59, 0), None);
        assert_eq!(code(Stage::NotBegun, 61, 0), Some(3));
        assert_eq!(code(Stage::Running, 100_000, 0), None);
        assert_eq!(code(Stage::Running, 31, 30), Some(3));
    }
}
