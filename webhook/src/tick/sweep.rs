//! What was generated and nobody asks for any more: a route, a Service, an autoscaler, a primary or a copy of
//! configuration whose name no spec of today leads to. It is told by its mark, never by its name.
//!
//! ```text
//!  its route to 100/0 ─► deleted ─► the gateway has let go of it ─► Services ─► primaries
//!  autoscalers, as soon as the new one is there             copies of configuration, at rest
//! ```

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use canary_core::names;
use canary_core::release::Routes;
use canary_core::status::Phase;
use serde_json::{Value, json};

use crate::api::Kind;
use crate::cache::Key;
use crate::target::generated::{is_generated, uid};
use crate::target::service::Side;
use crate::tick::{Context, TickError, marks, phase};
use crate::world::World;

/// How long a gateway may take to let go of a route that is deleted, beside the drain.
const GATEWAY_LAG: Duration = Duration::from_secs(10);

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    Nothing,
    Wrote,
    /// What is left must not go yet.
    Wait(Duration),
}

/// What the last sweep that found nothing rested on: until it changes, nobody looks again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    /// Names that lead to what is generated: of the target, the apex Service, and the route.
    names: [Option<String>; 3],
    autoscaler: Option<String>,
    promoted: Option<String>,
    at_rest: bool,
}

#[derive(Debug, Default)]
pub struct Sweeps {
    clean: Mutex<HashMap<Key, Basis>>,
    /// Since when no route leads to what is left.
    routeless: Mutex<HashMap<Key, Duration>>,
}

// === impl Sweeps ===

impl Sweeps {
    fn is_clean(&self, key: &Key, basis: &Basis) -> bool {
        let clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        clean.get(key) == Some(basis)
    }

    fn cleaned(&self, key: &Key, basis: Basis) {
        let mut clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        clean.insert(key.clone(), basis);
        let mut since = self
            .routeless
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.remove(key);
    }

    /// How long no route has led to what is left.
    fn routeless_for(&self, key: &Key, now: Duration) -> Duration {
        let mut since = self
            .routeless
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        now.saturating_sub(*since.entry(key.clone()).or_insert(now))
    }

    pub fn forget(&self, key: &Key) {
        let mut clean = self.clean.lock().unwrap_or_else(PoisonError::into_inner);
        clean.remove(key);
        let mut since = self
            .routeless
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.remove(key);
    }
}

// === impl Context ===

impl Context {
    /// To be called when all that should be there is.
    pub(super) async fn sweep(&self, world: &World) -> Result<Swept, TickError> {
        let (key, basis) = (world.key(), basis(world));
        if self.sweeps.is_clean(&key, &basis) {
            return Ok(Swept::Nothing);
        }
        if self.sweep_routes(world).await? || self.sweep_autoscalers(world).await? {
            return Ok(Swept::Wrote);
        }
        if !basis.at_rest {
            self.sweeps.cleaned(&key, basis);
            return Ok(Swept::Nothing);
        }
        let left = self.stale_services(world);
        if !left.is_empty() {
            let waited = self.sweeps.routeless_for(&key, self.clock.elapsed());
            let wait = (self.options.drain + GATEWAY_LAG).saturating_sub(waited);
            if world.router.is_some() && !wait.is_zero() {
                return Ok(Swept::Wait(wait));
            }
            for service in left {
                self.delete_generated(&world.canary, Kind::Service, &service)
                    .await?;
            }
            return Ok(Swept::Wrote);
        }
        if self.sweep_workloads(world).await? || self.sweep_configs(world).await? {
            return Ok(Swept::Wrote);
        }
        self.sweeps.cleaned(&key, basis);
        Ok(Swept::Nothing)
    }

    /// The one of today is there, or none is asked for. Nobody is sent to the canary by another.
    async fn sweep_routes(&self, world: &World) -> Result<bool, TickError> {
        let today = world
            .canary
            .canary_route()
            .filter(|_| world.router.is_some());
        if today.is_some() && world.route_generated.is_none() {
            return Ok(false);
        }
        let mut wrote = false;
        for route in self
            .caches
            .generated_routes(&world.namespace, uid(&world.canary))
        {
            if named(&route) == today.as_deref() {
                continue;
            }
            if let Some(home) = sent_home(&route) {
                let stored = self.cluster.replace(Kind::Route, &home).await?;
                self.caches.written(Kind::Route, stored);
                return Ok(true);
            }
            self.delete_generated(&world.canary, Kind::Route, &route)
                .await?;
            wrote = true;
        }
        Ok(wrote)
    }

