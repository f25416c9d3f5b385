//! Reports to text. Pure: the terminal, the clock and the locale arrive as values.
//!
//! ```text
//!  CanaryReport ─┬─ detail ─┐
//!                ├─ table  ─┼─► Vec<Line> ─► Theme::paint ─► text
//!                └─ change ─┘   (layout)      (style)
//! ```

pub mod change;
pub mod detail;
pub mod explain;
mod grid;
pub mod history;
mod layout;
pub mod outcome;
pub mod policies;
pub mod several;
pub mod style;
pub mod table;
mod words;

pub use layout::Line;
pub use style::{ASCII, Theme};
pub use words::{countdown, duration, images};

#[cfg(test)]
mod tests;
