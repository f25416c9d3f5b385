//! `set image`: the change that starts a release, and the release to its end.
//!
//! ```text
//!  Deployment, its Canary ─► change (pure) ─► patch ─► watch until that release has ended
//! ```

use std::time::Duration;

use canary_core::canary::Canary;
use serde_json::{Value, json};

use super::status::{View, settle, verdict};
use crate::args::StatusArgs;
use crate::args::set::{NewImage, SetImageArgs};
use crate::client::{self, Cluster};
use crate::exit::{Error, code, seconds};
use crate::follow::{Fate, Follower, fate};
use crate::output::{Output, interrupted};
use crate::report::CanaryReport;

/// A controller that runs has begun by then.
const SILENCE: Duration = Duration::from_secs(5);
/// What has not begun by then was no release.
const BEGIN: Duration = Duration::from_secs(60);

pub async fn image(args: &SetImageArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let (namespace, name) = (cluster.namespace.as_str(), args.target.0.as_str());
    let found = cluster
        .look(Some(namespace), name, &client::deployment())
        .await?;
    let Some(live) = found else {
        return Err(Error::NoObject {
            message: format!("deployment {namespace}/{name} not found"),
            hint: format!("kubectl get deployments -n {namespace}"),
        });
    };
    let canary = canary_of(cluster, name).await?;
    let canary_name = canary.metadata.name.as_deref().unwrap_or_default();
    let Some(patch) = change(&live, &args.images)? else {
        output.print(&format!("deployment.apps/{name} unchanged\n"))?;
        return Ok(code::OK);
    };
    // Looked at before the change: the release that it starts has another number than the last one now.
    let mut follower = if args.wait {
        Some(Follower::start(cluster, namespace, canary_name).await?)
    } else {
        None
    };
    let hint = format!("kubectl canary can-i release {canary_name} -n {namespace}");
    for warning in cluster.patch_images(name, &patch, &hint).await? {
        anstream::eprintln!("Warning: {warning}");
    }
    output.print(&format!("deployment.apps/{name} image updated\n"))?;
    match &mut follower {
        Some(follower) => Box::pin(wait(follower, args, output)).await,
        None => Ok(code::OK),
    }
}

/// The Canary whose target it is; of several the older one acts.
async fn canary_of(cluster: &Cluster, target: &str) -> Result<Canary, Error> {
    let namespace = cluster.namespace.as_str();
    let all = cluster.canaries(Some(namespace)).await?;
    let releases = |canary: &Canary| {
        canary.spec.target_ref.kind == "Deployment" && canary.target_name() == target
    };
    let canaries = all.into_iter().filter_map(|guarded| guarded.0.ok());
    let oldest = canaries.filter(releases).min_by_key(|canary| {
        canary
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
    });
    oldest.ok_or_else(|| Error::NoObject {
        message: format!("no Canary releases deployment {namespace}/{target}"),
        hint: format!("kubectl canary init deployment/{target} -n {namespace}; without a release: kubectl set image"),
    })
}

/// The patch that gives containers their images; none if they have them.
fn change(live: &Value, images: &[NewImage]) -> Result<Option<Value>, Error> {
    let mut patch = json!({});
    let mut there = Vec::new();
    let mut known = vec![false; images.len()];
    let mut changed = false;
    for list in ["containers", "initContainers"] {
        let containers = live["spec"]["template"]["spec"][list].as_array();
        let mut entries = Vec::new();
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            there.push(name);
            for (index, new) in images.iter().enumerate() {
                if new.container != name && new.container != "*" {
                    continue;
                }
                known[index] = true;
                changed |= container["image"] != new.image.as_str();
                entries.push(json!({"name": name, "image": new.image}));
            }
        }
        if !entries.is_empty() {
            patch["spec"]["template"]["spec"][list] = Value::Array(entries);
        }
    }
    if let Some(unknown) = known.iter().position(|known| !known) {
        return Err(Error::Usage(format!(
            "deployment {} has no container {:?}: it has {}",
            live["metadata"]["name"].as_str().unwrap_or_default(),
            images[unknown].container,
            there.join(", ")
        )));
    }
    Ok(changed.then_some(patch))
}

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

async fn wait(follower: &mut Follower, args: &SetImageArgs, output: &Output) -> Result<u8, Error> {
    let shown = StatusArgs {
        name: None,
        all_namespaces: false,
        watch: true,
        output: None,
        revisions: None,
    };
    let expected = Expected::of(&follower.observed.report());
    let mut view = View::new(&shown, output);
    let mut begun = None;
    let start = tokio::time::Instant::now();
    let (mut silent, mut second) = (true, tokio::time::interval(Duration::from_secs(1)));
    let mut stop = std::pin::pin!(interrupted());
    let number = loop {
        let report = follower.observed.report();
        let stage = expected.stage(&report, begun);
        view.over = matches!(stage, Stage::Over(_));
        if stage != Stage::NotBegun {
            begun = begun.or(report.release.as_ref().map(|release| release.number));
            view.show(&report)?;
        }
        if let Stage::Over(number) = stage {
            break number;
        }
        if silent && stage == Stage::NotBegun && start.elapsed() > SILENCE {
            silent = false;
            anstream::eprintln!("no release has begun yet: is canary-webhook running?");
        }
        late(&report, stage, start.elapsed(), args.timeout)?;
        tokio::select! {
            changed = follower.changed() => changed?,
            _ = second.tick() => {}
            () = &mut stop => return Err(Error::Interrupted),
        }
    };
    settle(follower).await?;
    let report = follower.observed.report();
    view.show(&report)?;
    drop(view);
    verdict(&report, Some(number))
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
        return Err(Error::Timeout {
            message: format!("no release of {id} has begun within {}", seconds(BEGIN)),
            hint: format!("the image is set; the primary may run it already, or see {status}"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{report, status};

    fn live() -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {
            "containers": [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}],
            "initContainers": [{"name": "setup", "image": "setup:1"}],
        }}}})
    }

    fn patch(images: &[&str]) -> Result<Option<Value>, Error> {
        let images: Vec<NewImage> = images.iter().map(|it| it.parse().unwrap()).collect();
        change(&live(), &images).map(|patch| patch.map(|it| it["spec"]["template"]["spec"].clone()))
    }

    #[test]
    fn the_patch_is_kubectl_s() {
        assert_eq!(
            patch(&["app=app:2"]).unwrap(),
            Some(json!({"containers": [{"name": "app", "image": "app:2"}]}))
        );
        assert_eq!(
            patch(&["setup=setup:2", "proxy=proxy:2"]).unwrap(),
            Some(json!({
                "containers": [{"name": "proxy", "image": "proxy:2"}],
                "initContainers": [{"name": "setup", "image": "setup:2"}],
            }))
        );
        assert_eq!(
            patch(&["*=x:1"]).unwrap().unwrap()["containers"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn an_image_that_is_there_is_no_change_and_an_unknown_container_an_error() {
        assert_eq!(patch(&["app=app:1"]).unwrap(), None);
        let error = patch(&["app=app:2", "web=x:1"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "deployment web has no container \"web\": it has app, proxy, setup"
        );
    }

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
