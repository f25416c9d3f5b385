//! A terminal session as a picture: what stood on the screen, and from when on.
//!
//! ```text
//!  commands ──► Terminal (a pseudo-terminal) ──► Frame, Frame, … ──► svg::animated ──► docs/demo.svg
//! ```

use std::time::Duration;

use vt100::{Cell, Color, Screen};

pub mod svg;
mod terminal;

pub use terminal::Terminal;

/// A program draws a screen in several writes: what is drawn over sooner than this was not finished.
const HALF_DRAWN: Duration = Duration::from_millis(40);

/// What stands on the screen from a moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Since the recording began.
    pub at: Duration,
    pub rows: Vec<Row>,
}

/// Of one line, from left to right.
pub type Row = Vec<Run>;

/// Text that looks the same, without a gap wider than a space.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub column: u16,
    /// Columns that it takes.
    pub cells: u16,
    pub text: String,
    pub look: Look,
}

/// How text looks. Backgrounds and underlines are not kept: no command here has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// One of the eight colours that every terminal has.
    pub color: Option<u8>,
    pub bold: bool,
    pub dim: bool,
}

// === impl Frame ===

impl Frame {
    /// Of the screen as it is, cursor included.
    pub fn of(screen: &Screen, at: Duration) -> Self {
        let (rows, columns) = screen.size();
        let rows = 0..rows.get();
        let mut rows: Vec<Row> = rows.map(|row| runs(screen, row, columns.get())).collect();
        let (row, column) = screen.cursor_position();
        if !screen.hide_cursor()
            && column < columns.get()
            && let Some(row) = rows.get_mut(usize::from(row))
        {
            row.push(Run::cursor(column));
        }
        Self { at, rows }
    }
}

/// Without frames that were never finished, and without those that show what the one before them does.
pub fn settled(frames: Vec<Frame>) -> Vec<Frame> {
    let mut settled: Vec<Frame> = Vec::new();
    for frame in frames {
        if settled
            .last()
            .is_some_and(|last| frame.at.saturating_sub(last.at) < HALF_DRAWN)
        {
            settled.pop();
        }
        if settled.last().is_none_or(|last| last.rows != frame.rows) {
            settled.push(frame);
        }
    }
    settled
}

fn runs(screen: &Screen, row: u16, columns: u16) -> Row {
    let mut runs: Row = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else {
            break;
        };
        let text = cell.contents();
        if text.trim().is_empty() {
            continue;
        }
        let cells = if cell.is_wide() { 2 } else { 1 };
        let look = Look::of(cell);
        match runs.last_mut() {
            Some(run) if run.look == look && column <= run.end() + 1 => {
                if column > run.end() {
                    run.text.push(' ');
                }
                run.text.push_str(text);
                run.cells = column + cells - run.column;
            }
            _ => runs.push(Run {
                column,
                cells,
                text: text.to_owned(),
                look,
            }),
        }
    }
    runs
}

// === impl Run ===

impl Run {
    fn cursor(column: u16) -> Self {
        Self {
            column,
            cells: 1,
            text: "█".to_owned(),
            look: Look::default(),
        }
    }

    /// The first column behind it.
    fn end(&self) -> u16 {
        self.column + self.cells
    }
}

// === impl Look ===

impl Look {
    fn of(cell: &Cell) -> Self {
        let color = match cell.fgcolor() {
            // The second eight are the first, but brighter.
            Color::Idx(index @ 0..16) => Some(index % 8),
            Color::Default | Color::Idx(_) | Color::Rgb(..) => None,
        };
        Self {
            color,
            bold: cell.bold(),
            dim: cell.dim(),
        }
    }
}

#[cfg(test)]
mod tests;
