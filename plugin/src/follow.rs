//! A Canary and its objects as they change, and what becomes of a release.

mod below;

use futures::StreamExt;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use kube::api::DynamicObject;
use kube::discovery::ApiResource;

use canary_core::canary::Canary;
use canary_core::status::Outcome;

use self::below::Found;
use crate::client::{self, Cluster, Guarded};
use crate::env::now;
use crate::exit::Error;
use crate::report::{self, CanaryReport, Extra, Observed, Role};

/// How long a status may come after the objects that it speaks of.
const TOGETHER: Duration = Duration::from_millis(100);

/// What became of the release that somebody follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Running,
    Promoted,
    /// Why, in one sentence.
    Failed(String),
    /// The number of the release that took its place, if it is known.
    Superseded(Option<i64>),
}

/// Follows one Canary by watches.
pub struct Follower {
    pub observed: Observed,
    changes: SelectAll<BoxStream<'static, Change>>,
    /// Where watches of ReplicaSets and Pods come from, if somebody wants them.
    below: Option<Cluster>,
    /// Deployments whose ReplicaSets and Pods are watched.
    followed: Vec<Role>,
}

/// An object beside the Canary.
#[derive(Clone, Copy)]
pub enum Part {
    Route,
    Primary,
    Target,
}

#[derive(PartialEq, Eq)]
enum Changed {
    Canary,
    Extra,
}

enum Change {
    Canary(Box<Result<Option<Guarded>, Error>>),
    Extra(Part, Option<Box<DynamicObject>>),
    Below(Role, Found),
}

// === impl Fate ===

/// What became of release `number`; without a number, of whatever ran last.
pub fn fate(report: &CanaryReport, number: Option<i64>) -> Fate {
    let Some(release) = &report.release else {
        return by_phase(report);
    };
    if let Some(number) = number
        && release.number != number
    {
        let record = report.history.iter().find(|record| record.number == number);
        return match record.map(|record| (record.outcome, &record.message)) {
            Some((Outcome::Superseded, _)) | None => Fate::Superseded(Some(release.number)),
            Some((outcome, message)) => by_outcome(outcome, message),
        };
    }
    match release.outcome {
        _ if report.running => Fate::Running,
        Some(outcome) => by_outcome(outcome, &release.message),
        None => by_phase(report),
    }
}

fn by_outcome(outcome: Outcome, message: &str) -> Fate {
    let because = |what: &str| {
        if message.is_empty() {
            what.to_owned()
        } else {
            format!("{what}: {message}")
        }
    };
    match outcome {
        Outcome::Promoted => Fate::Promoted,
        Outcome::RolledBack => Fate::Failed(because("rolled back")),
        Outcome::Aborted => Fate::Failed(because("aborted")),
        Outcome::PromotionFailed => Fate::Failed(because("the promotion failed")),
        Outcome::Superseded => Fate::Superseded(None),
    }
}

/// A controller that keeps no releases says it by the phase alone.
fn by_phase(report: &CanaryReport) -> Fate {
    use canary_core::status::Phase;
    match report.phase {
        Phase::Succeeded => Fate::Promoted,
        Phase::Failed => Fate::Failed("rolled back".to_owned()),
        _ => Fate::Running,
    }
}

// === impl Follower ===

impl Follower {
    /// Reads everything once, so that an error is said at once, and then watches.
    pub async fn start(cluster: &Cluster, namespace: &str, name: &str) -> Result<Self, Error> {
        let observed = observe(cluster, namespace, name).await?;
        let canary = cluster
            .watch_canary(namespace, name)
            .map(|canary| Change::Canary(Box::new(canary)))
            .boxed();
        let extras = parts(&observed.canary)
            .into_iter()
            .map(|(part, name, resource)| {
                cluster
                    .watch_extra(namespace, &name, &resource)
                    .map(move |object| Change::Extra(part, object.map(Box::new)))
                    .boxed()
            });
        Ok(Self {
            observed,
            changes: extras.chain([canary]).collect(),
            below: None,
            followed: Vec::new(),
        })
    }

    /// Follows ReplicaSets and Pods, too, also of Deployments that come into being later.
    pub async fn add_pods(&mut self, cluster: &Cluster) {
        self.observed.below = Box::pin(below::read(cluster, &self.observed)).await;
        self.below = Some(cluster.clone());
        self.follow_pods();
    }

