//! The columns of a tree, and which of them are given up on a narrow terminal.

use crate::render::layout::{Line, Tone};

const GAP: usize = 2;

/// The columns that a width has room for.
#[derive(Clone, Copy)]
pub struct Plan {
    kind: bool,
    age: bool,
    info: bool,
    /// Names without what their parent's name says already.
    short: bool,
}

const EVERYTHING: Plan = Plan {
    kind: true,
    age: true,
    info: true,
    short: false,
};
const WITHOUT_KIND: Plan = Plan {
    kind: false,
    ..EVERYTHING
};
const NAMES: Plan = Plan {
    age: false,
    ..WITHOUT_KIND
};
const SHORT: Plan = Plan {
    short: true,
    ..WITHOUT_KIND
};
const SHORTER: Plan = Plan {
    age: false,
    ..SHORT
};
pub const LEAST: Plan = Plan {
    info: false,
    ..SHORTER
};

/// What is given up, one after the other. A name that can be pasted is worth more than an age.
pub const PLANS: [Plan; 6] = [EVERYTHING, WITHOUT_KIND, NAMES, SHORT, SHORTER, LEAST];

/// What stands in the columns of one object.
pub struct Object {
    pub branches: String,
    pub name: String,
    pub short: String,
    pub kind: &'static str,
    pub status: Line,
    pub age: String,
    pub info: String,
}

// === impl Object ===

impl Object {
    pub fn header() -> Self {
        Self {
            branches: "NAME".to_owned(),
            name: String::new(),
            short: String::new(),
            kind: "KIND",
            status: Line::new().with(Tone::Label, "STATUS"),
            age: "AGE".to_owned(),
            info: "INFO".to_owned(),
        }
    }

    pub fn cells(&self, plan: Plan) -> Vec<Line> {
        let name = if plan.short { &self.short } else { &self.name };
        // The header has nothing but a label.
        let tone = if name.is_empty() {
            Tone::Label
        } else {
            Tone::Plain
        };
        let mut cells = vec![
            Line::new()
                .with(Tone::Label, &self.branches)
                .with(Tone::Plain, name),
        ];
        if plan.kind {
            cells.push(Line::new().with(tone, self.kind));
        }
        cells.push(self.status.clone());
        if plan.age {
            cells.push(Line::new().with(tone, &self.age));
        }
        if plan.info {
            cells.push(Line::new().with(tone, &self.info));
        }
        cells
    }
}

/// The cells in columns of these widths.
pub fn fitted(cells: Vec<Line>, widths: &[usize]) -> Line {
    let padded = cells
        .into_iter()
        .zip(widths)
        .map(|(cell, width)| cell.padded(width + GAP));
    padded.fold(Line::new(), Line::joined).trimmed()
}
