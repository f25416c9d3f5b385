//! A port of the Services that changes: in which order Services and route follow, and for how long an old port
//! stays. The rules are in `target/ports.rs`.
//!
//! What is waited for is kept in memory: after a restart the wait begins anew, and nothing is taken away early.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use canary_core::release::Problem;
use canary_core::status::Phase;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cache::Key;
use crate::router::Router;
use crate::target::ports::{self, Keep};
use crate::target::service::{Side, ports as ports_of};
use crate::tick::{Context, phase};
use crate::world::{World, problem};

/// Since when something about a port of a Canary is so, and when somebody has to look again.
#[derive(Debug, Default)]
pub struct Waits(Mutex<HashMap<Key, Wait>>);

#[derive(Debug, Default)]
struct Wait {
    since: HashMap<String, Timestamp>,
    again: Option<Timestamp>,
}

// === impl Context ===

impl Context {
    /// A Service as it should be, with the ports that something still leads to. They go once the gateway has
    /// seen that nothing does.
    pub(super) fn with_ports_in_use(
        &self,
        world: &World,
        live: Option<&Value>,
        mut desired: Value,
    ) -> Value {
        let (Some(router), Some(live)) = (world.router, live) else {
            return desired;
        };
        let (wanted, live_ports) = (ports_of(&desired), ports_of(live));
        let service = desired["metadata"]["name"].as_str().unwrap_or_default();
        let source = router.source_ports(&world.canary, world.live());
        // People come by the number of the apex, and the generated route to the two sides.
        let apex = service == world.canary.apex();
        let generated = world.route_generated.as_deref();
        let generated = generated.and_then(|route| router.port(&world.canary, route));
        let led_by = if apex {
            source.clone()
        } else {
            generated.into_iter().collect()
        };
        let stays = if apex { Keep::First } else { Keep::Held };
        let keep = |old: &Value| {
            let what = format!("{service} without {} {}", old["port"], old["name"]);
            let as_it_is = |port: &Value| ports::is_same(port, old) && port["name"] == old["name"];
            if wanted.iter().any(as_it_is) || ports::is_needed(old, live_ports, wanted, &led_by) {
                self.waits.forget_one(&world.key(), &what);
                return stays;
            }
            if !self.waited(world, what) {
                return stays;
            }
            if ports::is_needed(old, live_ports, wanted, &source) {
                return Keep::Beside;
            }
            Keep::Gone
        };
        let kept = ports::with_kept(wanted, live_ports, keep);
        let primary = world.primary.as_deref();
        let pods = primary.filter(|_| service != world.canary.canary_service());
        let kept = ports::lead_on(kept, wanted, &pods.unwrap_or(&world.target).ports);
        desired["spec"]["ports"] = json!(kept);
        desired
    }

    /// The port that the generated route names now.
    pub(super) fn port_of_route(&self, world: &World, router: &dyn Router) -> Option<Value> {
        let spec = world.service(Side::Primary);
        let source = router.source_ports(&world.canary, world.live());
        let source = source.first();
        let wanted = source.and_then(|named| translated(world, &spec, named));
        let generated = world.route_generated.as_deref();
        let now = generated.and_then(|route| router.port(&world.canary, route));
        if now.is_none() {
            return wanted.or_else(|| source.cloned());
        }
        if wanted == now {
            self.waits.forget_all(&world.key(), "served ");
        }
        let is_served = |port: &Value| self.is_served(world, port);
        let live = self
            .caches
            .service(&world.namespace, &world.canary.primary_service());
        let live = live.as_deref().map(ports_of).unwrap_or_default();
        let all = (ports_of(&spec), live);
        ports::of_route(wanted.as_ref(), now.as_ref(), all, is_served)
    }

    /// Both generated Services have the port, their ready pods too, and the gateway has seen it.
    fn is_served(&self, world: &World, port: &Value) -> bool {
        let has = |side: Side| {
            let service = side.name(&world.canary);
            let live = self.caches.service(&world.namespace, &service);
            live.is_some_and(|live| {
                let found = ports::find(ports_of(&live), port);
                found.is_some_and(|found| {
                    let name = found["name"].as_str().unwrap_or_default();
                    self.caches.has_port(&world.namespace, &service, name)
                })
            })
        };
        let what = format!("served {port}");
        if !(has(Side::Primary) && has(Side::Canary)) {
            self.waits.forget_one(&world.key(), &what);
            return false;
        }
        self.waited(world, what)
    }

