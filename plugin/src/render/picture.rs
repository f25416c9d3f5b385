//! One Canary on one screen: what it is at, and what runs where.

use jiff::Timestamp;

use super::detail;
use super::layout::Line;
use super::style::Theme;
use super::tree::{self, Folding};
use crate::report::CanaryReport;

/// How a Canary is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// With what is rarely needed, and every pod.
    pub wide: bool,
    /// So many ReplicaSets of each Deployment.
    pub revisions: Option<usize>,
}

/// The whole picture.
pub fn whole(report: &CanaryReport, theme: &Theme, now: Timestamp, wish: Wish) -> String {
    folded(report, theme, now, (wish, wish.folding()))
}

/// A picture of at most so many lines, if folding its tree makes it one.
pub fn fitted(
    report: &CanaryReport,
    theme: &Theme,
    now: Timestamp,
    wish: Wish,
    rows: usize,
) -> String {
    let mut folding = wish.folding();
    loop {
        let text = folded(report, theme, now, (wish, folding));
        match folding.folded() {
            Some(smaller) if text.lines().count() > rows => folding = smaller,
            _ => return text,
        }
    }
}

fn folded(
    report: &CanaryReport,
    theme: &Theme,
    now: Timestamp,
    (wish, folding): (Wish, Folding),
) -> String {
    let mut lines = detail::lines(report, theme, now, wish.wide);
    let tree = tree::lines(report, theme, now, folding);
    if !tree.is_empty() {
        lines.push(Line::new());
    }
    lines.extend(tree);
    theme.paint(&lines)
}

// === impl Wish ===

impl Wish {
    fn folding(self) -> Folding {
        let folding = if self.wide {
            Folding::UNFOLDED
        } else {
            Folding::default()
        };
        Folding {
            revisions: self.revisions.or(folding.revisions),
            ..folding
        }
    }
}
