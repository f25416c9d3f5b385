//! One verb for several Canaries: shown first, agreed to, and each with an outcome of its own.
//!
//! ```text
//!  names ─────┐
//!  -l, -A ────┴─► picked ─► agree ─► eight at a time ─► a line each, the worst code
//!                (pure, but for the reads)
//! ```

use std::cell::Cell;
use std::io::{BufRead as _, IsTerminal as _};

use canary_core::request::Verb;
use futures::StreamExt;

use super::judge::{Considered, consider};
use super::rehearse::rehearse;
use super::{Ask, Wish, perform};
use crate::args::RequestArgs;
use crate::args::verbs::DryRun;
use crate::client::{self, Cluster};
use crate::env::now;
use crate::exit::{Error, code, one_line};
use crate::output::Output;
use crate::render::several;
use crate::report::{CanaryReport, Meta, Observed};

/// So many are asked at once: a rollback of many must be quick, and the API server is not ours alone.
const AT_ONCE: usize = 8;

/// The Canaries that are meant, and what is known of them.
#[derive(Default)]
struct Picked {
    reports: Vec<CanaryReport>,
    /// Those that cannot be asked at all: their names, and why.
    failed: Vec<(String, Error)>,
}

pub(super) async fn run(
    ask: Ask,
    args: &RequestArgs,
    cluster: &Cluster,
    output: &Output,
) -> Result<u8, Error> {
    let picked = if args.which.names.is_empty() {
        selected(ask.verb, args, cluster).await?
    } else {
        named(args, cluster).await
    };
    if args.guards.dry_run == DryRun::None && !args.which.yes && !picked.reports.is_empty() {
        agree(ask.verb, cluster, output, &picked.reports).await?;
    }
    let mut codes = Vec::new();
    for (name, error) in &picked.failed {
        codes.push(told(name, error));
    }
    let interrupted = &Cell::new(false);
    let mut outcomes = futures::stream::iter(&picked.reports)
        .map(|report| async move {
            if interrupted.get() {
                return (report, Err(Error::Interrupted));
            }
            let outcome = one(ask, args, report, cluster).await;
            if matches!(outcome, Err(Error::Interrupted)) {
                interrupted.set(true);
            }
            (report, outcome)
        })
        .buffer_unordered(AT_ONCE);
    while let Some((report, outcome)) = outcomes.next().await {
        codes.push(match outcome {
            Ok(said) => {
                output.print(&format!("{said}\n"))?;
                code::OK
            }
            Err(error) => told(&report.id(), &error),
        });
    }
    Ok(code::worst(&codes))
}

async fn one(
    ask: Ask,
    args: &RequestArgs,
    report: &CanaryReport,
    cluster: &Cluster,
) -> Result<String, Error> {
    let Meta { namespace, name } = &report.metadata;
    let wish = Wish::new(ask, args, namespace, name);
    match args.guards.dry_run {
        DryRun::None => Box::pin(perform(&wish, cluster)).await,
        dry_run => rehearse(&wish, cluster, dry_run).await,
    }
}

/// Each name once, in the order in which they were given.
async fn named(args: &RequestArgs, cluster: &Cluster) -> Picked {
    let mut names: Vec<&str> = Vec::new();
    for name in &args.which.names {
        if !names.contains(&name.0.as_str()) {
            names.push(&name.0);
        }
    }
    let reads = futures::stream::iter(names)
        .map(|name| async move { (name, cluster.canary(&cluster.namespace, name).await) })
        .buffered(AT_ONCE);
    let found: Vec<_> = reads.collect().await;
    let mut picked = Picked::default();
    for (name, canary) in found {
        match canary {
            Ok(canary) => picked
                .reports
                .push(Observed::alone(canary).by(now).report()),
            Err(error) => {
                let name = format!("{name}.{}", cluster.namespace);
                picked.failed.push((name, error));
            }
        }
    }
    picked
}

/// Those of the selection for which there is something to do: the others are not meant.
async fn selected(verb: Verb, args: &RequestArgs, cluster: &Cluster) -> Result<Picked, Error> {
    let namespace = (!args.which.all_namespaces).then_some(cluster.namespace.as_str());
    let found = match &args.which.selector {
        Some(labels) => cluster.canaries_labelled(namespace, labels).await?,
        None => cluster.canaries(namespace).await?,
    };
    let count = found.len();
    let mut picked = Picked::default();
    for canary in found {
        match client::read(canary) {
            Ok(canary) => {
                let report = Observed::alone(canary).by(now).report();
                if matches!(consider(verb, &report), Considered::Revision(_)) {
                    picked.reports.push(report);
                }
            }
            Err(error) => picked.failed.push((String::new(), error)),
        }
    }
    if picked.reports.is_empty() && picked.failed.is_empty() {
        return Err(nothing(verb, args, count));
    }
    let by_name = |report: &CanaryReport| report.metadata.clone();
    picked.reports.sort_by_key(by_name);
    Ok(picked)
}

fn nothing(verb: Verb, args: &RequestArgs, count: usize) -> Error {
    let which = match &args.which.selector {
        Some(labels) => format!(" with labels {labels}"),
        None => String::new(),
    };
    let what = verb.in_words();
    let message = match count {
        0 => format!("nothing to {what}: there are no Canaries{which}"),
        1 => format!("nothing to {what}: the one Canary{which} has no release to {what}"),
        _ => format!("nothing to {what}: none of {count} Canaries{which} has a release to {what}"),
    };
    Error::NothingToDo {
        message,
        hint: Some("`kubectl canary status -A` shows all".to_owned()),
    }
}

/// A terminal is asked; a script has to say so itself.
async fn agree(
    verb: Verb,
    cluster: &Cluster,
    output: &Output,
    reports: &[CanaryReport],
) -> Result<(), Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::NothingToDo {
            message: format!(
                "nothing was asked: to {} a selection of Canaries takes a terminal to ask, or --yes",
                verb.in_words()
            ),
            hint: Some("--dry-run=client lists them".to_owned()),
        });
    }
    let theme = output.theme();
    let lines = several::lines(verb.in_words(), cluster.server(), reports, &theme);
    anstream::eprint!("{}go on? [y/N] ", theme.paint(&lines));
    // In a thread of its own, so that Ctrl-C ends it.
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.map(|_| answer)
    });
    let answer = read
        .await
        .map_err(|error| Error::Api(error.to_string()))?
        .unwrap_or_default();
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::NothingToDo {
        message: "nothing was asked".to_owned(),
        hint: None,
    })
}

/// A failure in the midst of others: whose, why, and what to do.
fn told(name: &str, error: &Error) -> u8 {
    let cause = one_line(&error.to_string());
    let code = error.code();
    if matches!(error, Error::Interrupted) {
        anstream::eprintln!("{name}: interrupted");
        return code;
    }
    if name.is_empty() || cause.contains(name) {
        anstream::eprintln!("error: {cause}");
    } else {
        anstream::eprintln!("error: {name}: {cause}");
    }
    if let Some(hint) = error.hint() {
        anstream::eprintln!("hint: {hint}");
    }
    code
}
