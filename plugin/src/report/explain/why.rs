//! One sentence of answer, and the rule behind it.

use canary_core::message::RollbackReason;
use canary_core::policy::UNREADABLE;
use canary_core::status::{Outcome, Phase};

use super::leaving::{put_in_charge, reverting};
use super::{Facts, Paragraph, paragraph};
use crate::render::detail::command;
use crate::render::{ASCII, countdown, duration, images};
use crate::report::{Attention, CanaryReport, ReleaseReport};

/// What stands before the command or the edit that helps.
const HELPS: &str = "helps";
/// What stands before a rollback that is decided, and why people are still on the canary.
const NOT_ROUTED: &str = "not routed";

pub struct Why {
    pub answer: String,
    pub paragraphs: Vec<Paragraph>,
    pub commands: Vec<String>,
}

pub fn why(facts: &Facts) -> Why {
    let report = &facts.report;
    let id = report.id();
    if let Some(deleting) = report.deleting().filter(|it| it.closes_the_way_back()) {
        let rule =
            "of a Canary that is being deleted no release goes on, and no request is acted on";
        return said(deleting.message.clone(), &[rule.to_owned()], &[])
            .with("waits", reverting(report).map(|it| it.message.clone()))
            .with(HELPS, deleting.hint.clone())
            .with(HELPS, reverting(report).and_then(|it| it.hint.clone()));
    }
    if report.suspended {
        return suspended(report);
    }
    match report.obstacle() {
        Some(it) if it.closes_the_way_back() => {
            let rule = "canary-webhook acts on the Canary as soon as this is mended".to_owned();
            let answer = format!("{id} is not acted on: {}", it.message);
            said(answer, &[rule], &["doctor"])
                .with(HELPS, it.hint.clone())
                .commands_of(report)
        }
        Some(it) => hindered(facts, it),
        None => by_phase(facts).with(NOT_ROUTED, report.pending().map(|it| it.message.clone())),
    }
}

/// Somebody wants it to stand still: the ways back stay open.
fn suspended(report: &CanaryReport) -> Why {
    let answer = format!("{} is suspended", report.id());
    let mut rules = vec![
        "while spec.suspend is true, nothing goes forward: no step, no check, no promotion and no new release"
            .to_owned(),
    ];
    if !report.running {
        return said(answer, &rules, &[]);
    }
    rules.push("if the canary loses its pods, everybody goes to the primary".to_owned());
    rules.push(format!(
        "it can be rolled back: {}",
        command("rollback", report)
    ));
    said(answer, &rules, &["rollback"]).commands_of(report)
}

/// What hinders closes the ways forward and none of the ways back.
fn hindered(facts: &Facts, hindrance: &Attention) -> Why {
    let report = &facts.report;
    let helps = hindrance.hint.clone();
    let message = &hindrance.message;
    if let Some(release) = report
        .release
        .as_ref()
        .filter(|_| report.can_only_go_back())
    {
        let answer = format!("{} goes no further: {message}", named(release));
        let until = match report.deleting() {
            Some(_) => {
                "until the Canary is gone it is still checked, and rolled back by its threshold and its deadline"
            }
            None => {
                "it goes on by itself as soon as this is mended; until then it is still checked, and rolled back by its threshold and its deadline"
            }
        };
        let rules = [
            until.to_owned(),
            format!("it can be rolled back: {}", command("rollback", report)),
        ];
        return said(answer, &rules, &["rollback", "doctor"])
            .with(HELPS, helps)
            .with("pods wait", vec![release.message.clone()])
            .commands_of(report);
    }
    let (about, lines) = match (report.pending(), report.phase) {
        (Some(pending), _) => (NOT_ROUTED, vec![pending.message.clone(), message.clone()]),
        (None, Phase::Initializing) => ("hindered", vec![message.clone()]),
        (None, _) => (
            "hindered",
            vec![format!("no release starts until this is mended: {message}")],
        ),
    };
    by_phase(facts).with(about, lines).with(HELPS, helps)
}

