//! One Canary on one screen.

mod metrics;
mod past;

use canary_core::status::{ImageChange, Phase, RequestOutcome};
use jiff::{SignedDuration, Timestamp};

use super::layout::{Line, Row, Tone};
use super::style::Theme;
use super::words::{self, age};
use crate::report::{Attention, CanaryReport, ReleaseReport, Replicas, trouble};

/// How long a refused request stays on the screen.
const NEWS: SignedDuration = SignedDuration::from_mins(10);

/// The picture of a Canary; `wide` adds what is rarely needed.
pub fn lines(report: &CanaryReport, theme: &Theme, now: Timestamp, wide: bool) -> Vec<Line> {
    let screen = Screen { report, theme, now };
    let mut rows = vec![screen.title(), screen.image(), screen.traffic()];
    rows.extend(
        [screen.step(), screen.paused(), screen.gate()]
            .into_iter()
            .flatten(),
    );
    rows.extend(screen.replicas());
    let columns = theme.columns();
    let mut lines: Vec<Line> = rows
        .into_iter()
        .flat_map(|row| row.lines(columns))
        .collect();
    lines.extend(screen.metrics());
    let mut rest = screen.attention();
    rest.extend(screen.request(wide));
    if wide {
        rest.extend(screen.wide());
    }
    if !wide || report.history.is_empty() {
        rest.extend(screen.last());
    }
    rest.extend(screen.next());
    lines.extend(rest.into_iter().flat_map(|row| row.lines(columns)));
    lines
}

struct Screen<'a> {
    report: &'a CanaryReport,
    theme: &'a Theme,
    now: Timestamp,
}

// === impl Screen ===

