//! `wait`: until a release is what somebody waits for, or never will be.
//!
//! ```text
//!  read Canary, target ─► watch ─► look ─┬─ Pending: a line for each change
//!                          ▲     (pure)  ├─ Reached: outcome, 0
//!                          └─────────────┴─ Over: why it cannot come any more, 1, 2 or 6
//! ```

mod look;

use canary_core::canary::Canary;
use futures::StreamExt;
use tokio::time::Instant;

use self::look::{Awaited, Look, look};
use crate::args::verbs::WaitArgs;
use crate::client::{self, Cluster};
use crate::env::now;
use crate::exit::{Error, code, one_line, seconds};
use crate::follow::observe;
use crate::output::{Output, interrupted};
use crate::render::change;
use crate::render::detail::command;
use crate::report::{CanaryReport, Observed};

/// How long a release may take to begin where the target cannot be read to see whether one will.
const BEGIN: std::time::Duration = std::time::Duration::from_secs(1);

pub async fn run(args: &WaitArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let outcome = Box::pin(wait(args, cluster, output)).await;
    if matches!(outcome, Err(Error::Interrupted | Error::NotFound { .. })) {
        return outcome.map(|_| code::OK);
    }
    if let Some(format) = &args.output {
        let observed = observe(cluster, &cluster.namespace, &args.name.0).await;
        if let Ok(observed) = observed {
            output.machine(format, &observed.report())?;
        }
    }
    say(args, output, &outcome?)?;
    Ok(code::OK)
}

/// The sentence that says what was reached.
async fn wait(args: &WaitArgs, cluster: &Cluster, output: &Output) -> Result<String, Error> {
    let (namespace, name) = (cluster.namespace.as_str(), args.name.0.as_str());
    let canary = cluster.canary(namespace, name).await?;
    let mut awaited = awaited(args, cluster, &canary).await;
    let begun = Instant::now();
    let limit = Some(args.timeout).filter(|limit| !limit.is_zero());
    let deadline = begun + limit.unwrap_or(std::time::Duration::from_secs(u64::from(u32::MAX)));
    let grace = begun + BEGIN;
    let mut feed = std::pin::pin!(cluster.watch_canary(namespace, name));
    let mut stop = std::pin::pin!(interrupted());
    let mut said = String::new();
    let mut canary = canary;
    loop {
        let report = Observed::alone(canary.clone()).report();
        let line = change::line(&report, &output.theme());
        if line != said {
            say(
                args,
                output,
                &format!("{}  {line}", now().strftime("%H:%M:%SZ")),
            )?;
            said = line;
        }
        match look(args.goal, &canary, &report, &mut awaited) {
            Look::Pending => {}
            Look::Reached(said) => return Ok(format!("{}: {said}", report.id())),
            Look::Over(error) => return Err(error),
        }
        tokio::select! {
            event = feed.next() => {
                let found = event.and_then(Result::transpose);
                canary = client::read(found.ok_or_else(|| Error::Deleted(report.id()))??)?;
            }
            () = tokio::time::sleep_until(grace), if awaited.is_unsure() => {
                awaited.settle();
            }
            () = tokio::time::sleep_until(deadline), if limit.is_some() => {
                return Err(timed_out(args, &report, &awaited));
            }
            () = &mut stop => return Err(Error::Interrupted),
        }
    }
}

/// Right after `kubectl set image` the last release is not what somebody waits for: a target that
/// is newer than what the controller has looked at is a release about to begin.
async fn awaited(args: &WaitArgs, cluster: &Cluster, canary: &Canary) -> Awaited {
    if let Some(number) = args.release {
        return Awaited::Number(number);
    }
    if canary.spec.target_ref.kind != "Deployment" {
        return Awaited::Unsure;
    }
    let (namespace, name) = (canary.namespace_name(), canary.target_name());
    match cluster
        .find(Some(namespace), name, &client::deployment())
        .await
    {
        Ok(Some(target)) => Awaited::of_target(canary, &target),
        Ok(None) => Awaited::Current,
        Err(_) => Awaited::Unsure,
    }
}

/// Standard output belongs to `-o`.
fn say(args: &WaitArgs, output: &Output, line: &str) -> Result<(), Error> {
    match args.output {
        _ if args.quiet => {}
        Some(_) => anstream::eprintln!("{}", one_line(line)),
        None => output.print(&format!("{line}\n"))?,
    }
    Ok(())
}

fn timed_out(args: &WaitArgs, report: &CanaryReport, awaited: &Awaited) -> Error {
    let after = seconds(args.timeout);
    let what = look::wanted(args.goal);
    let why = report.obstacle().map_or(String::new(), |hindrance| {
        format!(": {}", one_line(&hindrance.message))
    });
    let message = match awaited.number(report) {
        Some(number) => format!(
            "release {number} of {} has not {what} within {after}",
            report.id()
        ),
        None => format!("no release of {} has {what} within {after}", report.id()),
    };
    Error::Timeout {
        message: format!("{message}{why}"),
        hint: format!("it goes on; see why: {}", command("explain", report)),
    }
}
