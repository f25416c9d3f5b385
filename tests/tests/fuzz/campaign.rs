//! Many cases, and what came of them.

use std::collections::BTreeMap;
use std::time::Duration;

use canary_tests::clock::now;
use canary_tests::tools::folder;
use fastrand::Rng;
use serde_json::Value;

use crate::corpus::Corpus;
use crate::mutation;
use crate::oracle::{Seen, judge};
use crate::world::{self, Server};

/// Kinds of failure after which it is pointless to go on.
const ENOUGH: usize = 20;

pub struct Campaign {
    corpus: Corpus,
    servers: Vec<Server>,
    rng: Rng,
    pub tally: Tally,
}

#[derive(Default)]
pub struct Tally {
    pub cases: u64,
    time: Duration,
    pub answers: BTreeMap<String, u64>,
    fields: BTreeMap<String, u64>,
    /// With its body.
    slowest: Option<(Duration, String, Vec<u8>)>,
    /// What was wrong, and where; one of each kind.
    failures: BTreeMap<String, String>,
}

// === impl Campaign ===

impl Campaign {
    pub fn new(seed: u64) -> Self {
        let corpus = Corpus::read();
        Self {
            servers: world::all(&corpus),
            corpus,
            rng: Rng::with_seed(seed),
            tally: Tally::default(),
        }
    }

    /// The recorded reviews as they are, in every world.
    pub async fn replay(&mut self) {
        let bodies = self.corpus.reviews.iter().map(Value::to_string);
        let bodies: Vec<Vec<u8>> = bodies.map(String::into_bytes).collect();
        self.replay_all(&bodies).await;
    }

    /// What was once answered wrongly.
    pub async fn replay_found(&mut self) {
        let bodies = self.corpus.found.clone();
        self.replay_all(&bodies).await;
    }

    async fn replay_all(&mut self, bodies: &[Vec<u8>]) {
        for server in &self.servers {
            for body in bodies {
                self.tally.ask(server, body).await;
            }
        }
    }

    pub async fn run(&mut self, goes_on: impl Fn(&Tally) -> bool) {
        while goes_on(&self.tally) && self.tally.failures.len() < ENOUGH {
            let server = &self.servers[self.rng.usize(..self.servers.len())];
            let body = mutation::body(&mut self.rng, &self.corpus);
            self.tally.ask(server, &body).await;
        }
    }

    /// Fails if an answer was wrong.
    #[track_caller]
    pub fn conclude(&self) {
        let panicked = self.servers.iter().filter(|it| it.has_panicked());
        let panicked: Vec<&str> = panicked.map(|it| it.name.as_str()).collect();
        let failures = &self.tally.failures;
        assert!(
            failures.is_empty() && panicked.is_empty(),
            "{failures:#?}, panicked: {panicked:?}"
        );
    }

    #[track_caller]
    pub fn has_reached(&self, answers: &[&str], fields: &[&str]) {
        let lacks = |all: &BTreeMap<String, u64>, wanted: &[&str]| -> Vec<String> {
            let missing = wanted.iter().filter(|it| !all.contains_key(**it));
            missing.map(|it| (*it).to_owned()).collect()
        };
        let tally = &self.tally;
        let missing = [lacks(&tally.answers, answers), lacks(&tally.fields, fields)].concat();
        assert!(missing.is_empty(), "never seen: {missing:#?}");
    }
}

// === impl Tally ===

impl Tally {
    /// One body, sent to both webhooks.
    async fn ask(&mut self, server: &Server, body: &[u8]) {
        for webhook in ["mutate", "validate"] {
            let start = now();
            let answer = judge(server, webhook, body).await;
            self.time += start.elapsed();
            self.cases += 1;
            match answer {
                Ok(seen) => self.take(&seen, &server.name, webhook, body),
                Err(wrong) => self.fail(&wrong, &server.name, webhook, body),
            }
        }
    }

    fn take(&mut self, seen: &Seen, world: &str, webhook: &str, body: &[u8]) {
        for kind in &seen.kinds {
            *self.answers.entry(kind.clone()).or_default() += 1;
        }
        for field in &seen.fields {
            *self.fields.entry(field.clone()).or_default() += 1;
        }
        if self.slowest.as_ref().is_none_or(|it| seen.took > it.0) {
            let what = format!("{world}, /{webhook}, {} bytes", body.len());
            self.slowest = Some((seen.took, what, body.to_vec()));
        }
    }

    /// Keeps the body of the first case of its kind.
    fn fail(&mut self, wrong: &str, world: &str, webhook: &str, body: &[u8]) {
        let kind: String = wrong.chars().take(40).collect();
        if self.failures.contains_key(&kind) {
            return;
        }
        let path = keep(&format!("{world}-{webhook}-{}.json", self.cases), body);
        let place = format!("{wrong:.400} (world {world}, /{webhook}: {path})");
        println!("wrong: {place}");
        self.failures.insert(kind, place);
    }

    pub fn print(&self) {
        let seconds = self.time.as_secs_f64();
        println!(
            "{} cases, {:.0} a second",
            self.cases,
            self.cases as f64 / seconds
        );
        if let Some((took, what, body)) = &self.slowest {
            println!("slowest {took:?}: {what}: {}", keep("slowest.json", body));
        }
        for (title, all) in [("answers", &self.answers), ("objected to", &self.fields)] {
            println!("{title}:");
            for (kind, count) in all {
                println!("  {count:>8} {kind}");
            }
        }
    }
}

/// Writes a body down, and says where.
fn keep(name: &str, body: &[u8]) -> String {
    let kept = folder("target/fuzz");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join(name), body).unwrap();
    format!("target/fuzz/{name}")
}
