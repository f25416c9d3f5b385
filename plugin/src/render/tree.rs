//! What runs where: a Canary, its Deployments, their ReplicaSets and Pods.
//!
//! ```text
//!  workloads ─► rows (names, words, folds) ─► plan (which columns fit) ─► Vec<Line>
//! ```

mod columns;
mod fold;

use jiff::Timestamp;

use self::columns::{LEAST, Object, PLANS, Plan, fitted};
use super::layout::{Line, Tone};
use super::style::Theme;
use super::words::{self, age};
use crate::report::{
    CanaryReport, Health, PodReport, ReplicaSetReport, Role, State, Unread, Workload,
};

/// How much of a big tree is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folding {
    /// Pods of each ReplicaSet; the others are counted.
    pub pods: usize,
    /// ReplicaSets of each Deployment. By default those with pods, and the current one.
    pub revisions: Option<usize>,
}

enum Row {
    Object(Object),
    /// What stands for others, or says why they are not there.
    Note {
        branches: String,
        tone: Tone,
        text: String,
    },
}

struct Tree<'a> {
    theme: &'a Theme,
    now: Timestamp,
    folding: Folding,
    rows: Vec<Row>,
}

/// A header and a line for each object; nothing where no Deployment is known.
pub fn lines(report: &CanaryReport, theme: &Theme, now: Timestamp, folding: Folding) -> Vec<Line> {
    if report.workloads.is_empty() {
        return Vec::new();
    }
    let mut tree = Tree {
        theme,
        now,
        folding,
        rows: Vec::new(),
    };
    tree.canary(report);
    let plan = PLANS
        .into_iter()
        .find(|plan| theme.width.is_none_or(|width| tree.width(*plan) <= width))
        .unwrap_or(LEAST);
    tree.drawn(plan)
}

// === impl Folding ===

impl Default for Folding {
    fn default() -> Self {
        Self {
            pods: 10,
            revisions: None,
        }
    }
}

impl Folding {
    /// Everything.
    pub const UNFOLDED: Self = Self {
        pods: usize::MAX,
        revisions: Some(usize::MAX),
    };

    /// The next smaller one, for a terminal that is too low for this one.
    pub fn folded(self) -> Option<Self> {
        let pods = match self.pods {
            0 => return None,
            1..=3 => self.pods - 1,
            4..=10 => self.pods / 2,
            _ => 10,
        };
        Some(Self { pods, ..self })
    }
}

// === impl Tree ===

