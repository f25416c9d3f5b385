//! `status`: one Canary or all, once or for as long as it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use canary_core::canary::Canary;
use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

use crate::args::StatusArgs;
use crate::args::format::{ListFormat, Machine};
use crate::client::{Cluster, Guarded};
use crate::env::now;
use crate::exit::{Error, code};
use crate::follow::{Fate, Follower, fate, observe, observe_pods};
use crate::output::{Frame, Output, Screen, interrupted};
use crate::render::picture::{self, Wish};
use crate::render::{Line, Theme, change, detail, table};
use crate::report::{self, CanaryReport, Meta, Observed};

/// How long the last pods and weights may take to show after the release has ended.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a release that was just triggered may take to begin: right after `kubectl set image`
/// nobody wants to read how the last one ended.
const BEGIN: Duration = Duration::from_secs(1);
const WAITING: &str = "waiting for the next release (Ctrl-C ends)";

pub async fn run(args: &StatusArgs, cluster: Cluster, output: &Output) -> Result<u8, Error> {
    if args.watch && matches!(args.output, Some(ListFormat::Name)) {
        return Err(Error::Usage("-o name has nothing to watch".into()));
    }
    match (&args.name, args.watch) {
        (Some(name), false) => one(&name.0, args, &cluster, output).await,
        (Some(name), true) => Box::pin(follow(&name.0, args, &cluster, output)).await,
        (None, false) => all(args, &cluster, output).await,
        (None, true) => follow_all(args, &cluster, output).await,
    }
}

async fn one(
    name: &str,
    args: &StatusArgs,
    cluster: &Cluster,
    output: &Output,
) -> Result<u8, Error> {
    let namespace = &cluster.namespace;
    let observed = if matches!(args.output, Some(ListFormat::Name)) {
        observe(cluster, namespace, name).await?
    } else {
        observe_pods(cluster, namespace, name).await?
    };
    let report = observed.report();
    match &args.output {
        Some(ListFormat::Machine(format)) => output.machine(format, &report)?,
        Some(ListFormat::Name) => output.print(&resource_name(&report))?,
        Some(ListFormat::Wide) | None => {
            output.print(&picture::whole(&report, &output.theme(), now(), wish(args)))?;
        }
    }
    Ok(code::OK)
}

async fn all(args: &StatusArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let reports = reports(cluster.readable_canaries(scope(args, cluster)).await?);
    match &args.output {
        Some(ListFormat::Machine(format)) => output.machine(format, &report::list(reports))?,
        Some(ListFormat::Name) => {
            output.print(&reports.iter().map(resource_name).collect::<String>())?;
        }
        Some(ListFormat::Wide) | None if reports.is_empty() => {
            anstream::eprintln!("{}", nothing_found(args, cluster));
        }
        Some(ListFormat::Wide) | None => {
            output.print(&whole_table(&reports, &output.theme(), args))?;
        }
    }
    Ok(code::OK)
}

/// Until the release ends; at rest, until the next one has.
async fn follow(
    name: &str,
    args: &StatusArgs,
    cluster: &Cluster,
    output: &Output,
) -> Result<u8, Error> {
    let mut view = View::new(args, output);
    let mut follower = Follower::start(cluster, &cluster.namespace, name).await?;
    if view.shows_pods() {
        follower.add_pods(cluster).await;
    }
    begin(&mut follower).await?;
    let mut number = None;
    let mut seen_running = false;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut stop = std::pin::pin!(interrupted());
    loop {
        let report = follower.observed.report();
        if report.running && !seen_running {
            seen_running = true;
            number = report.release.as_ref().map(|release| release.number);
        }
        view.over = seen_running && fate(&report, number) != Fate::Running;
        view.show(&report)?;
        if view.over {
            break;
        }
        view.say_once_at_rest(&report);
        tokio::select! {
            changed = follower.changed() => changed?,
            _ = second.tick(), if view.ticks() => {}
            () = &mut stop => return Err(Error::Interrupted),
        }
    }
    settle(&mut follower).await?;
    let report = follower.observed.report();
    view.show(&report)?;
    drop(view);
    verdict(&report, number)
}

