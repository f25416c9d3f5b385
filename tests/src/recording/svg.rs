//! Frames as an animated SVG, which needs no script, no font and no other file.
//!
//! A line of the screen is a film strip: all that it ever shows, side by side, moved so that the picture's frame
//! is over the one that is due. Where nothing moves (`prefers-reduced-motion`, or a viewer without CSS
//! animations), the strips stand as they do at the end.
//!
//! ```text
//!             ┌─ frame ─┐
//!  …  10 %    │  20 %   │   30 %   …      row 2
//!             │ Running │                 row 3: never changes, does not move
//!             └─────────┘
//! ```

use std::fmt::Write;
use std::time::Duration;

use super::{Frame, Look, Row, Run};

/// Of one character: a font's advance is 0.6 of its size, or the text is stretched.
const CELL: u32 = 9;
const FONT: u32 = 15;
const LINE: u32 = 20;
const PADDING: u32 = 16;

const FONTS: &str =
    "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace";
const BACKGROUND: &str = "#0d1117";
const TEXT: &str = "#e6edf3";
const DIM: &str = "#8d96a0";
/// In the order of the terminal's: black, red, green, yellow, blue, magenta, cyan, white.
const COLORS: [&str; 8] = [
    "#6e7681", "#ff7b72", "#3fb950", "#e3b341", "#79c0ff", "#d2a8ff", "#39c5cf", "#e6edf3",
];

/// What a picture is called, and for how long it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Caption<'a> {
    /// In a word or two.
    pub title: &'a str,
    /// What it shows, for those who do not see it.
    pub description: &'a str,
    /// Columns of the terminal.
    pub columns: u16,
    /// When it begins anew.
    pub end: Duration,
}

/// Everything that one line shows, and when.
struct Strip<'a> {
    pictures: Vec<&'a Row>,
    /// From when on which of the pictures.
    course: Vec<(Duration, usize)>,
}

/// The frames as one picture, without the lines at the bottom that stay empty.
pub fn animated(frames: &[Frame], caption: &Caption<'_>) -> String {
    let used = |frame: &Frame| frame.rows.iter().rposition(|row| !row.is_empty());
    let rows = frames
        .iter()
        .filter_map(used)
        .max()
        .map_or(0, |row| row + 1);
    let strips: Vec<Strip<'_>> = (0..rows).map(|row| Strip::of(frames, row)).collect();
    let width = u32::from(caption.columns) * CELL + 2 * PADDING;
    let height = rows as u32 * LINE + 2 * PADDING;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title description\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n<style>\n",
        escaped(caption.title),
        escaped(caption.description),
    );
    svg.push_str(&looks());
    svg.push_str(&animations(&strips, width, caption.end));
    let _ = write!(
        svg,
        "</style>\n<rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (row, strip) in strips.iter().enumerate() {
        strip.draw(&mut svg, row, width);
    }
    svg.push_str("</svg>\n");
    svg
}

fn looks() -> String {
    let mut css = format!("text{{font:{FONT}px {FONTS};fill:{TEXT};white-space:pre}}\n");
    for (index, color) in COLORS.iter().enumerate() {
        let _ = writeln!(css, ".c{index}{{fill:{color}}}");
    }
    let _ = writeln!(css, ".d{{fill:{DIM}}}\n.b{{font-weight:bold}}");
    css
}

/// The moves of the strips; only for those who do not mind.
fn animations(strips: &[Strip<'_>], width: u32, end: Duration) -> String {
    let mut css = "@media (prefers-reduced-motion:no-preference){\n".to_owned();
    let moving = |strip: &(usize, &Strip<'_>)| strip.1.moves();
    for (row, strip) in strips.iter().enumerate().filter(moving) {
        let seconds = end.as_secs_f64();
        // Each step holds until the next one.
        let _ = write!(
            css,
            "#r{row}{{animation:r{row} {seconds:.2}s step-end infinite}}\n@keyframes r{row}{{"
        );
        for (at, picture) in &strip.course {
            let percent = at.as_secs_f64() / seconds * 100.0;
            let _ = write!(
                css,
                "{percent:.2}%{{transform:translate({}px)}}",
                offset(*picture, width)
            );
        }
        css.push_str("}\n");
    }
    css.push_str("}\n");
    css
}

/// Where a strip stands when that picture of it is seen.
fn offset(picture: usize, width: u32) -> i64 {
    -i64::from(picture as u32 * width)
}

// === impl Strip ===

impl<'a> Strip<'a> {
    fn of(frames: &'a [Frame], row: usize) -> Self {
        let mut strip = Self {
            pictures: Vec::new(),
            course: Vec::new(),
        };
        for frame in frames {
            if let Some(shown) = frame.rows.get(row) {
                strip.show(frame.at, shown);
            }
        }
        // An animation begins with its first step, whenever the screen was first drawn.
        if let Some((at, _)) = strip.course.first_mut() {
            *at = Duration::ZERO;
        }
        strip
    }

    /// What is shown again is not drawn again.
    fn show(&mut self, at: Duration, shown: &'a Row) {
        let known = self.pictures.iter().position(|picture| *picture == shown);
        let picture = known.unwrap_or_else(|| {
            self.pictures.push(shown);
            self.pictures.len() - 1
        });
        if self.course.last().is_none_or(|(_, last)| *last != picture) {
            self.course.push((at, picture));
        }
    }

    fn moves(&self) -> bool {
        self.course.len() > 1
    }

    fn draw(&self, svg: &mut String, row: usize, width: u32) {
        // The line on which the letters stand.
        let y = PADDING + row as u32 * LINE + FONT;
        let last = self.course.last().map_or(0, |(_, picture)| *picture);
        let x = offset(last, width);
        let _ = writeln!(
            svg,
            "<g transform=\"translate(0 {y})\"><g id=\"r{row}\" transform=\"translate({x})\">"
        );
        for (picture, runs) in self.pictures.iter().enumerate() {
            for run in *runs {
                run.draw(svg, picture as u32 * width);
            }
            if !runs.is_empty() {
                svg.push('\n');
            }
        }
        svg.push_str("</g></g>\n");
    }
}

// === impl Run ===

impl Run {
    fn draw(&self, svg: &mut String, left: u32) {
        let x = left + PADDING + u32::from(self.column) * CELL;
        let length = u32::from(self.cells) * CELL;
        // Bars and marks may come from another font: they must meet all the same.
        let stretched = if self.text.is_ascii() {
            ""
        } else {
            " lengthAdjust=\"spacingAndGlyphs\""
        };
        let _ = write!(
            svg,
            "<text{} x=\"{x}\" textLength=\"{length}\"{stretched}>{}</text>",
            self.look.class(),
            escaped(&self.text)
        );
    }
}

// === impl Look ===

impl Look {
    fn class(self) -> String {
        let classes = [
            self.color.map(|color| format!("c{color}")),
            self.dim.then(|| "d".to_owned()),
            self.bold.then(|| "b".to_owned()),
        ];
        let classes: Vec<String> = classes.into_iter().flatten().collect();
        if classes.is_empty() {
            return String::new();
        }
        format!(" class=\"{}\"", classes.join(" "))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