fn by_phase(facts: &Facts) -> Why {
    let report = &facts.report;
    let id = report.id();
    match report.phase {
        Phase::New => said(
            format!("no controller has looked at {id} yet"),
            &["canary-webhook looks at a Canary within a moment, if it runs and watches the namespace".to_owned()],
            &["version"],
        )
        .commands_of(report),
        Phase::Initializing => initializing(report),
        Phase::Terminating | Phase::Terminated => {
            said(format!("{id} is being deleted"), &[], &[])
        }
        Phase::Failed => failed(facts),
        Phase::Initialized | Phase::Succeeded => at_rest(facts),
        Phase::Waiting
        | Phase::Progressing
        | Phase::WaitingPromotion
        | Phase::Promoting
        | Phase::Finalising => match &report.release {
            Some(release) => running(facts, release),
            None => said(
                format!("a release of {id} is run by another controller"),
                &["canary-webhook records each release in status; this one is not recorded".to_owned()],
                &["version"],
            )
            .commands_of(report),
        },
    }
}

fn said(answer: String, rule: &[String], commands: &[&str]) -> Why {
    Why {
        answer,
        paragraphs: paragraph("rule", rule.to_vec()).into_iter().collect(),
        commands: commands.iter().map(|verb| (*verb).to_owned()).collect(),
    }
}

// === impl Why ===

impl Why {
    /// Verbs become command lines that can be pasted.
    fn commands_of(mut self, report: &CanaryReport) -> Self {
        let line = |verb: String| match verb.as_str() {
            "version" => "kubectl canary version".to_owned(),
            "follow" => format!("{} --watch", command("status", report)),
            verb => command(verb, report),
        };
        self.commands = self.commands.into_iter().map(line).collect();
        self
    }

    fn with(mut self, about: &'static str, lines: impl IntoIterator<Item = String>) -> Self {
        let lines = lines.into_iter().collect();
        self.paragraphs.extend(paragraph(about, lines));
        self
    }
}

fn attention<'a>(report: &'a CanaryReport, type_: &str) -> Option<&'a str> {
    let mut all = report.attention.iter();
    let found = all.find(|attention| attention.type_ == type_)?;
    Some(&found.message)
}

fn initializing(report: &CanaryReport) -> Why {
    let rule = "the primary is made from the target; once its pods are ready it takes the traffic, and the target is scaled to 0".to_owned();
    said(
        format!("{} is being initialized", report.id()),
        &[rule],
        &["status"],
    )
    .commands_of(report)
}

fn at_rest(facts: &Facts) -> Why {
    let report = &facts.report;
    let last = match &report.release {
        Some(release) => ended(facts, release),
        None => "it has had no release yet".to_owned(),
    };
    let rule = format!(
        "a release starts when the pod template of {} changes, or a ConfigMap or Secret that it uses",
        report.target
    );
    said(
        format!("{} is at rest: {last}", report.id()),
        &[rule],
        &["can-i release", "history"],
    )
    .commands_of(report)
}

/// `release 2 (6.0.0 -> 6.0.1) was promoted 10s ago`.
fn ended(facts: &Facts, release: &ReleaseReport) -> String {
    let what = match release.outcome {
        Some(Outcome::Promoted) | None => "was promoted",
        Some(Outcome::RolledBack) => "was rolled back",
        Some(Outcome::Aborted) => "was aborted",
        Some(Outcome::Superseded) => "was superseded",
        Some(Outcome::PromotionFailed) => "could not be promoted",
    };
    let ago = release.ended_at.map_or(String::new(), |end| {
        format!(" {} ago", duration(facts.now.duration_since(end).as_secs()))
    });
    format!("{} {what}{ago}", named(release))
}

fn named(release: &ReleaseReport) -> String {
    let images = images(&release.images, &ASCII);
    if images.is_empty() {
        format!("release {}", release.number)
    } else {
        format!("release {} ({images})", release.number)
    }
}

