//! Post-rollout hooks are told the end of a release once status has it. Their answers decide nothing, and nobody
//! waits for them: what they said is told by a later look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use canary_core::canary::Canary;
use canary_core::hook::{HookKind, Payload};
use canary_core::message::Message;
use canary_core::release::Ended;

use crate::cache::Key;
use crate::hook::{Backoff, HookError, Outgoing, call};
use crate::tick::{Context, TickError};

/// Ends of one Canary's releases that hooks have not taken note of; more are not told.
const MOST: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct Farewells(Arc<Mutex<HashMap<Key, Farewell>>>);

#[derive(Debug, Default)]
struct Farewell {
    under_way: usize,
    said: Vec<Message>,
}

// === impl Farewells ===

impl Farewells {
    /// False if too many are under way.
    fn begin(&self, key: &Key) -> bool {
        let mut all = self.all();
        let farewell = all.entry(key.clone()).or_default();
        let room = farewell.under_way < MOST;
        farewell.under_way += usize::from(room);
        room
    }

    fn end(&self, key: &Key, said: Vec<Message>) {
        // Nobody listens where the Canary is gone.
        if let Some(farewell) = self.all().get_mut(key) {
            farewell.under_way = farewell.under_way.saturating_sub(1);
            farewell.said.extend(said);
        }
    }

    fn take(&self, key: &Key) -> Vec<Message> {
        let mut all = self.all();
        let Some(farewell) = all.get_mut(key) else {
            return Vec::new();
        };
        let said = std::mem::take(&mut farewell.said);
        if farewell.under_way == 0 {
            all.remove(key);
        }
        said
    }

    pub fn forget(&self, key: &Key) {
        self.all().remove(key);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Farewell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Context ===

impl Context {
    /// Calls the hooks one after the other, up to the first that does not answer with success.
    pub(super) fn tell_the_end(&self, key: &Key, ended: Ended) {
        let Some(canary) = self.as_decided(key) else {
            return;
        };
        let calls: Vec<(String, Result<Outgoing, HookError>)> = canary
            .hooks(HookKind::PostRollout)
            .map(|(_, hook)| {
                let outgoing = Outgoing::new(hook, &Payload::new(&canary, hook, ended.phase));
                let within = outgoing.map(|outgoing| outgoing.within(self.longest_hook));
                (hook.name.clone(), within)
            })
            .collect();
        if calls.is_empty() {
            return;
        }
        if !self.farewells.begin(key) {
            tracing::error!(canary = %key, "post-rollout hooks are not told of this end: they have not answered for {MOST} before");
            return;
        }
        let (farewells, key) = (self.farewells.clone(), key.clone());
        let (turn, transport) = (
            self.questions.turn_of_the_told(&key),
            self.transport.clone(),
        );
        let worker = self.caches.worker(&key);
        tokio::spawn(async move {
            // It ends with the process.
            let _turn = turn.acquire_owned().await;
            let mut said = Vec::new();
            for (hook, outgoing) in calls {
                let answer = match outgoing {
                    Ok(outgoing) => call(&transport, &outgoing, Backoff::default()).await,
                    Err(error) => Err(error),
                };
                let failed = answer.is_err();
                said.push(match answer {
                    Ok(()) => Message::PostRolloutPassed(hook),
                    Err(error) => Message::PostRolloutFailed {
                        hook,
                        error: error.to_string(),
                    },
                });
                if failed {
                    break;
                }
            }
            farewells.end(&key, said);
            worker.notify_one();
        });
    }

    /// What they said meanwhile. True if there was something.
    pub(super) async fn say_farewells(
        &self,
        key: &Key,
        canary: &Canary,
    ) -> Result<bool, TickError> {
        let said = self.farewells.take(key);
        let mut status = canary.status.clone().unwrap_or_default();
        for message in &said {
            self.say(canary, message, &mut status).await?;
        }
        if !said.is_empty() {
            self.store_status(canary, &status).await?;
        }
        Ok(!said.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hooks_said_is_told_once_and_so_many_ends_wait_for_them() {
        let (farewells, key) = (Farewells::default(), Key::new("test", "podinfo"));
        let begun: Vec<bool> = (0..=MOST).map(|_| farewells.begin(&key)).collect();
        assert_eq!(begun.iter().filter(|begun| **begun).count(), MOST);
        assert!(farewells.take(&key).is_empty());
        farewells.end(&key, vec![Message::PostRolloutPassed("slack".to_owned())]);
        assert!(farewells.begin(&key), "one has ended");
        assert_eq!(farewells.take(&key).len(), 1);
        assert!(farewells.take(&key).is_empty());
    }
}
