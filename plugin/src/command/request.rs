//! `promote`, `rollback`, `pause`, `resume`, `retry`: ask the controller, wait, say what happened.
//!
//! ```text
//!  read ─► consider ─► annotate (409: read again) ─► watch ─► judge ─► sentence, exit code
//!            │                                         └─ timeout, Ctrl-C: withdraw, unless it is a rollback
//!            └─ nothing to do: say so
//! ```
//!
//! Several Canaries are each asked in this way (`several`), and a dry run stops before it writes.

mod judge;
mod rehearse;
mod seen;
mod several;
#[cfg(test)]
mod tests;
mod withdraw;

use std::collections::BTreeMap;
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::PAUSE_FOR;
use canary_core::request::{Request, Verb};
use futures::StreamExt;
use serde_json::{Value, json};

pub use self::judge::expected;
use self::judge::{Considered, consider};
use self::rehearse::rehearse;
use self::seen::Seen;
use self::withdraw::{is_withdrawn, stays, withdraw, withdrawn};
use crate::args::RequestArgs;
use crate::args::verbs::DryRun;
use crate::client::{self, Cluster, PatchError};
use crate::env::now;
use crate::exit::{Error, code};
use crate::output::{Output, interrupted};
use crate::owner;
use crate::report::{CanaryReport, Observed};

/// The controller's own status writes may cross with ours, several in a row where a step begins:
/// two and a half seconds of pauses in all, each twice the one before.
const ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// An outcome that takes a rollout.
const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(600);
/// A controller that runs has answered by then.
const SILENCE: Duration = Duration::from_secs(5);

/// A request that was written, and the Canary that it was written on.
struct Asked {
    request: Request,
    canary: Canary,
}

/// What a person wants, whatever it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub verb: Verb,
    /// How long a pause is to take; without end if none.
    pub length: Option<Duration>,
}

/// What a person wants of one Canary.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub ask: Ask,
    pub namespace: &'a str,
    pub name: &'a str,
    pub reason: Option<&'a str>,
    pub timeout: Option<Duration>,
    /// The release that the person looked at.
    pub expect: Option<i64>,
    /// The revision that they looked at: a wish about another one is not written.
    pub looked_at: Option<&'a str>,
}

pub async fn run(
    ask: Ask,
    args: &RequestArgs,
    cluster: Cluster,
    output: &Output,
) -> Result<u8, Error> {
    match args.which.names.as_slice() {
        [name] => {
            let wish = Wish::new(ask, args, &cluster.namespace, &name.0);
            let said = match args.guards.dry_run {
                DryRun::None => Box::pin(perform(&wish, &cluster)).await?,
                dry_run => rehearse(&wish, &cluster, dry_run).await?,
            };
            output.print(&format!("{said}\n"))?;
            if ask.verb == Verb::Rollback && args.guards.dry_run == DryRun::None {
                anstream::eprintln!("{}", note(&cluster, &name.0).await);
            }
            Ok(code::OK)
        }
        _ if args.guards.expect_release.is_some() => Err(Error::Usage(
            "--expect-release is for one Canary: each has releases of its own".to_owned(),
        )),
        _ => Box::pin(several::run(ask, args, &cluster, output)).await,
    }
}

/// A rollback changes nothing in Git. Who may not read Deployments is told so without names.
async fn note(cluster: &Cluster, name: &str) -> String {
    let namespace = cluster.namespace.as_str();
    let target = async {
        let canary = cluster.canary(namespace, name).await?;
        let target = canary.target_name();
        cluster
            .look(Some(namespace), target, &client::deployment())
            .await
    };
    owner::note(&target.await.ok().flatten().unwrap_or_default())
}

// === impl Ask ===
impl Ask {
    pub const fn pause(length: Option<Duration>) -> Self {
        Self {
            verb: Verb::Pause,
            length,
        }
    }

    fn options(self) -> BTreeMap<String, String> {
        let length = self.length.map(|it| format!("{}s", it.as_secs()));
        length
            .map(|length| (PAUSE_FOR.to_owned(), length))
            .into_iter()
            .collect()
    }
}

