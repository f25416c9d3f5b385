//! Workloads whose pods the generated Services would select: looked for before the first adoption, told of for
//! as long as there are some.

use canary_core::message::Message;
use canary_core::names;
use canary_core::release::{Action, Plan, Problem, conditions};
use canary_core::selector::shown;
use canary_core::status::Phase;
use kube::api::ListParams;
use serde_json::Value;

use crate::api::{ApiError, Kind};
use crate::foreign::{self, Foreign, Verdict};
use crate::target::pods;
use crate::target::view::strings;
use crate::tick::ensure::serving;
use crate::tick::{Context, TickError, noted, phase};
use crate::world::{World, problem};

/// Not watched: they are listed once, when a Canary is adopted.
const LISTED: [(Kind, &str); 2] = [
    (Kind::StatefulSet, "statefulset"),
    (Kind::DaemonSet, "daemonset"),
];

/// What was found before an adoption.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub held: Option<Problem>,
    /// Said once it is adopted.
    pub warnings: Vec<String>,
}

// === impl Context ===

impl Context {
    /// Nothing of it is asked for a Canary that was adopted before.
    pub(super) async fn foreign(&self, world: &World) -> Result<Found, TickError> {
        let canary = &world.canary;
        // What is held anyway is looked at again and again: nobody is asked for that.
        let judged =
            foreign::is_first_adoption(canary) && !canary.suspended() && world.problems.is_empty();
        if !judged || canary.accepts_shared_selector() {
            return Ok(Found::default());
        }
        let mut found = Found::default();
        let mut all = foreign::deployments(canary, &world.selector, &self.caches);
        for (kind, name) in LISTED {
            match self.listed(world, kind, name).await? {
                Ok(listed) => all.extend(listed),
                Err(unread) => found.warnings.push(unread),
            }
        }
        let Verdict { held, warned } =
            foreign::judge(canary, &world.selector, &world.target, &all, &self.caches);
        found.held = held.map(|text| problem("SharedSelector", text));
        found.warnings.extend(warned);
        if found.held.is_none() {
            // What ends by itself is no reason to wait.
            match self.listed(world, Kind::Job, "job").await? {
                Ok(jobs) => {
                    let jobs: Vec<&Foreign> = jobs.iter().collect();
                    let told = foreign::sentence(canary, &world.selector, &jobs);
                    found.warnings.extend(told);
                }
                Err(unread) => found.warnings.push(unread),
            }
        }
        Ok(found)
    }

    /// Those of a kind whose pods the Services would select, or why nobody can tell.
    async fn listed(
        &self,
        world: &World,
        kind: Kind,
        name: &str,
    ) -> Result<Result<Vec<Foreign>, String>, TickError> {
        let listed = self
            .cluster
            .list(kind, &world.namespace, &ListParams::default())
            .await;
        let objects = match listed {
            Ok(objects) => objects,
            Err(error @ ApiError::Forbidden { .. }) => {
                let text = format!(
                    "whether the Services of {} select the pods of a {name} is not known: {error}",
                    world.canary.target_name()
                );
                return Ok(Err(text));
            }
            Err(error) => return Err(error.into()),
        };
        let of = |object: &Value| {
            let pods = strings(object.pointer("/spec/template/metadata/labels"));
            let named = object["metadata"]["name"].as_str().unwrap_or_default();
            let ended = object["metadata"]["deletionTimestamp"].is_string()
                || object["status"]["completionTime"].is_string();
            (!ended && foreign::finds(&world.selector, &pods)).then(|| Foreign {
                workload: format!("{name} {named}"),
                pods,
                canary: None,
            })
        };
        Ok(Ok(objects.iter().filter_map(of).collect()))
    }