    fn follow_pods(&mut self) {
        let Some(cluster) = &self.below else { return };
        for role in below::ROLES {
            if self.followed.contains(&role) {
                continue;
            }
            if let Some(selector) = below::selector(&self.observed, role) {
                let namespace = self.observed.canary.namespace_name();
                for found in below::watch(cluster, namespace, &selector) {
                    let changes = found.map(move |found| Change::Below(role, found));
                    self.changes.push(changes.boxed());
                }
                self.followed.push(role);
            }
        }
    }

    /// Waits for the next change and takes it in. A route that changes is soon followed by the
    /// status that says so: both are one change to whoever looks.
    pub async fn changed(&mut self) -> Result<(), Error> {
        if self.take_in().await? == Changed::Extra {
            let end = tokio::time::Instant::now() + TOGETHER;
            while let Ok(changed) = tokio::time::timeout_at(end, self.take_in()).await {
                if changed? == Changed::Canary {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn take_in(&mut self) -> Result<Changed, Error> {
        let id = self.observed.canary.id();
        match self.changes.next().await {
            Some(Change::Canary(canary)) => {
                let canary = (*canary)?.ok_or(Error::Deleted(id))?;
                self.observed.canary = report::by_names_in_force(client::read(canary)?);
                Ok(Changed::Canary)
            }
            Some(Change::Extra(part, object)) => {
                *self.observed.part(part) = object.map_or(Extra::Absent, Extra::Found);
                self.follow_pods();
                Ok(Changed::Extra)
            }
            Some(Change::Below(role, found)) => {
                self.observed.found(role, found);
                Ok(Changed::Extra)
            }
            None => Err(Error::Deleted(id)),
        }
    }
}

impl Observed {
    pub fn part(&mut self, part: Part) -> &mut Extra {
        match part {
            Part::Route => &mut self.route,
            Part::Primary => &mut self.primary,
            Part::Target => &mut self.target,
        }
    }

    fn found(&mut self, role: Role, found: Found) {
        let children = match role {
            Role::Primary => &mut self.below.primary,
            Role::Canary => &mut self.below.canary,
        };
        match found {
            Found::ReplicaSets(found) => children.replica_sets = found,
            Found::Pods(found) => children.pods = found,
        }
    }
}

/// A Canary and its objects, now.
pub async fn observe(cluster: &Cluster, namespace: &str, name: &str) -> Result<Observed, Error> {
    let canary = cluster.canary(namespace, name).await?;
    Ok(with_extras(cluster, canary).await)
}

/// The same, with the ReplicaSets and Pods of both Deployments.
pub async fn observe_pods(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Observed, Error> {
    let canary = cluster.canary(namespace, name).await?;
    Ok(with_pods(cluster, canary).await)
}

/// The same of a Canary that was read already.
pub async fn with_pods(cluster: &Cluster, canary: Canary) -> Observed {
    let mut observed = Box::pin(with_extras(cluster, canary)).await;
    observed.below = Box::pin(below::read(cluster, &observed)).await;
    observed
}

/// The Canary, and its objects as they are now.
pub async fn with_extras(cluster: &Cluster, canary: Canary) -> Observed {
    let namespace = canary.namespace_name().to_owned();
    let mut observed = Observed::alone(canary).by(now);
    let parts = parts(&observed.canary);
    let reads = parts.into_iter().map(|(part, name, resource)| {
        let namespace = &namespace;
        async move { (part, read_extra(cluster, namespace, &name, &resource).await) }
    });
    for (part, extra) in futures::future::join_all(reads).await {
        *observed.part(part) = extra;
    }
    observed
}

async fn read_extra(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    resource: &ApiResource,
) -> Extra {
    match cluster.find(Some(namespace), name, resource).await {
        Ok(Some(object)) => Extra::Found(Box::new(object)),
        Ok(None) => Extra::Absent,
        Err(error) => Extra::Unknown(error.to_string()),
    }
}

/// The objects around a Canary.
pub fn parts(canary: &Canary) -> Vec<(Part, String, ApiResource)> {
    let mut parts = Vec::new();
    if canary.spec.target_ref.kind == "Deployment" {
        parts.push((Part::Primary, canary.primary_name(), client::deployment()));
        parts.push((
            Part::Target,
            canary.target_name().to_owned(),
            client::deployment(),
        ));
    }
    if let Some((name, api_version)) = report::route_name(canary) {
        parts.push((Part::Route, name, client::apisix_route(&api_version)));
    }
    parts
}

#[cfg(test)]
mod tests;