impl From<Verb> for Ask {
    fn from(verb: Verb) -> Self {
        Self { verb, length: None }
    }
}

// === impl Wish ===

impl<'a> Wish<'a> {
    fn new(ask: Ask, args: &'a RequestArgs, namespace: &'a str, name: &'a str) -> Self {
        Self {
            ask,
            namespace,
            name,
            reason: args.reason.as_deref(),
            timeout: args.timeout,
            expect: args.guards.expect_release,
            looked_at: None,
        }
    }
}

/// The verbs that make sense now, each with the revision that it would be about.
pub fn offers(report: &CanaryReport) -> Vec<(Verb, String)> {
    let offer = |verb| match consider(verb, report) {
        Considered::Revision(revision) => Some((verb, revision)),
        Considered::Already(_) | Considered::Nothing(_) => None,
    };
    Verb::ALL.into_iter().filter_map(offer).collect()
}

/// Asks for it and waits until it has happened: the sentence that says so.
pub async fn perform(wish: &Wish<'_>, cluster: &Cluster) -> Result<String, Error> {
    let asked = match ask(wish, cluster).await? {
        Ok(asked) => asked,
        Err(already) => return Ok(already),
    };
    let mut answered = false;
    let outcome = Box::pin(wait(&asked, wish, cluster, &mut answered)).await;
    match outcome {
        Ok(said) => Ok(format!("{}: {said}", asked.canary.id())),
        Err(error @ (Error::Timeout { .. } | Error::Interrupted)) if !answered => {
            let said = if is_withdrawn(wish.ask.verb) {
                withdrawn(&asked.canary, withdraw(&asked, cluster).await)
            } else {
                stays()
            };
            Err(withdraw::told(error, &said))
        }
        Err(error) => Err(error),
    }
}

/// Looks at the release before anything is written, and whether it is the one that is meant.
fn considered(wish: &Wish<'_>, report: &CanaryReport) -> Result<Considered, Error> {
    if let Some(number) = wish.expect {
        expected(number, report)?;
    }
    Ok(consider(wish.ask.verb, report))
}

/// Writes the request, or gives the sentence that says why there is no need.
async fn ask(wish: &Wish<'_>, cluster: &Cluster) -> Result<Result<Asked, String>, Error> {
    let mut first = wish.looked_at.map(str::to_owned);
    for attempt in 0..ATTEMPTS {
        pause(attempt).await;
        let canary = cluster.canary(wish.namespace, wish.name).await?;
        let revision = match considered(wish, &Observed::alone(canary.clone()).by(now).report())? {
            Considered::Revision(revision) => revision,
            Considered::Already(said) => return Ok(Err(said)),
            Considered::Nothing(error) => {
                return Err(superseded_meanwhile(first.as_deref(), &canary).unwrap_or(error));
            }
        };
        if first.as_ref().is_some_and(|first| *first != revision) {
            return Err(superseded_meanwhile(first.as_deref(), &canary)
                .unwrap_or(Error::Conflict(canary.id())));
        }
        let request = request(wish.ask, revision.clone(), &canary)?;
        let annotations = annotations(&request, wish.reason);
        match cluster.annotate(&canary, annotations).await {
            Ok(canary) => {
                stored(&request, &canary)?;
                return Ok(Ok(Asked { request, canary }));
            }
            Err(PatchError::Conflict) => first = first.or(Some(revision)),
            Err(PatchError::Other(error)) => return Err(error),
        }
    }
    Err(Error::Conflict(format!("{}.{}", wish.name, wish.namespace)))
}

/// The answer to the write shows what was stored. What is not there is acted on by nobody.
fn stored(request: &Request, canary: &Canary) -> Result<(), Error> {
    let annotations = canary.metadata.annotations.as_ref();
    let written = annotations.and_then(|all| all.get(names::REQUEST));
    if written == Some(&request.to_string()) {
        return Ok(());
    }
    Err(Error::Denied {
        message: format!(
            "nothing was asked of {}: the API server took the write and did not keep annotation {}",
            canary.id(),
            names::REQUEST
        ),
        hint: "a webhook or a policy of this cluster takes it out: let it leave annotations of Canaries alone. Which may: kubectl get mutatingwebhookconfigurations; kubectl get mutatingadmissionpolicies".to_owned(),
    })
}