    /// Says what was found, once the Canary is adopted, and keeps the condition.
    pub(super) fn note_selector(&self, world: &World, warnings: Vec<String>, plan: &mut Plan) {
        if let Some(text) = of_fewer_labels(world)
            && plan.actions.iter().any(is_takeover)
        {
            plan.actions.push(Action::Say(Message::Problem(text)));
        }
        let shared = self.shared(world);
        if phase(&world.canary) == Phase::New && plan.status.phase != Phase::New {
            let in_condition = shared.as_ref().map(|(_, text)| text.as_str());
            let others = warnings.into_iter();
            let others = others.filter(|text| Some(text.as_str()) != in_condition);
            let says = others.map(|text| Action::Say(Message::Problem(text)));
            plan.actions.extend(says);
        }
        let (reason, text) = shared.unzip();
        let condition = (conditions::SELECTOR, reason.unwrap_or_default());
        noted::keep(plan, condition, text.as_deref(), self.clock.now());
    }

    /// What is wrong with what the Services select now, if anything is.
    fn shared(&self, world: &World) -> Option<(&'static str, String)> {
        let canary = &world.canary;
        let selector = &world.selector;
        if canary.accepts_shared_selector() {
            return None;
        }
        let all = foreign::deployments(canary, selector, &self.caches);
        let all: Vec<&Foreign> = all.iter().collect();
        let told = foreign::sentence(canary, selector, &all);
        if let Some(text) = told.or_else(|| self.strangers(world)) {
            return Some(("ForeignPods", text));
        }
        (*selector.serving() != selector.all()).then(|| {
            let text = format!(
                "deployment {} selects its pods by {} alone, which cannot be changed, and not all of them have {}: its Services select by no more until they do",
                canary.primary_name(),
                shown(selector.primary()),
                shown(&selector.all()),
            );
            ("FewerLabels", text)
        })
    }

    /// Pods of stateful sets, jobs and of nobody, which no template tells of: they are seen behind the Services.
    fn strangers(&self, world: &World) -> Option<String> {
        let canary = &world.canary;
        // A primary that is being replaced has another name.
        if !serving(phase(canary)) || world.is_retargeted() {
            return None;
        }
        let primary = canary.primary_name();
        let sides = [
            (canary.primary_service(), primary.as_str()),
            (canary.canary_service(), canary.target_name()),
        ];
        let found = sides.iter().filter_map(|(service, deployment)| {
            let owners = self.caches.owners_behind(&world.namespace, service);
            let strangers: Vec<&str> = owners
                .iter()
                .filter(|owner| !pods::is_of(owner, deployment))
                .map(|owner| &**owner)
                .collect();
            (!strangers.is_empty()).then(|| {
                format!(
                    "behind Service {service} are pods that are not of deployment {deployment}: {}",
                    few(&strangers)
                )
            })
        });
        let found: Vec<String> = found.collect();
        (!found.is_empty()).then(|| {
            format!(
                "{}: give them a label that tells them apart and that Deployment {} selects by, or annotate the Canary {}=true",
                found.join("; "),
                canary.target_name(),
                names::ALLOW_SHARED_SELECTOR,
            )
        })
    }
}

/// More are not named one by one: pods come and go.
fn few(names: &[&str]) -> String {
    const NAMED: usize = 3;
    let more = if names.len() > NAMED { ", …" } else { "" };
    let first = names.get(..NAMED.min(names.len())).unwrap_or_default();
    format!("{}{more}", first.join(", "))
}

/// Flagger left the Canary, and this plan takes it over.
fn is_takeover(action: &Action) -> bool {
    matches!(action, Action::Rebaseline { from, .. } if from.is_empty())
}

/// What the Deployment of a primary would have to select by, if it could be changed.
fn of_fewer_labels(world: &World) -> Option<String> {
    let selector = &world.selector;
    (*selector.primary() != selector.all()).then(|| {
        format!(
            "deployment {} was made by Flagger and selects its pods by {} alone, which cannot be changed: its Services select by {} as soon as all its pods have these labels",
            world.canary.primary_name(),
            shown(selector.primary()),
            shown(&selector.all()),
        )
    })
}
