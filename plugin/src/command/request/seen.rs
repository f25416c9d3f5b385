//! What has been seen of a request since it was written, and what there is to say when time is up.

use std::time::Duration;

use canary_core::canary::Canary;

use super::judge::{Step, judge, silence};
use super::{Asked, SILENCE};
use crate::client::{self, Cluster};
use crate::exit::{Error, seconds};
use crate::follow::with_pods;
use crate::render::detail::command;
use crate::report::Observed;

/// What has been seen of a request since it was written.
#[derive(Default)]
pub(super) struct Seen {
    pub answered: bool,
    /// The last sight of it; none before the first look.
    canary: Option<Canary>,
    /// What was told last of what is decided and not carried out.
    pending: Option<String>,
}

// === impl Seen ===

impl Seen {
    /// The sentence that says that it has happened, once it has.
    pub async fn take_in(
        &mut self,
        asked: &Asked,
        canary: Option<client::Guarded>,
        cluster: &Cluster,
    ) -> Result<Option<String>, Error> {
        let canary = client::read(canary.ok_or_else(|| Error::Deleted(asked.canary.id()))?)?;
        self.canary = Some(canary.clone());
        let id = asked.canary.id();
        match step(asked, &Observed::alone(canary))? {
            Step::Unanswered => {}
            Step::Happened(said) => return Ok(Some(said)),
            Step::Accepted(said) => {
                if !self.answered {
                    anstream::eprintln!("{id}: {said}");
                }
                self.answered = true;
                self.pending = None;
            }
            Step::Pending { .. } => {
                self.answered = true;
                if let Step::Pending { said, remedy } = self.look_around(asked, cluster).await? {
                    self.tell(&id, said, remedy);
                }
            }
        }
        Ok(None)
    }

    /// By all that `status` looks at: the Canary alone does not know why nobody can be sent back.
    async fn look_around(&self, asked: &Asked, cluster: &Cluster) -> Result<Step, Error> {
        step(asked, &self.around(asked, cluster).await)
    }

    /// An API server that takes its time must not keep anybody from the end of the command.
    async fn around(&self, asked: &Asked, cluster: &Cluster) -> Observed {
        let canary = self.canary.as_ref().unwrap_or(&asked.canary);
        let read = Box::pin(with_pods(cluster, canary.clone()));
        let read = tokio::time::timeout(SILENCE, read).await;
        read.unwrap_or_else(|_| Observed::alone(canary.clone()))
    }

    /// The same is not told twice.
    fn tell(&mut self, id: &str, said: String, remedy: Option<String>) {
        if self.pending.as_ref() == Some(&said) {
            return;
        }
        anstream::eprintln!("{id}: {said}");
        if let Some(remedy) = remedy {
            anstream::eprintln!("{id}: to mend it: {remedy}");
        }
        self.pending = Some(said);
    }

    /// The watch itself may have told nothing yet.
    pub fn why_silent(&self, asked: &Asked) -> String {
        silence(self.canary.as_ref().unwrap_or(&asked.canary))
    }

    /// What there is to say when time is up.
    pub async fn timed_out(&self, asked: &Asked, after: Duration, cluster: &Cluster) -> Error {
        let (id, verb) = (asked.canary.id(), asked.request.verb);
        let after = seconds(after);
        if !self.answered {
            return Error::Timeout {
                message: format!("the controller did not answer the {verb} of {id} within {after}"),
                hint: self.why_silent(asked),
            };
        }
        let observed = self.around(asked, cluster).await;
        let report = observed.report();
        let follow = format!("follow it: {} --watch", command("status", &report));
        let first = |text: String| format!("{text}. Then {follow}");
        if let Ok(Step::Pending { said, remedy }) = step(asked, &observed) {
            return Error::Undone {
                message: format!("{id}: {said}"),
                hint: remedy.map_or(follow.clone(), first),
            };
        }
        Error::Timeout {
            message: format!("{verb} of {id} was accepted, but has not happened within {after}"),
            hint: match report.remedy() {
                Some(remedy) => first(remedy),
                None => format!("it goes on as soon as it can; {follow}"),
            },
        }
    }
}

fn step(asked: &Asked, observed: &Observed) -> Result<Step, Error> {
    let status = asked.canary.status.as_ref();
    let before = status.and_then(|status| status.release.as_ref());
    judge(&asked.request, before.map(|it| it.number), observed)
}