fn request(ask: Ask, revision: String, canary: &Canary) -> Result<Request, Error> {
    Ok(Request {
        verb: ask.verb,
        revision,
        uid: canary.metadata.uid.clone().unwrap_or_default(),
        id: random_id()?,
        options: ask.options(),
    })
}

/// Lets the writes that the last attempt met come to their end.
async fn pause(attempt: u32) {
    if let Some(earlier) = attempt.checked_sub(1) {
        tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(earlier)).await;
    }
}

/// The release that was looked at first is not the one that is there now.
fn superseded_meanwhile(first: Option<&str>, canary: &Canary) -> Option<Error> {
    let first = first?;
    let release = canary.status.as_ref()?.release.as_ref()?;
    (release.revision != first).then(|| Error::Superseded {
        message: format!(
            "{first} was superseded by release {} ({}) before the request was written",
            release.number, release.revision
        ),
        command: format!(
            "kubectl canary status {} -n {}",
            canary.metadata.name.as_deref().unwrap_or_default(),
            canary.namespace_name()
        ),
    })
}

/// `null` removes: a reason of an earlier request must not stand beside this one, and who asks is
/// for admission to say.
fn annotations(request: &Request, reason: Option<&str>) -> Value {
    json!({
        (names::REQUEST): request.to_string(),
        (names::REQUEST_REASON): reason.map(|reason| request.with_reason(reason)),
        (names::REQUESTED_BY): null,
    })
}

fn timeout(verb: Verb, given: Option<Duration>) -> Option<Duration> {
    let default = match verb {
        Verb::PromoteFull | Verb::Rollback => ROLLOUT_TIMEOUT,
        Verb::Promote | Verb::Pause | Verb::Resume | Verb::Retry => ANSWER_TIMEOUT,
    };
    Some(given.unwrap_or(default)).filter(|timeout| !timeout.is_zero())
}

/// Until it has happened, which is later than that it was accepted.
async fn wait(
    asked: &Asked,
    wish: &Wish<'_>,
    cluster: &Cluster,
    answered: &mut bool,
) -> Result<String, Error> {
    let limit = timeout(wish.ask.verb, wish.timeout);
    let begun = tokio::time::Instant::now();
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep_until(begun + limit).await,
            None => std::future::pending().await,
        }
    };
    let mut changes = std::pin::pin!(cluster.watch_canary(wish.namespace, wish.name));
    let mut deadline = std::pin::pin!(deadline);
    let mut silence = std::pin::pin!(tokio::time::sleep_until(begun + SILENCE));
    let mut stop = std::pin::pin!(interrupted());
    let mut silent = true;
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            change = changes.next() => match change {
                Some(change) => {
                    let said = seen.take_in(asked, change?, cluster).await?;
                    *answered |= seen.answered;
                    if let Some(said) = said {
                        return Ok(said);
                    }
                }
                None => return Err(Error::Deleted(asked.canary.id())),
            },
            () = &mut silence, if silent => {
                silent = false;
                if !*answered {
                    let why = seen.why_silent(asked);
                    let end = if is_withdrawn(wish.ask.verb) {
                        "Ctrl-C withdraws the request"
                    } else {
                        "the request stays until it is carried out, also after Ctrl-C"
                    };
                    anstream::eprintln!("no answer from the controller yet: {why} ({end})");
                }
            }
            () = &mut deadline => {
                return Err(seen.timed_out(asked, limit.unwrap_or_default(), cluster).await);
            }
            () = &mut stop => return Err(Error::Interrupted),
        }
    }
}

/// A UUID of version 4.
fn random_id() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Api(format!("no randomness: {error}")))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok([
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-"))
}
