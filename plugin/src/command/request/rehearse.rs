//! What would be asked, without asking for it.

use super::judge::{self, Considered};
use super::{Wish, annotations, considered, request, stored};
use crate::args::verbs::DryRun;
use crate::client::Cluster;
use crate::env::now;
use crate::exit::Error;
use crate::report::Observed;

/// The sentence that says so. With `server`, admission and policies answer the same write.
pub(super) async fn rehearse(
    wish: &Wish<'_>,
    cluster: &Cluster,
    dry_run: DryRun,
) -> Result<String, Error> {
    let canary = cluster.canary(wish.namespace, wish.name).await?;
    let report = Observed::alone(canary.clone()).by(now).report();
    let revision = match considered(wish, &report)? {
        Considered::Revision(revision) => revision,
        Considered::Already(said) => return Ok(said),
        Considered::Nothing(error) => return Err(error),
    };
    if dry_run == DryRun::Server {
        let request = request(wish.ask, revision, &canary)?;
        let annotations = annotations(&request, wish.reason);
        let written = cluster.annotate_or_not(&canary, annotations, true).await;
        stored(&request, &written.map_err(|error| error.of(&canary.id()))?)?;
    }
    let would = judge::would(wish.ask, &report);
    Ok(format!("{would}{}", dry_run.suffix()))
}
