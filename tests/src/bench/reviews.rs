//! Reviews of a server that keeps a thousand Canaries: how long an answer takes, how many it gives on one
//! CPU, and what it does with more than it can answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use kube::Api;

use super::caller::{Caller, Fate};
use super::cores::Cores;
use super::pace::{Load, Pace, open_loop};
use super::recorder::Review;
use super::report::percentile;
use super::usage::Usage;
use crate::clock::now;
use crate::control_plane::ControlPlane;
use crate::server::{Build, Server};

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;

/// As many as ten API servers keep open to one webhook.
const CONNECTIONS: usize = 250;
/// Callers that find out what the server can do at most: enough to keep it busy.
const EAGER: usize = 16;
/// For memory that was needed only at the start to be given back.
const SETTLED: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(2);
const EAGER_FOR: Duration = Duration::from_secs(4);
const SUSTAINED_FOR: Duration = Duration::from_secs(8);
/// Shares of what eager callers got, tried until one is answered in time: nobody plans with the last
/// percent of a CPU.
const SHARES: [f64; 5] = [0.95, 0.9, 0.85, 0.8, 0.7];
const IN_TIME: Duration = Duration::from_millis(20);
/// Of what eager callers got. To read a review and turn it away costs more than a third of an answer: near
/// twice as many fill the CPU with that alone, and what is measured is the line in front of its sockets.
const OVERLOAD: f64 = 1.5;
const OVERLOAD_FOR: Duration = Duration::from_secs(8);
const START_LIMIT: Duration = Duration::from_secs(60);

pub type Answers = Load<Fate>;

/// What one build of the server does on one CPU.
#[derive(Debug)]
pub struct Capacity {
    pub sustained: Answers,
    /// CPU time of the server for them, which tells a busy machine from a slow server.
    pub used: Duration,
    pub overload: Answers,
    /// At rest, and after all of that.
    pub rss_mib: f64,
    pub flooded_rss_mib: f64,
}

/// Sends reviews one after the other at that pace; each has to be answered.
pub async fn at_pace(caller: &Arc<Caller>, reviews: &Arc<[Review]>, pace: Pace) -> Result<Answers> {
    let (caller, reviews) = (caller.clone(), reviews.clone());
    let load = open_loop(pace, move |number| {
        let (caller, reviews) = (caller.clone(), reviews.clone());
        async move { caller.fate(&reviews[number % reviews.len()]).await }
    });
    load.await
}

/// A client of that server, which trusts what the API server trusts.
pub async fn caller(plane: &ControlPlane, server: &Server) -> Result<Arc<Caller>> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(plane.client().await?);
    let registered = api.get("canary-webhook").await?;
    let webhooks = registered.webhooks.unwrap_or_default();
    let authority = webhooks
        .into_iter()
        .find_map(|webhook| webhook.client_config.ca_bundle)
        .context("there is no caBundle")?;
    let authority = String::from_utf8(authority.0)?;
    let caller = Caller::new(server.admission_address()?, &authority, CONNECTIONS)?;
    Ok(Arc::new(caller))
}

/// Starts another replica on one CPU, and finds out how much it answers. The load comes from the other
/// CPUs.
pub async fn capacity(
    plane: &ControlPlane,
    build: Build,
    reviews: &Arc<[Review]>,
) -> Result<Capacity> {
    let cores = Cores::of_this_process()?;
    let build = Build {
        core: Some(cores.first()),
        ..build
    };
    let mut server = Server::of_build(plane, build, &[])?;
    server.logged("caches are synced", START_LIMIT).await?;
    let caller = caller(plane, &server).await?;
    caller.check(reviews).await?;
    // What a thousand Canaries take; reading them all at once is over, and a flood's buffers are not theirs.
    tokio::time::sleep(SETTLED).await;
    let rss_mib = Usage::of(&mut server).await?.rss_mib;
    let _aside = cores.leave_first(server.process().pid()).await?;
    eager(&caller, reviews, WARM_UP).await?;
    let most = eager(&caller, reviews, EAGER_FOR).await?;
    eprintln!("  eager callers get {most:.0} answers a second");
    let (sustained, used) = sustained(&mut server, &caller, reviews, most).await?;
    let overload = Pace {
        per_second: most * OVERLOAD,
        length: OVERLOAD_FOR,
    };
    let overload = at_pace(&caller, reviews, overload).await?;
    let flooded_rss_mib = Usage::of(&mut server).await?.rss_mib;
    Ok(Capacity {
        sustained,
        used,
        overload,
        rss_mib,
        flooded_rss_mib,
    })
}

