//! Reports to text. Pure: the terminal, the clock and the locale arrive as values.
//!
//! ```text
//!  CanaryReport ─┬─ detail ─┐
//!                ├─ tree   ─┤  (both: picture)
//!                ├─ table  ─┼─► Vec<Line> ─► Theme::paint ─► text
//!                └─ change ─┘   (layout)      (style)
//! ```

pub mod change;
pub mod detail;
pub mod doctor;
pub mod explain;
mod grid;
pub mod history;
mod layout;
pub mod lint;
pub mod outcome;
pub mod picture;
pub mod policies;
pub mod several;
pub mod style;
pub mod table;
pub mod tree;
mod words;

pub use layout::{Line, Tone, steers};
pub use style::{ASCII, Theme};
pub use words::{bracketed, countdown, duration, images, outcome, phase};

#[cfg(test)]
mod tests;
