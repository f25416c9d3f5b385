//! `--purge`: as if it had never been there. The server reverts each Canary (make before break:
//! target ready, selector back, drain), as it does for `revertOnDeletion`; nothing of that is repeated here.

use serde_json::{Value, json};

use super::canaries::{self, Left};
use super::{Removal, rollout};
use crate::client::Cluster;
use crate::command::install::found;
use crate::exit::Error;
use crate::manifests;

// === impl Removal ===

impl Removal<'_> {
    /// Returns when they are gone, and what was generated for them.
    pub(super) async fn revert(&self, all: &[Left]) -> Result<(), Error> {
        for canary in all.iter().filter(|canary| !canary.is_deleted()) {
            let object = canary.object();
            self.cluster
                .merge(object, None, &canary.to_be_reverted())
                .await?;
            self.cluster.delete(object).await?;
        }
        let reverted = Reverted {
            cluster: self.cluster,
            all,
        };
        rollout::within(self.limit, reverted).await?;
        for canary in all {
            self.output
                .print(&format!("canary {canary} reverted and deleted\n"))?;
        }
        Ok(())
    }

    /// The definitions take every object of theirs along: none may be left that somebody needs.
    pub(super) async fn definitions(&self, namespace: &str) -> Result<(), Error> {
        if let Some(left) = canaries::all(self.cluster).await?.first() {
            return Err(Error::NothingToDo {
                message: format!("the CRDs stay: canary {left} was created meanwhile"),
                hint: Some("delete it, or stop what creates it, and run it again".to_owned()),
            });
        }
        self.all(&manifests::definitions()?).await?;
        self.namespace(namespace).await
    }

    async fn namespace(&self, namespace: &str) -> Result<(), Error> {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let live = self.cluster.current(&object).await?;
        if !live.is_some_and(|live| found::is_ours(&live)) {
            return Ok(());
        }
        if found::has_pods(self.cluster, namespace).await? {
            return self.output.print(&format!(
                "namespace/{namespace} stays: others have pods in it\n"
            ));
        }
        self.one(&object).await
    }
}

struct Reverted<'a> {
    cluster: &'a Cluster,
    all: &'a [Left],
}

impl rollout::Wait for Reverted<'_> {
    async fn look(&mut self) -> Result<rollout::Missing, Error> {
        for canary in self.all {
            if let Some(live) = self.cluster.current(canary.object()).await?
                && live["metadata"]["uid"] == canary.object()["metadata"]["uid"]
            {
                let phase = live["status"]["phase"].as_str().unwrap_or("New").to_owned();
                return Ok(Some(format!("canary {canary} is being reverted ({phase})")));
            }
            let primary = self.cluster.current(&canary.primary()).await?;
            if primary.is_some_and(|live: Value| canary.owns(&live)) {
                return Ok(Some(format!(
                    "what was generated for {canary} is being deleted"
                )));
            }
        }
        Ok(None)
    }

    async fn hint(&self) -> String {
        "its target must become ready; the server still runs, so run it again".to_owned()
    }
}