/// The highest share of `most` that is answered in time and in full; the last one if none is.
async fn sustained(
    server: &mut Server,
    caller: &Arc<Caller>,
    reviews: &Arc<[Review]>,
    most: f64,
) -> Result<(Answers, Duration)> {
    let mut tried = None;
    for share in SHARES {
        let pace = Pace {
            per_second: most * share,
            length: SUSTAINED_FOR,
        };
        let before = Usage::of(server).await?.cpu;
        let answers = at_pace(caller, reviews, pace).await?;
        let used = Usage::of(server).await?.cpu.saturating_sub(before);
        let (all, behind) = (answers.calls.len(), answers.late);
        let in_time = |took: &&Duration| **took <= IN_TIME;
        let times = answers.of(Fate::Answered);
        let in_time = times.iter().filter(in_time).count();
        let shed = answers.count(Fate::Shed);
        eprintln!(
            "  {in_time} of {all} in time at {share} of it, {shed} turned away; the load ended {behind:?} late"
        );
        tried = Some((answers, used));
        if in_time * 100 >= all * 99 {
            break;
        }
    }
    tried.context("no share is tried")
}

/// Answers a second to callers that ask again as soon as they are answered.
async fn eager(caller: &Arc<Caller>, reviews: &Arc<[Review]>, length: Duration) -> Result<f64> {
    let start = now();
    let callers = (0..EAGER).map(|number| {
        let (caller, reviews) = (caller.clone(), reviews.clone());
        tokio::spawn(async move {
            let mut answered = 0_usize;
            for review in reviews.iter().cycle().skip(number * 7) {
                if start.elapsed() >= length {
                    break;
                }
                let fate = caller.fate(review).await;
                ensure!(fate == Fate::Answered, "a review is {fate:?}");
                answered += 1;
            }
            Ok(answered)
        })
    });
    let answered: Result<Vec<usize>> = try_join_all(callers).await?.into_iter().collect();
    let answered: usize = answered?.iter().sum();
    Ok(answered as f64 / start.elapsed().as_secs_f64())
}

// === impl Capacity ===

impl Capacity {
    /// CPU time of the server for an answer at the sustained rate.
    pub fn micros_per_answer(&self) -> f64 {
        let answers = self.sustained.count(Fate::Answered);
        self.used.as_secs_f64() * 1e6 / answers as f64
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = self.sustained.of(Fate::Answered);
        write!(
            f,
            "{:.0} a second with p99 {:.1} ms, {:.0} us of CPU each; of half as much again {:.0} a second with \
             p99 {:.1} ms; {:.1} MiB",
            self.sustained.per_second(Fate::Answered),
            percentile(&times, 99),
            self.micros_per_answer(),
            self.overload.per_second(Fate::Answered),
            percentile(&self.overload.of(Fate::Answered), 99),
            self.flooded_rss_mib
        )
    }
}

// === impl Load ===

impl Load<Fate> {
    /// How long those with that fate took.
    pub fn of(&self, fate: Fate) -> Vec<Duration> {
        let calls = self.calls.iter().filter(|call| call.value == fate);
        calls.map(|call| call.took).collect()
    }

    pub fn count(&self, fate: Fate) -> usize {
        self.calls.iter().filter(|call| call.value == fate).count()
    }

    pub fn percent(&self, fate: Fate) -> f64 {
        self.count(fate) as f64 / self.calls.len() as f64 * 100.0
    }

    pub fn per_second(&self, fate: Fate) -> f64 {
        self.count(fate) as f64 / self.took.as_secs_f64()
    }
}