/// Waits a moment for a release that is about to begin.
async fn begin(follower: &mut Follower) -> Result<(), Error> {
    let end = tokio::time::Instant::now() + BEGIN;
    while !follower.observed.report().running {
        match tokio::time::timeout_at(end, follower.changed()).await {
            Ok(changed) => changed?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// Takes in what still arrives in a moment: the last scale-down, the last weights.
pub(super) async fn settle(follower: &mut Follower) -> Result<(), Error> {
    let end = tokio::time::Instant::now() + SETTLE;
    while let Ok(changed) = tokio::time::timeout_at(end, follower.changed()).await {
        changed?;
    }
    Ok(())
}

/// The end of a release as an exit code, and as a sentence where it is not the good one.
pub(super) fn verdict(report: &CanaryReport, number: Option<i64>) -> Result<u8, Error> {
    let release = number.map_or("the release".to_owned(), |number| {
        format!("release {number}")
    });
    match fate(report, number) {
        Fate::Running | Fate::Promoted => Ok(code::OK),
        Fate::Failed(why) => Err(Error::ReleaseFailed {
            message: format!("{release} of {} {why}", report.id()),
            hint: Some(format!(
                "fix it and update the Deployment, or: {}",
                detail::command("retry", report)
            )),
        }),
        Fate::Superseded(by) => Err(Error::Superseded {
            message: match by {
                Some(by) => format!(
                    "{release} of {} was superseded by release {by}",
                    report.id()
                ),
                None => format!("{release} of {} was superseded by a newer one", report.id()),
            },
            command: detail::command("status", report),
        }),
    }
}

/// All Canaries, until somebody ends it.
async fn follow_all(args: &StatusArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    // Errors of the first read are final; those of a watch may pass.
    cluster.readable_canaries(scope(args, cluster)).await?;
    let mut events = Box::pin(cluster.watch_canaries(scope(args, cluster)));
    let empty = nothing_found(args, cluster);
    let mut reports = BTreeMap::new();
    let mut view = View::new(args, output);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut complete = false;
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    let event = event?;
                    complete |= matches!(event, Event::InitDone);
                    if let Some(warning) = take_in(&mut reports, event, cluster) {
                        view.step_aside();
                        anstream::eprintln!("{warning}");
                    }
                }
                None => return Ok(code::OK),
            },
            _ = second.tick(), if view.ticks() => {}
            () = &mut stop => return Err(Error::Interrupted),
        }
        if complete {
            view.show_all(&reports.values().cloned().collect::<Vec<_>>(), &empty)?;
        }
    }
}

/// The warning that is to be printed, if there is any.
fn take_in(
    reports: &mut BTreeMap<Meta, CanaryReport>,
    event: Event<Guarded>,
    cluster: &Cluster,
) -> Option<String> {
    let meta = |canary: &Guarded| Meta {
        namespace: canary.namespace().unwrap_or_default(),
        name: canary.name_any(),
    };
    match event {
        Event::Init => reports.clear(),
        Event::Delete(canary) => {
            reports.remove(&meta(&canary));
        }
        Event::Apply(canary) | Event::InitApply(canary) => {
            match canary.0 {
                Ok(canary) => {
                    let report = Observed::alone(canary).by(now).report();
                    reports.insert(report.metadata.clone(), report);
                }
                // What was seen of it last stays.
                Err(bad) => return cluster.unread("canary", &bad),
            }
        }
        Event::InitDone => {}
    }
    None
}

fn scope<'a>(args: &StatusArgs, cluster: &'a Cluster) -> Option<&'a str> {
    (!args.all_namespaces).then_some(cluster.namespace.as_str())
}

/// In the order of names.
fn reports(canaries: Vec<Canary>) -> Vec<CanaryReport> {
    let reports = canaries.into_iter();
    let mut reports: Vec<_> = reports
        .map(|canary| Observed::alone(canary).by(now).report())
        .collect();
    reports.sort_by(|left, right| left.metadata.cmp(&right.metadata));
    reports
}

fn nothing_found(args: &StatusArgs, cluster: &Cluster) -> String {
    match scope(args, cluster) {
        Some(namespace) => format!("No canaries found in namespace {namespace}."),
        None => "No canaries found.".to_owned(),
    }
}

fn resource_name(report: &CanaryReport) -> String {
    format!("canary.flagger.app/{}\n", report.metadata.name)
}

fn is_wide(args: &StatusArgs) -> bool {
    matches!(args.output, Some(ListFormat::Wide))
}