fn failed(facts: &Facts) -> Why {
    let report = &facts.report;
    let Some(release) = &report.release else {
        return said(
            format!("the last release of {} failed", report.id()),
            &[],
            &["status"],
        )
        .commands_of(report);
    };
    let because = if release.message.is_empty() {
        String::new()
    } else {
        format!(": {}", release.message)
    };
    let answer = format!("{}{because}", ended(facts, release));
    let rule = failure_rule(facts, release);
    let again = format!(
        "fix it and update {}, or try the same revision once more, as below",
        report.target
    );
    let mut why = said(answer, &[rule], &["retry", "history"]).commands_of(report);
    // The check that brought it there is told by the condition, which outlives the release.
    if let Some(check) = attention(report, "Halted") {
        why = why.with("last check", vec![check.to_owned()]);
    }
    why.with("then", vec![again])
        .with("deletion", put_in_charge(facts))
}

/// Why such an end is the end.
fn failure_rule(facts: &Facts, release: &ReleaseReport) -> String {
    let (report, canary) = (&facts.report, &facts.canary);
    let begins = |reason: RollbackReason| {
        let text = reason.why();
        let fixed = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
        release.message.contains(fixed)
    };
    let requested = RollbackReason::Requested {
        by: String::new(),
        reason: String::new(),
    };
    match release.outcome {
        Some(Outcome::PromotionFailed) => "the primary did not become ready with the new revision; it was put back to the promoted one".to_owned(),
        Some(Outcome::Aborted) => {
            "a target that is set back to the promoted revision leaves nothing to release".to_owned()
        }
        _ if begins(RollbackReason::Threshold(0)) => format!(
            "at {} failed checks (spec.analysis.threshold) a release is rolled back",
            report.threshold
        ),
        _ if begins(RollbackReason::Deadline(String::new())) => format!(
            "pods have {} to become ready (spec.progressDeadlineSeconds), or the release is rolled back",
            duration(canary.progress_deadline().as_secs().try_into().unwrap_or(i64::MAX))
        ),
        _ if begins(RollbackReason::TargetGone) => "a release whose target is deleted ends, with everybody on the primary; apply the target again, and its template is a release of its own".to_owned(),
        _ if begins(RollbackReason::Hook) => {
            "a webhook of type rollback that answers with success rolls the release back".to_owned()
        }
        _ if begins(requested) => "a person asked for it".to_owned(),
        _ => String::new(),
    }
}

fn running(facts: &Facts, release: &ReleaseReport) -> Why {
    let report = &facts.report;
    let number = named(release);
    if release.outcome.is_some() {
        let answer = format!("{number} is being rolled back: {}", release.message);
        let rule = failure_rule(facts, release);
        return said(answer, &[rule], &["follow"]).commands_of(report);
    }
    if let Some(pause) = &release.paused {
        return paused(facts, release, pause);
    }
    if let Some(gate) = &release.waiting_for {
        return waiting(facts, release, gate);
    }
    match report.phase {
        Phase::Waiting | Phase::WaitingPromotion => waiting(facts, release, "approval"),
        Phase::Promoting => {
            let rule = "the primary rolls to the analysed revision pod by pod; traffic follows when it is ready".to_owned();
            let message = vec![release.message.clone()];
            said(format!("{number} is being promoted"), &[rule], &["follow"])
                .with("pods wait", message)
                .commands_of(report)
        }
        Phase::Finalising => {
            let rule = "the primary runs the new revision and takes the traffic; then the target is scaled to 0".to_owned();
            said(format!("{number} is nearly promoted"), &[rule], &["follow"]).commands_of(report)
        }
        _ => analysed(facts, release),
    }
}