    /// Whether it has been so for as long as the gateway may take to see it. If not, somebody looks again then.
    fn waited(&self, world: &World, what: String) -> bool {
        let now = self.clock.now();
        let drain = SignedDuration::try_from(self.options.drain).unwrap_or(SignedDuration::MAX);
        self.waits.passed(&world.key(), what, now, drain)
    }
}

// === impl Waits ===

impl Waits {
    /// At the beginning of a look.
    pub fn begin(&self, canary: &Key) {
        if let Some(wait) = self.lock().get_mut(canary) {
            wait.again = None;
        }
    }

    /// When something that was waited for in this look has been so for long enough.
    pub fn again(&self, canary: &Key) -> Option<Timestamp> {
        self.lock().get(canary)?.again
    }

    pub fn forget(&self, canary: &Key) {
        self.lock().remove(canary);
    }

    pub(super) fn passed(
        &self,
        canary: &Key,
        what: String,
        now: Timestamp,
        long: SignedDuration,
    ) -> bool {
        let mut all = self.lock();
        let wait = all.entry(canary.clone()).or_default();
        let since = *wait.since.entry(what).or_insert(now);
        let due = since.saturating_add(long).unwrap_or(Timestamp::MAX);
        if due > now {
            wait.again = Some(wait.again.map_or(due, |again| again.min(due)));
        }
        due <= now
    }

    pub(super) fn forget_one(&self, canary: &Key, what: &str) {
        self.keep(canary, |it| it != what);
    }

    fn forget_all(&self, canary: &Key, prefix: &str) {
        self.keep(canary, |it| !it.starts_with(prefix));
    }

    fn keep(&self, canary: &Key, keep: impl Fn(&str) -> bool) {
        let mut all = self.lock();
        let Some(wait) = all.get_mut(canary) else {
            return;
        };
        wait.since.retain(|what, _| keep(what));
        if wait.since.is_empty() {
            all.remove(canary);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Wait>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's route names a port that the Services are not to have.
pub(super) fn port_problem(world: &World) -> Option<Problem> {
    let router = world.router?;
    let spec = world.service(Side::Primary);
    let source = router.source_ports(&world.canary, world.live());
    let named = source.first()?;
    if translated(world, &spec, named).is_some() {
        return None;
    }
    let (route, _) = router.names(&world.canary).ok()?;
    let generated = world.route_generated.as_deref();
    let now = generated.and_then(|route| router.port(&world.canary, route));
    let meanwhile = match now {
        Some(now) => format!("requests go on to port {} until then", shown(&now)),
        None => "nothing is routed until then".to_owned(),
    };
    let all: Vec<String> = ports_of(&spec)
        .iter()
        .map(|it| shown(&it["port"]))
        .collect();
    let text = format!(
        "ApisixRoute {route}.{} names port {} of Service {}, and by spec.service of the Canary there is {}: change one of the two; {meanwhile}",
        world.namespace,
        shown(named),
        world.canary.apex(),
        all.join(", "),
    );
    Some(problem("RoutePort", text))
}

/// The same, before anything is generated that rests on it.
pub(super) fn port_problem_of_adoption(world: &World) -> Option<Problem> {
    let adopted = !matches!(phase(&world.canary), Phase::New | Phase::Initializing);
    port_problem(world).filter(|_| !adopted)
}

fn translated(world: &World, spec: &Value, named: &Value) -> Option<Value> {
    let apex = world.apex.as_deref().map(ports_of).unwrap_or_default();
    ports::translated(named, ports_of(spec), apex)
}

fn shown(port: &Value) -> String {
    port.as_str()
        .map_or_else(|| port.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_waited_for_has_passed_when_it_was_so_for_long_enough_without_a_break() {
        let (waits, key) = (Waits::default(), Key::new("test", "podinfo"));
        let long = SignedDuration::from_secs(8);
        let passed = |what: &str, second| waits.passed(&key, what.to_owned(), at(second), long);
        assert!(!passed("a", 0) && !passed("b", 3));
        assert_eq!(waits.again(&key), Some(at(8)), "the first of them");
        waits.begin(&key);
        assert_eq!(waits.again(&key), None);
        assert!(passed("a", 8) && !passed("b", 8));
        assert_eq!(waits.again(&key), Some(at(11)));
        waits.forget_one(&key, "b");
        assert!(!passed("b", 11), "it begins anew");
        waits.forget(&key);
        assert_eq!(waits.again(&key), None);
    }
}
