//! The apex Service: ours where the Canary made it, and the user's own where somebody has one.
//!
//! ```text
//!  not there  ─┬─ it was the user's own ─► a moment for who replaces it ─► the same once more, and still theirs
//!              └─ else                  ─► made, and ours
//!  ours       ─── somebody applied it   ─► theirs from now on
//!  theirs     ─── taken over: it leads to the primary until it is given back
//! ```
//! What is theirs is never deleted with the Canary.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use canary_core::names;
use canary_core::selector;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tracing::info;

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::caches::Packed;
use crate::foreign;
use crate::others;
use crate::target::applied;
use crate::target::generated::{self, is_of};
use crate::target::service::{self, Side};
use crate::target::taken::{self, Wanted};
use crate::target::view::strings;
use crate::tick::ensure::{EnsureError, serving};
use crate::tick::{Context, phase};
use crate::world::{World, problem};

/// `kubectl replace --force`, and whoever deletes a Service to make it anew, creates it after a moment, and fails
/// where one of its name is there by then. Only where the generated route leads people past it.
const FOR_ITS_OWNER: SignedDuration = SignedDuration::from_secs(2);
const GONE: &str = "the user's own apex is gone";

/// The users' own apex Services, by Canary, as they were seen last. A server that starts anew knows of none.
#[derive(Debug, Default)]
pub struct OwnApexes(Mutex<HashMap<Key, OwnApex>>);

#[derive(Debug)]
struct OwnApex {
    version: String,
    object: Packed,
}

// === impl OwnApexes ===

impl OwnApexes {
    fn note(&self, canary: Key, apex: &Value) {
        let version = apex["metadata"]["resourceVersion"].as_str();
        let version = version.unwrap_or_default();
        let mut all = self.lock();
        if all
            .get(&canary)
            .is_none_or(|known| known.version != version)
        {
            let own = OwnApex {
                version: version.to_owned(),
                object: Packed::of(apex),
            };
            all.insert(canary, own);
        }
    }

    /// One of that name.
    fn of(&self, canary: &Key, name: &str) -> Option<Value> {
        let object = self.lock().get(canary)?.object.object();
        (object["metadata"]["name"] == name).then(|| Value::clone(&object))
    }