fn paused(facts: &Facts, release: &ReleaseReport, pause: &canary_core::status::Pause) -> Why {
    let report = &facts.report;
    let by = pause.by.as_deref().unwrap_or("unknown");
    let reason = pause
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!(": {reason}"));
    let ago = duration(facts.now.duration_since(pause.since).as_secs());
    let weight = report.traffic.canary;
    let answer = format!(
        "{} was paused at weight {weight} by {by} {ago} ago{reason}",
        named(release)
    );
    let left = duration((pause.remaining_ms + 999) / 1000);
    let until = match pause.until {
        Some(until) => format!("{until}, or until it is resumed"),
        None => "it is resumed".to_owned(),
    };
    let rule =
        format!("a paused release stays where it is until {until}; then {left} of its step remain");
    said(answer, &[rule], &["resume", "rollback"]).commands_of(report)
}

fn waiting(facts: &Facts, release: &ReleaseReport, gate: &str) -> Why {
    let report = &facts.report;
    let number = named(release);
    let answer = match report.phase {
        Phase::Waiting => format!("{number} has not started: it waits for {gate}"),
        Phase::WaitingPromotion => format!("{number} is not promoted yet: it waits for {gate}"),
        _ => format!(
            "{number} stays at weight {}: it waits for {gate}",
            report.traffic.canary
        ),
    };
    if gate.starts_with("CanaryPolicy ") {
        let held = attention(report, "Held").unwrap_or_default().to_owned();
        let rule = if gate == UNREADABLE {
            "nothing is promoted while the server cannot read the policies; a rollback is never held"
        } else {
            "a hold ends by its time or with the policy; a rollback is never held"
        };
        let rule = rule.to_owned();
        return said(answer, &[rule], &["can-i release", "rollback"])
            .with("policy", vec![held])
            .commands_of(report);
    }
    let rule = match report.phase {
        Phase::Waiting => {
            "confirm-rollout webhooks are asked again at each check, until they answer with success or somebody promotes"
        }
        Phase::WaitingPromotion => {
            "confirm-promotion webhooks are asked again at each check, until they answer with success or somebody promotes"
        }
        _ => {
            "confirm-traffic-increase webhooks are asked before each step, until they answer with success or somebody promotes"
        }
    };
    said(answer, &[rule.to_owned()], &["promote", "rollback"]).commands_of(report)
}

fn analysed(facts: &Facts, release: &ReleaseReport) -> Why {
    let (report, canary) = (&facts.report, &facts.canary);
    let number = named(release);
    let weight = report.traffic.canary;
    if let Some(check) = attention(report, "Halted") {
        let answer = format!("{number} stays at weight {weight}: its last check failed");
        let rule = format!(
            "{} of {} failed checks (spec.analysis.threshold): at the last it is rolled back",
            report.failed_checks, report.threshold
        );
        return said(answer, &[rule], &["follow", "rollback"])
            .with("last check", vec![check.to_owned()])
            .commands_of(report);
    }
    if !release.message.is_empty() {
        let answer = format!("{number} waits for its pods: {}", release.message);
        let deadline = canary.progress_deadline().as_secs();
        let deadline = deadline.try_into().unwrap_or(i64::MAX);
        let rule = format!(
            "pods that make no progress for {} (spec.progressDeadlineSeconds) roll it back",
            duration(deadline)
        );
        return said(answer, &[rule], &["follow", "rollback"]).commands_of(report);
    }
    let next = match report
        .progress
        .as_ref()
        .and_then(|progress| progress.next_weight)
    {
        Some(next) => format!("then weight {next}"),
        None => "then the next step or promotion".to_owned(),
    };
    let due = match countdown(report, facts.now) {
        Some(seconds) => format!("its next check is in {}, {next}", duration(seconds)),
        None => "its pods come up".to_owned(),
    };
    let rule = format!(
        "each check that passes takes the next step; {} of {} failed checks so far (spec.analysis.threshold)",
        report.failed_checks, report.threshold
    );
    said(
        format!("{number} goes on at weight {weight}: {due}"),
        &[rule],
        &["follow"],
    )
    .commands_of(report)
}
