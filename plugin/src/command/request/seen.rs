//! What has been seen of a request since it was written, and what there is to say when time is up.

use std::time::Duration;

use canary_core::canary::Canary;

use super::Asked;
use super::judge::{Step, judge, silence};
use crate::client;
use crate::exit::{Error, seconds};

/// What has been seen of a request since it was written.
#[derive(Default)]
pub(super) struct Seen {
    pub answered: bool,
    /// What is decided and not carried out, and why.
    pending: Option<String>,
    /// Why nobody may have answered; none before the first look.
    silence: Option<String>,
}

// === impl Seen ===

impl Seen {
    /// The sentence that says that it has happened, once it has.
    pub fn take_in(
        &mut self,
        asked: &Asked,
        canary: Option<client::Guarded>,
    ) -> Result<Option<String>, Error> {
        let canary = client::read(canary.ok_or_else(|| Error::Deleted(asked.canary.id()))?)?;
        self.silence = Some(silence(&canary));
        let (said, pending) = match step(asked, &canary)? {
            Step::Unanswered => return Ok(None),
            Step::Happened(said) => return Ok(Some(said)),
            Step::Accepted(said) => (said, false),
            Step::Pending(said) => (said, true),
        };
        let news = if pending {
            self.pending.as_ref() != Some(&said)
        } else {
            !self.answered
        };
        if news {
            anstream::eprintln!("{}: {said}", asked.canary.id());
        }
        self.answered = true;
        self.pending = pending.then_some(said);
        Ok(None)
    }

    /// The watch itself may have told nothing yet.
    pub fn why_silent(&self, asked: &Asked) -> String {
        let seen = self.silence.clone();
        seen.unwrap_or_else(|| silence(&asked.canary))
    }
}

fn step(asked: &Asked, canary: &Canary) -> Result<Step, Error> {
    let before = asked
        .canary
        .status
        .as_ref()
        .and_then(|status| status.release.as_ref())
        .map(|release| release.number);
    judge(&asked.request, before, canary)
}

pub(super) fn timed_out(asked: &Asked, after: Duration, seen: &Seen) -> Error {
    let (id, verb) = (asked.canary.id(), asked.request.verb);
    let name = asked.canary.metadata.name.as_deref().unwrap_or_default();
    let follow = format!(
        "kubectl canary status {name} -n {} --watch",
        asked.canary.namespace_name()
    );
    if let Some(pending) = &seen.pending {
        return Error::Undone {
            message: format!("{id}: {pending}"),
            hint: format!("follow it: {follow}"),
        };
    }
    if seen.answered {
        Error::Timeout {
            message: format!(
                "{verb} of {id} was accepted, but has not happened within {}",
                seconds(after)
            ),
            hint: format!("it goes on as soon as it can; follow it: {follow}"),
        }
    } else {
        Error::Timeout {
            message: format!(
                "the controller did not answer the {verb} of {id} within {}",
                seconds(after)
            ),
            hint: seen.why_silent(asked),
        }
    }
}