    async fn sweep_autoscalers(&self, world: &World) -> Result<bool, TickError> {
        let canary = &world.canary;
        if !world.ambiguous_autoscalers.is_empty() {
            return Ok(false);
        }
        let today = world
            .autoscaler
            .as_deref()
            .and_then(named)
            .map(names::primary_of);
        let all = self
            .caches
            .autoscalers_of(&world.namespace, &canary.primary_name());
        let mut wrote = false;
        for copy in all {
            if is_generated(&copy, canary) && named(&copy) != today.as_deref() {
                self.delete_generated(canary, Kind::Autoscaler, &copy)
                    .await?;
                wrote = true;
            }
        }
        Ok(wrote)
    }

    fn stale_services(&self, world: &World) -> Vec<Value> {
        let canary = &world.canary;
        let today = [Side::Apex, Side::Primary, Side::Canary].map(|side| side.name(canary));
        let all = self
            .caches
            .generated_services(&world.namespace, uid(canary));
        let stale = all.into_iter().filter(|service| {
            named(service).is_some_and(|name| !today.iter().any(|it| it == name))
        });
        stale.map(|service| Value::clone(&service)).collect()
    }

    /// Primaries of targets that the spec does not name any more, and the marks on these targets.
    async fn sweep_workloads(&self, world: &World) -> Result<bool, TickError> {
        let (canary, namespace) = (&world.canary, &world.namespace);
        let primary = canary.primary_name();
        let stale = self.caches.deployments.pick(namespace, |name, found| {
            let marked = is_generated(&found.ownership, canary);
            (marked && name != primary).then(|| (name.to_owned(), found.clone()))
        });
        let mut wrote = false;
        for (name, found) in stale {
            let mut object = found.ownership.clone();
            object["metadata"]["name"] = json!(name);
            object["metadata"]["uid"] = json!(found.uid);
            object["metadata"]["resourceVersion"] = json!(found.resource_version);
            self.delete_generated(canary, Kind::Deployment, &object)
                .await?;
            if let Some(target) = name.strip_suffix(names::PRIMARY_SUFFIX) {
                self.let_go(world, target).await?;
            }
            wrote = true;
        }
        Ok(wrote)
    }