fn wish(args: &StatusArgs) -> Wish {
    Wish {
        wide: is_wide(args),
        revisions: args.revisions,
    }
}

fn whole_table(reports: &[CanaryReport], theme: &Theme, args: &StatusArgs) -> String {
    theme.paint(&table::lines(
        reports,
        theme,
        now(),
        args.all_namespaces,
        is_wide(args),
    ))
}

/// How a followed Canary is shown: drawn over itself, or appended to.
pub(super) struct View<'a> {
    args: &'a StatusArgs,
    output: &'a Output,
    screen: Option<Screen>,
    /// What was appended last for each Canary: the same is not said twice.
    said: BTreeMap<Meta, String>,
    rested: bool,
    /// The release has ended: nothing is waited for any more.
    pub(super) over: bool,
}

// === impl View ===

impl<'a> View<'a> {
    /// Something else is to be printed: what is drawn next leaves it there.
    fn step_aside(&mut self) {
        if self.screen.is_some() {
            self.screen = Some(Screen::default());
        }
    }

    pub(super) fn new(args: &'a StatusArgs, output: &'a Output) -> Self {
        let pictures = matches!(args.output, None | Some(ListFormat::Wide));
        let screen = (output.redraws && pictures).then(Screen::default);
        Self {
            args,
            output,
            screen,
            said: BTreeMap::new(),
            rested: false,
            over: false,
        }
    }

    /// Only a picture has something that time alone changes.
    pub(super) fn ticks(&self) -> bool {
        self.screen.is_some()
    }

    /// A line for each change says nothing about pods.
    pub(super) fn shows_pods(&self) -> bool {
        let whole = matches!(self.args.output, Some(ListFormat::Machine(_)));
        self.screen.is_some() || whole
    }

    pub(super) fn show(&mut self, report: &CanaryReport) -> Result<(), Error> {
        let Some(screen) = &mut self.screen else {
            return self.append(report);
        };
        let (theme, now, wish) = (self.output.theme(), now(), wish(self.args));
        let note = if report.running || self.over {
            String::new()
        } else {
            theme.paint(&[Line::new(), Line::plain(WAITING)])
        };
        let frame = Frame {
            picture: picture::fitted(report, &theme, now, wish, Screen::rows(&note)),
            note,
            whole: picture::whole(report, &theme, now, wish),
        };
        screen.draw(frame, theme.glyphs.ellipsis)
    }

    /// `empty` is what stands there while there is nothing.
    fn show_all(&mut self, reports: &[CanaryReport], empty: &str) -> Result<(), Error> {
        let Some(screen) = &mut self.screen else {
            return reports.iter().try_for_each(|report| self.append(report));
        };
        let theme = self.output.theme();
        let whole = if reports.is_empty() {
            theme.paint(&[Line::plain(empty)])
        } else {
            whole_table(reports, &theme, self.args)
        };
        let frame = Frame {
            picture: whole.clone(),
            note: String::new(),
            whole,
        };
        screen.draw(frame, theme.glyphs.ellipsis)
    }

    fn append(&mut self, report: &CanaryReport) -> Result<(), Error> {
        let theme = self.output.theme();
        let line = match &self.args.output {
            Some(ListFormat::Machine(_)) => format!("{report:?}"),
            _ => change::line(report, &theme),
        };
        if self.said.get(&report.metadata) == Some(&line) {
            return Ok(());
        }
        match &self.args.output {
            Some(ListFormat::Machine(Machine::Json)) => self.output.json_line(report)?,
            Some(ListFormat::Machine(Machine::Yaml)) => {
                self.output.print("---\n")?;
                self.output.yaml(report)?;
            }
            Some(ListFormat::Machine(format)) => {
                self.output.machine(format, report)?;
                self.output.print("\n")?;
            }
            _ => self
                .output
                .print(&format!("{}  {line}\n", now().strftime("%H:%M:%SZ")))?,
        }
        self.said.insert(report.metadata.clone(), line);
        Ok(())
    }

    /// A command that waits says what for.
    fn say_once_at_rest(&mut self, report: &CanaryReport) {
        if !report.running && !self.rested && self.screen.is_none() {
            anstream::eprintln!(
                "no release of {} is in progress: waiting for the next one",
                report.id()
            );
        }
        self.rested = true;
    }
}
