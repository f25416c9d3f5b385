//! A page on 127.0.0.1 that shows releases and steers them.
//!
//! ```text
//!  API server ── one watch on Canaries ─► feed ─┬─► list   ─┐
//!             ── of the shown one: route,       │           ├─ server-sent events ─► page
//!                Deployments, Events ───────────┴─► shown  ─┘
//!             ◄─ annotation ── command::request ◄── server ◄─ POST ──────────────────┘
//!                                                     └─ session: Host, Origin, token, cookie
//! ```
//!
//! `row`, `detail` and `seen` are pure: data to data. The page (`plugin/page`) shows what they say
//! and decides nothing.

pub mod detail;
pub mod feed;
mod page;
pub mod row;
pub mod seen;
pub mod server;
pub mod session;
mod shown;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use canary_core::request::Verb;

use self::feed::Feed;
use self::session::Session;
use crate::client::Cluster;
use crate::command::request::{self, Wish};
use crate::exit::Error;

/// What every request to the page needs.
pub struct Dashboard {
    pub session: Session,
    pub feed: Feed,
    pub cluster: Cluster,
    /// None: all namespaces.
    pub namespace: Option<String>,
    pub read_only: bool,
    /// Wishes whose outcome is not known yet.
    asked: Mutex<JoinSet<()>>,
}

// === impl Dashboard ===

impl Dashboard {
    pub fn new(
        session: Session,
        cluster: Cluster,
        namespace: Option<String>,
        read_only: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            session,
            feed: Feed::default(),
            cluster,
            namespace,
            read_only,
            asked: Mutex::default(),
        })
    }

    /// Whether Canaries of that namespace are on this dashboard.
    pub fn shows(&self, namespace: &str) -> bool {
        let only = self.namespace.as_deref();
        only.is_none_or(|only| only == namespace)
    }

    /// Does what the verb of the command line does. A page that is closed meanwhile does not take the
    /// wish back.
    async fn carry_out(
        &self,
        verb: Verb,
        namespace: String,
        name: String,
        (reason, looked_at): (Option<String>, String),
    ) -> Result<String, Error> {
        let cluster = self.cluster.clone();
        let (tell, told) = oneshot::channel();
        self.asked().spawn(async move {
            let wish = Wish {
                ask: verb.into(),
                namespace: &namespace,
                name: &name,
                reason: reason.as_deref(),
                timeout: None,
                expect: None,
                looked_at: Some(&looked_at),
            };
            let outcome = request::perform(&wish, &cluster).await;
            // Nobody may be there any more to hear it.
            let _ = tell.send(outcome);
        });
        told.await.unwrap_or(Err(Error::Interrupted))
    }

    /// Waits until nothing is asked any more: a wish that nobody has answered is withdrawn, as
    /// Ctrl-C reaches it too.
    pub async fn finish(&self) {
        let mut asked = std::mem::take(&mut *self.asked());
        while asked.join_next().await.is_some() {}
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        while asked.try_join_next().is_some() {}
        asked
    }
}