impl Tree<'_> {
    fn canary(&mut self, report: &CanaryReport) {
        let (icon, phase, tone) = words::phase(report, self.theme.glyphs);
        self.rows.push(Row::Object(Object {
            branches: String::new(),
            name: report.metadata.name.clone(),
            short: report.metadata.name.clone(),
            kind: "Canary",
            status: Line::new().with(tone, format!("{icon} {phase}")),
            age: self.age(report.created_at),
            info: format!("canary {} %", report.traffic.canary),
        }));
        let count = report.workloads.len();
        for (index, workload) in report.workloads.iter().enumerate() {
            self.workload(workload, index + 1 == count);
        }
    }

    fn workload(&mut self, workload: &Workload, last: bool) {
        let (own, below) = self.branches("", last);
        let role = match workload.role {
            Role::Primary => "primary",
            Role::Canary => "canary",
        };
        let info = [
            role.to_owned(),
            format!("{}/{} ready", workload.ready, workload.desired),
            words::tags(&workload.images),
        ];
        self.push(
            own,
            (&workload.name, ""),
            "Deployment",
            &workload.state,
            (self.age(workload.created_at), joined(info)),
        );
        let (shown, hidden) = fold::replica_sets(&workload.replica_sets, self.folding.revisions);
        let unread = unread(&workload.unread);
        let mut left =
            shown.len() + usize::from(!hidden.is_empty()) + usize::from(unread.is_some());
        for set in shown {
            left -= 1;
            self.replica_set(set, workload, &below, left == 0);
        }
        if !hidden.is_empty() {
            left -= 1;
            self.note(&below, left == 0, Tone::Label, &hidden);
        }
        if let Some(text) = unread {
            self.note(&below, true, Tone::Bad, &text);
        }
    }

    fn replica_set(
        &mut self,
        set: &ReplicaSetReport,
        workload: &Workload,
        prefix: &str,
        last: bool,
    ) {
        let (own, below) = self.branches(prefix, last);
        let revision = match set.revision {
            0 => String::new(),
            number => format!("revision {number}"),
        };
        let info = [
            revision,
            format!("{}/{} ready", set.ready, set.desired),
            words::tags(&set.images),
        ];
        self.push(
            own,
            (&set.name, &workload.name),
            "ReplicaSet",
            &set.state,
            (self.age(set.created_at), joined(info)),
        );
        let (shown, hidden) = fold::pods(&set.pods, self.folding.pods);
        let mut left = shown.len() + usize::from(!hidden.is_empty());
        for pod in shown {
            left -= 1;
            self.pod(pod, set, &below, left == 0);
        }
        if !hidden.is_empty() {
            self.note(&below, true, Tone::Label, &hidden);
        }
    }

    fn pod(&mut self, pod: &PodReport, set: &ReplicaSetReport, prefix: &str, last: bool) {
        let (own, _) = self.branches(prefix, last);
        let restarts = match (pod.restarts, pod.last_termination.as_str()) {
            (0, _) => String::new(),
            (count, "") => format!("restarts {count}"),
            (count, ending) => format!("restarts {count}, last {ending}"),
        };
        let info = [format!("{}/{} ready", pod.ready, pod.containers), restarts];
        self.push(
            own,
            (&pod.name, &set.name),
            "Pod",
            &pod.state,
            (self.age(pod.created_at), joined(info)),
        );
    }

    fn push(
        &mut self,
        branches: String,
        (name, parent): (&str, &str),
        kind: &'static str,
        state: &State,
        (age, info): (String, String),
    ) {
        let (icon, tone) = self.icon(state.health);
        let rest = name.strip_prefix(parent).filter(|_| !parent.is_empty());
        let short = match rest.filter(|rest| rest.starts_with('-')) {
            Some(rest) => format!("{}{rest}", self.theme.glyphs.ellipsis),
            None => name.to_owned(),
        };
        self.rows.push(Row::Object(Object {
            branches,
            name: name.to_owned(),
            short,
            kind,
            status: Line::new().with(tone, format!("{icon} {}", state.status)),
            age,
            info,
        }));
    }

    fn note(&mut self, prefix: &str, last: bool, tone: Tone, text: &str) {
        let (branches, _) = self.branches(prefix, last);
        self.rows.push(Row::Note {
            branches,
            tone,
            text: format!("{} {text}", self.theme.glyphs.ellipsis),
        });
    }

    /// What stands before an object, and before what is below it.
    fn branches(&self, prefix: &str, last: bool) -> (String, String) {
        let glyphs = self.theme.glyphs;
        let (own, below) = if last {
            (glyphs.last, "   ")
        } else {
            (glyphs.branch, glyphs.stem)
        };
        (format!("{prefix}{own}"), format!("{prefix}{below}"))
    }

    fn icon(&self, health: Health) -> (&'static str, Tone) {
        let glyphs = self.theme.glyphs;
        match health {
            Health::Degraded => (glyphs.bad, Tone::Bad),
            Health::Unknown => (glyphs.unknown, Tone::Label),
            Health::Progressing => (glyphs.busy, Tone::Busy),
            Health::Healthy => (glyphs.good, Tone::Good),
            Health::Idle => (glyphs.neutral, Tone::Plain),
        }
    }

    fn age(&self, since: Option<Timestamp>) -> String {
        since.map_or_else(String::new, |since| age(since, self.now))
    }

    fn width(&self, plan: Plan) -> usize {
        self.drawn(plan).iter().map(Line::width).max().unwrap_or(0)
    }

    fn drawn(&self, plan: Plan) -> Vec<Line> {
        let header = Object::header();
        let objects = self.rows.iter().filter_map(|row| match row {
            Row::Object(object) => Some(object),
            Row::Note { .. } => None,
        });
        let cells: Vec<_> = objects
            .chain([&header])
            .map(|object| object.cells(plan))
            .collect();
        let widest = |column: usize| {
            let widths = cells.iter().map(|cells| cells[column].width());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.cells(plan).len()).map(widest).collect();
        let mut lines = vec![fitted(header.cells(plan), &widths)];
        lines.extend(self.rows.iter().map(|row| match row {
            Row::Object(object) => fitted(object.cells(plan), &widths),
            Row::Note {
                branches,
                tone,
                text,
            } => Line::new().with(Tone::Label, branches).with(*tone, text),
        }));
        lines
    }
}

fn joined<const N: usize>(words: [String; N]) -> String {
    let said: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    said.join("  ")
}

/// What could not be read, in one line; the whole of it is in `-o json`.
fn unread(unread: &[Unread]) -> Option<String> {
    let resources: Vec<&str> = unread.iter().map(|one| one.resource.as_str()).collect();
    let resources = resources.join(" and ");
    let first = unread.first()?;
    Some(if unread.iter().all(|one| one.forbidden) {
        format!("no right to list {resources}")
    } else {
        format!("{resources} cannot be read: {}", first.message)
    })
}

#[cfg(test)]
mod tests;