    /// A target that is released no more is its owner's alone.
    async fn let_go(&self, world: &World, name: &str) -> Result<(), TickError> {
        let namespace = &world.namespace;
        let Some(target) = self.caches.deployments.get(namespace, name) else {
            return Ok(());
        };
        let canaries = self.caches.canaries.in_namespace(namespace);
        if !target.managed || canaries.iter().any(|canary| canary.target_name() == name) {
            return Ok(());
        }
        let patch = marks::none(Some(&target.resource_version));
        let stored = self
            .cluster
            .merge(Kind::Deployment, namespace, name, &patch)
            .await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// Copies that the primary does not refer to: the next promotion makes those that it needs.
    async fn sweep_configs(&self, world: &World) -> Result<bool, TickError> {
        let canary = &world.canary;
        let Some(primary) = &world.primary else {
            return Ok(false);
        };
        let used: BTreeSet<(Kind, String)> = primary
            .configs
            .iter()
            .map(|config| (config.kind(), config.name.clone()))
            .collect();
        let mut wrote = false;
        for kind in [Kind::ConfigMap, Kind::Secret] {
            for (name, meta) in self
                .caches
                .generated_configs(kind, &world.namespace, uid(canary))
            {
                let alone = meta.canaries.len() == 1;
                if !alone
                    || !name.ends_with(names::PRIMARY_SUFFIX)
                    || used.contains(&(kind, name.clone()))
                {
                    continue;
                }
                let object = json!({ "metadata": {
                    "name": name,
                    "uid": meta.uid,
                    "resourceVersion": meta.resource_version,
                    "labels": { names::GENERATED: uid(canary) },
                    "ownerReferences": [{ "kind": "Canary", "uid": uid(canary) }],
                } });
                self.delete_generated(canary, kind, &object).await?;
                wrote = true;
            }
        }
        Ok(wrote)
    }
}

fn basis(world: &World) -> Basis {
    let status = world.canary.status.as_ref();
    let at_rest = matches!(
        phase(&world.canary),
        Phase::Initialized | Phase::Succeeded | Phase::Failed
    );
    let recovering = status
        .and_then(|status| status.release.as_ref())
        .is_some_and(|release| release.recovering);
    Basis {
        names: [
            Some(world.canary.target_name().to_owned()),
            Some(world.canary.apex().to_owned()),
            world
                .canary
                .canary_route()
                .filter(|_| world.router.is_some()),
        ],
        autoscaler: world
            .autoscaler
            .as_deref()
            .and_then(named)
            .map(str::to_owned),
        promoted: world.primary.as_ref().and_then(|it| it.promoted.clone()),
        at_rest: at_rest && !recovering,
    }
}

fn named(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

/// A generated route that sends anybody to a canary, with everybody on its primary. Its Services may have
/// other names than those of today.
fn sent_home(route: &Value) -> Option<Value> {
    let mut home = route.clone();
    home["apiVersion"] = json!("apisix.apache.org/v2");
    home["kind"] = json!("ApisixRoute");
    let mut strays = false;
    let rules = home.pointer_mut("/spec/http")?.as_array_mut()?;
    let backends = rules
        .iter_mut()
        .filter_map(|rule| rule["backends"].as_array_mut())
        .flatten();
    for backend in backends {
        let service = backend["serviceName"].as_str().unwrap_or_default();
        let weight = if service.ends_with(names::CANARY_SUFFIX) {
            Routes::ALL_PRIMARY.canary
        } else {
            Routes::ALL_PRIMARY.primary
        };
        strays |= backend["weight"] != json!(weight);
        backend["weight"] = json!(weight);
    }
    strays.then_some(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(primary: i64, canary: i64) -> Value {
        json!({ "metadata": { "name": "web-web-canary" }, "spec": { "http": [{ "backends": [
            { "serviceName": "web-primary", "weight": primary },
            { "serviceName": "web-canary", "weight": canary },
        ] }] } })
    }

    #[test]
    fn a_route_that_nobody_asks_for_sends_everybody_home_before_it_goes() {
        let home = sent_home(&route(60, 40)).unwrap();
        assert_eq!(home["spec"], route(100, 0)["spec"]);
        assert_eq!(sent_home(&home), None, "it would be written for ever");
    }

    #[test]
    fn what_is_clean_is_looked_at_again_when_what_it_rested_on_changes() {
        let (sweeps, key) = (Sweeps::default(), Key::new("test", "web"));
        let basis = Basis {
            names: [Some("web".to_owned()), Some("web".to_owned()), None],
            autoscaler: Some("web".to_owned()),
            promoted: None,
            at_rest: true,
        };
        assert!(!sweeps.is_clean(&key, &basis));
        sweeps.cleaned(&key, basis.clone());
        assert!(sweeps.is_clean(&key, &basis));
        for other in [
            Basis {
                names: [None, None, None],
                ..basis.clone()
            },
            Basis {
                autoscaler: None,
                ..basis.clone()
            },
            Basis {
                at_rest: false,
                ..basis.clone()
            },
            Basis {
                promoted: Some("v1-1".to_owned()),
                ..basis
            },
        ] {
            assert!(!sweeps.is_clean(&key, &other));
        }
    }

    #[test]
    fn services_wait_until_the_gateway_has_let_go_of_their_route() {
        let (sweeps, key) = (Sweeps::default(), Key::new("test", "web"));
        let at = Duration::from_secs;
        assert_eq!(sweeps.routeless_for(&key, at(5)), at(0));
        assert_eq!(sweeps.routeless_for(&key, at(9)), at(4));
        sweeps.forget(&key);
        assert_eq!(sweeps.routeless_for(&key, at(20)), at(0));
    }
}