impl Screen<'_> {
    fn title(&self) -> Row {
        let (icon, phase, tone) = words::phase(self.report, self.theme.glyphs);
        let mut items = vec![
            Line::new().with(Tone::Strong, self.report.id()),
            Line::new().with(tone, format!("{icon} {phase}")),
        ];
        match self.release().filter(|_| self.report.running) {
            Some(release) => {
                items.push(Line::plain(format!("release {}", release.number)));
                items.push(Line::plain(format!(
                    "by {}",
                    release.by.as_deref().unwrap_or("unknown")
                )));
                items.push(Line::plain(format!(
                    "started {} ago",
                    age(release.started_at, self.now)
                )));
            }
            None if self.report.running => {}
            None => items.push(Line::plain("no release in progress")),
        }
        Row::title(items)
    }

    fn image(&self) -> Row {
        let release = self.release().filter(|_| self.report.running);
        let items = match release {
            Some(release) => self.changes(&release.images),
            None => self.report.images.iter().map(Line::plain).collect(),
        };
        Row::new("image", items)
    }

    fn changes(&self, images: &[ImageChange]) -> Vec<Line> {
        if images.is_empty() || images.iter().all(|change| change.from == change.to) {
            return vec![Line::plain("the same images, another template")];
        }
        let change = Line::new().with(Tone::Strong, words::images(images, self.theme.glyphs));
        words::repository(images)
            .map(Line::plain)
            .into_iter()
            .chain([change])
            .collect()
    }

    fn traffic(&self) -> Row {
        let traffic = &self.report.traffic;
        let glyphs = self.theme.glyphs;
        let cells = if self.theme.columns() < 60 { 10 } else { 20 };
        let full = usize::try_from((traffic.primary * cells + 50) / 100).unwrap_or(0);
        let empty = usize::try_from(cells).unwrap_or(0).saturating_sub(full);
        let bar = Line::plain("primary ")
            .with(Tone::Good, glyphs.full.repeat(full))
            .with(Tone::Busy, glyphs.empty.repeat(empty))
            .with(Tone::Plain, format!(" {} %", traffic.primary));
        let canary = Line::plain(format!("canary {} %", traffic.canary));
        Row::new("traffic", vec![bar, canary])
    }

    fn step(&self) -> Option<Row> {
        if !self.report.running {
            return None;
        }
        let mut items = Vec::new();
        if let Some(progress) = &self.report.progress {
            let what = if self.report.strategy == "canary" {
                ""
            } else {
                "iteration "
            };
            let then = match progress.next_weight {
                Some(weight) => format!(", then {weight} %"),
                None => ", then promotion".to_owned(),
            };
            items.push(Line::plain(format!(
                "{what}{} of {}{then}",
                progress.current, progress.of
            )));
        }
        items.push(match self.report.phase {
            Phase::Promoting => Line::plain("copying the new revision to the primary"),
            Phase::Finalising => Line::plain("the primary takes all traffic back"),
            _ => self.next_check(),
        });
        let failed = self.report.failed_checks;
        let tone = if failed > 0 { Tone::Bad } else { Tone::Plain };
        items.push(Line::new().with(
            tone,
            format!("failed checks {failed} of {}", self.report.threshold),
        ));
        Some(Row::new("step", items))
    }

    fn next_check(&self) -> Line {
        if self.report.paused().is_some() {
            return Line::new();
        }
        match words::countdown(self.report, self.now) {
            Some(0) => Line::plain("next check now"),
            Some(seconds) => Line::plain(format!("next check in {}", words::duration(seconds))),
            None => Line::new(),
        }
    }

    fn paused(&self) -> Option<Row> {
        let pause = self.report.paused()?;
        let by = pause.by.as_deref().unwrap_or("unknown");
        let reason = pause
            .reason
            .as_deref()
            .map_or(String::new(), |reason| format!(": {reason}"));
        Some(Row::new(
            "paused",
            vec![
                Line::plain(format!(
                    "{} ago by {by}{reason}",
                    age(pause.since, self.now)
                )),
                Line::plain(format!(
                    "{} of the step remain",
                    words::duration((pause.remaining_ms + 999) / 1000)
                )),
                pause.until.map_or_else(Line::new, |until| {
                    let left = until.duration_since(self.now).as_secs().max(0);
                    Line::plain(format!("resumes in {}", words::duration(left)))
                }),
            ],
        ))
    }

    fn gate(&self) -> Option<Row> {
        let gate = self
            .release()
            .filter(|_| self.report.running)?
            .waiting_for
            .as_deref()?;
        Some(Row::new(
            "waiting",
            vec![Line::new().with(Tone::Strong, format!("for {gate}"))],
        ))
    }

    fn replicas(&self) -> Option<Row> {
        let both = &self.report.replicas;
        let item = |side: &str, replicas: Replicas| {
            let short =
                replicas.ready < replicas.desired || side == "primary" && replicas.ready == 0;
            let tone = if short { Tone::Bad } else { Tone::Plain };
            Line::new().with(
                tone,
                format!("{side} {}/{} ready", replicas.ready, replicas.desired),
            )
        };
        let items: Vec<_> = both
            .primary
            .map(|replicas| item("primary", replicas))
            .into_iter()
            .chain(both.canary.map(|replicas| item("canary", replicas)))
            .collect();
        (!items.is_empty()).then(|| Row::new("replicas", items))
    }

    fn attention(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .report
            .troubles()
            .flat_map(|attention| {
                let what = match attention.type_.as_str() {
                    "Unread" | "Missing" => String::new(),
                    trouble::PENDING | trouble::PODS | trouble::DELETING | trouble::IN_FORCE => {
                        String::new()
                    }
                    // Flagger's sentence begins with the word.
                    "Halted" if attention.message.starts_with("Halt ") => String::new(),
                    "Ready" => "not ready: ".to_owned(),
                    other => format!("{other}: "),
                };
                let said = Line::new()
                    .with(Tone::Bad, what)
                    .with(Tone::Plain, &attention.message);
                let hint = attention.hint.as_ref();
                let hint = hint.map(|hint| Line::new().with(Tone::Label, format!("hint: {hint}")));
                let said = Row::new("attention", vec![said]);
                [said]
                    .into_iter()
                    .chain(hint.map(|hint| Row::new("", vec![hint])))
            })
            .collect();
        if self.report.phase == Phase::New && self.report.deleting().is_none() {
            let said = "no controller has looked at this Canary yet: is canary-webhook running?";
            rows.push(Row::new("attention", vec![Line::plain(said)]));
        }
        rows
    }

    /// A request that came to nothing is news for a while.
    fn request(&self, wide: bool) -> Option<Row> {
        let request = self.report.last_request.as_ref()?;
        let news =
            request.outcome != RequestOutcome::Done && self.now.duration_since(request.at) < NEWS;
        if !news && !wide {
            return None;
        }
        let by = request.by.as_deref().unwrap_or("unknown");
        let ago = age(request.at, self.now);
        let outcome = format!("{:?}", request.outcome).to_lowercase();
        let reason = request.reason.as_deref().unwrap_or_default();
        Some(Row::new(
            "request",
            vec![
                Line::plain(format!("{} by {by} {ago} ago", request.verb)),
                Line::plain(reason),
                Line::plain(format!("{outcome}: {}", request.message)),
            ],
        ))
    }

    /// The command that a person most probably wants now.
    fn next(&self) -> Option<Row> {
        let verb = match self.report.phase {
            _ if self.is_gone() => return None,
            _ if self.report.suspended && !self.report.can_only_go_back() => return None,
            // It is on its way back: the server refuses whatever else is asked.
            _ if self.report.running && self.is_ending() => return None,
            _ if self.report.pending().is_some() => return None,
            _ if self.report.paused().is_some() => "resume",
            // The ways forward are closed, and none of the ways back.
            _ if self.report.can_only_go_back() => "rollback",
            Phase::Waiting | Phase::WaitingPromotion => "promote",
            Phase::Progressing
                if self
                    .release()
                    .is_some_and(|release| release.waiting_for.is_some()) =>
            {
                "promote"
            }
            Phase::Failed => "retry",
            _ => return None,
        };
        Some(Row::new(
            "next",
            vec![Line::new().with(Tone::Strong, command(verb, self.report))],
        ))
    }

    /// It is being deleted, and nothing is done for it any more.
    fn is_gone(&self) -> bool {
        let deleting = self.report.deleting();
        deleting.is_some_and(Attention::closes_the_way_back)
    }

    fn is_ending(&self) -> bool {
        self.release()
            .is_some_and(|release| release.outcome.is_some())
    }

    fn release(&self) -> Option<&ReleaseReport> {
        self.report.release.as_ref()
    }
}

/// A command line that can be pasted.
pub fn command(verb: &str, report: &CanaryReport) -> String {
    format!(
        "kubectl canary {verb} {} -n {}",
        report.metadata.name, report.metadata.namespace
    )
}