    pub fn forget(&self, canary: &Key) {
        self.lock().remove(canary);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, OwnApex>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Context ===

impl Context {
    /// None if the apex is ours, or is to be made.
    pub(super) async fn ensure_own_apex(
        &self,
        world: &World,
        live: Option<&Value>,
    ) -> Result<Option<bool>, EnsureError> {
        let Some(live) = live else {
            return self.make_own_apex_anew(world).await;
        };
        self.waits.forget_one(&world.key(), GONE);
        if !is_of(live, &world.canary) {
            return self.adopt_apex(world, live).await.map(Some);
        }
        self.own_apexes.forget(&world.key());
        let name = world.canary.apex();
        let server_side = self.caches.is_applied_server_side(&world.namespace, name);
        if !applied::is_claimed(live, &world.service(Side::Apex), server_side) {
            return Ok(None);
        }
        let desired = world.service_by_now(Side::Apex, Some(live));
        let desired = self.with_ports_in_use(world, Some(live), desired);
        let patch = taken::claim_patch(live, &world.canary, wanted(world, &desired));
        info!(
            canary = world.canary.id(),
            "Service {name} was made for the Canary, and somebody has applied it since: it is theirs from now on"
        );
        self.patch_apex(world, live, &patch).await.map(Some)
    }

    async fn adopt_apex(&self, world: &World, live: &Value) -> Result<bool, EnsureError> {
        let ours = taken::with_ports_of_ours(live, &world.service(Side::Apex));
        let desired = world.service_by_now(Side::Apex, Some(&ours));
        let desired = self.with_ports_in_use(world, Some(&ours), desired);
        if let Some(patch) = taken::takeover_patch(live, wanted(world, &desired)) {
            self.check_apex(live, world)?;
            return self.patch_apex(world, live, &patch).await;
        }
        if taken::is_taken_over(live) {
            self.own_apexes.note(world.key(), live);
        }
        Ok(false)
    }

    /// True if it changed anything.
    async fn patch_apex(
        &self,
        world: &World,
        live: &Value,
        patch: &Value,
    ) -> Result<bool, EnsureError> {
        let (kind, name) = (Kind::Service, world.canary.apex());
        let patched = self.cluster.merge(kind, &world.namespace, name, patch);
        Ok(self.took(kind, Some(live), patched.await?))
    }

    /// Somebody deleted it. None if it was not the user's own.
    async fn make_own_apex_anew(&self, world: &World) -> Result<Option<bool>, EnsureError> {
        let key = world.key();
        let Some(gone) = self.own_apexes.of(&key, world.canary.apex()) else {
            return Ok(None);
        };
        let routed = world.router.is_some() && world.route_generated.is_some();
        if routed && serving(phase(&world.canary)) {
            let (now, what) = (self.clock.now(), GONE.to_owned());
            if !self.waits.passed(&key, what, now, FOR_ITS_OWNER) {
                return Ok(Some(false));
            }
        }
        let anew = taken::anew(&gone, &world.canary);
        match self.cluster.create(Kind::Service, &anew).await {
            Ok(made) => self.set_free(world, &made).await.map(Some),
            // Its node port is somebody else's by now. One of ours is better than none.
            Err(ApiError::Rejected { .. }) => {
                self.own_apexes.forget(&key);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whatever is created has the mark, and this is not ours.
    async fn set_free(&self, world: &World, made: &Value) -> Result<bool, EnsureError> {
        self.caches.written(Kind::Service, made.clone());
        let patch = json!({ "metadata": generated::freed(made, &world.canary) });
        self.patch_apex(world, made, &patch).await
    }

    /// A Service of the user's can be pointed at the primary if it leads to pods, and to the target's alone.
    pub(super) fn check_apex(&self, apex: &Value, world: &World) -> Result<(), EnsureError> {
        let (name, namespace) = (world.canary.apex(), &world.namespace);
        let target = world.canary.target_name();
        let refused = |text: String| Err(EnsureError::Taken(problem("ServiceNotOurs", text)));
        if apex["spec"]["type"] == "ExternalName" {
            let leads_to = apex["spec"]["externalName"].as_str();
            return refused(format!(
                "Service {name}.{namespace} is of type ExternalName and leads to {}, not to pods: make it a ClusterIP Service that selects the pods of deployment {target}, or name another one in spec.service.name",
                leads_to.unwrap_or("a name"),
            ));
        }
        if selects_others(apex, world) {
            return refused(format!(
                "Service {name}.{namespace} selects other pods than deployment {target}: name another one in spec.service.name",
            ));
        }
        match self.sharing_apex(apex, world) {
            Some(text) => Err(EnsureError::Taken(problem("SharedSelector", text))),
            None => Ok(()),
        }
    }

    /// Whose pods an adoption would cut off beside the target's own. Those that the generated Services would find
    /// are judged with these.
    fn sharing_apex(&self, apex: &Value, world: &World) -> Option<String> {
        let canary = &world.canary;
        let judged = others::is_adoption(canary) && !canary.accepts_shared_selector();
        if !judged || taken::is_taken_over(apex) {
            return None;
        }
        let selected = strings(apex.pointer("/spec/selector"));
        let (target, primary) = (canary.target_name(), canary.primary_name());
        let sharing = self
            .caches
            .deployments
            .pick(&world.namespace, |name, found| {
                let cut_off = name != target
                    && name != primary
                    && found.replicas > 0
                    && !found.deleting
                    && selector::selects(&selected, &found.pod_labels)
                    && !foreign::finds(&world.selector, &found.pod_labels);
                cut_off.then(|| format!("deployment {name}"))
            });
        (!sharing.is_empty()).then(|| {
            format!(
                "Service {} selects by {}, and so leads to the pods of {} too, which get no requests of it once it leads to the primary: name another Service in spec.service.name, narrow its selector, or annotate the Canary {}=true",
                canary.apex(),
                selector::shown(&selected),
                sharing.join(", "),
                names::ALLOW_SHARED_SELECTOR,
            )
        })
    }
}

fn wanted<'a>(world: &'a World, desired: &'a Value) -> Wanted<'a> {
    Wanted {
        desired,
        selector: &world.selector,
        pods: &world.target.pod_labels,
    }
}

/// An apex Service that was never ours, and serves something else.
fn selects_others(apex: &Value, world: &World) -> bool {
    let selected = strings(apex.pointer("/spec/selector"));
    !taken::is_taken_over(apex)
        && !selector::selects(&selected, &world.target.pod_labels)
        && !service::leads_to_primary(apex, &world.selector)
}

/// By a hand, as the world was found.
pub(super) fn was_pointed_elsewhere(world: &World) -> bool {
    let apex = world.apex.as_deref();
    apex.is_some_and(|apex| service::was_pointed_elsewhere(apex, &world.selector, &world.canary))
}
