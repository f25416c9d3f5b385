use super::*;
use crate::tools::folder;

/// What a README may weigh.
const LIMIT: usize = 200 * 1024;

fn run(column: u16, text: &str) -> Run {
    Run {
        column,
        cells: text.chars().count() as u16,
        text: text.to_owned(),
        look: Look::default(),
    }
}

/// A frame a second, each with these lines.
fn drawn(frames: &[&[&str]]) -> String {
    let row = |text: &&str| match *text {
        "" => Vec::new(),
        text => vec![run(0, text)],
    };
    let frame = |(second, lines): (usize, &&[&str])| Frame {
        at: Duration::from_secs(second as u64),
        rows: lines.iter().map(row).collect(),
    };
    let frames: Vec<Frame> = frames.iter().enumerate().map(frame).collect();
    let caption = Caption {
        title: "a <title>",
        description: "this & that",
        columns: 10,
        end: Duration::from_secs(frames.len() as u64),
    };
    animated(&frames, &caption)
}

#[test]
fn text_is_escaped() {
    let svg = drawn(&[&["<a> & <b>"]]);
    assert!(svg.contains(">&lt;a&gt; &amp; &lt;b&gt;</text>"), "{svg}");
    assert!(svg.contains("<title id=\"title\">a &lt;title&gt;</title>"));
    assert!(svg.contains("<desc id=\"description\">this &amp; that</desc>"));
}

#[test]
fn a_line_that_never_changes_does_not_move() {
    let svg = drawn(&[&["same", "a"], &["same", "b"]]);
    assert!(!svg.contains("@keyframes r0"), "{svg}");
    assert!(svg.contains(
        "@keyframes r1{0.00%{transform:translate(0px)}50.00%{transform:translate(-122px)}}"
    ));
}

#[test]
fn what_is_shown_again_is_not_drawn_again() {
    let svg = drawn(&[&["a"], &["b"], &["a"], &["a"]]);
    assert_eq!(svg.matches(">a</text>").count(), 1, "{svg}");
    assert!(svg.contains("50.00%{transform:translate(0px)}}"), "{svg}");
}

#[test]
fn without_motion_the_last_frame_is_shown() {
    let svg = drawn(&[&["a", ""], &["b", "later"]]);
    let (still, moving) = svg
        .split_once("@media (prefers-reduced-motion:no-preference){")
        .unwrap();
    assert!(!still.contains("animation") && moving.contains("animation:r0 2.00s"));
    assert!(
        svg.contains("<g id=\"r0\" transform=\"translate(-122)\">"),
        "{svg}"
    );
    assert!(
        svg.contains("<g id=\"r1\" transform=\"translate(-122)\">"),
        "{svg}"
    );
}

#[test]
fn lines_that_stay_empty_take_no_room() {
    let svg = drawn(&[&["a", "", "", ""], &["a", "b", "", ""]]);
    assert!(svg.contains("width=\"122\" height=\"72\""), "{svg}");
    assert!(drawn(&[]).contains("height=\"32\""));
}

#[test]
fn a_minute_in_which_ten_lines_change_each_second_is_small_enough() {
    let line = |second: u64, line: u64| Run {
        text: format!("{second:03} {line:03}"),
        ..run((line * 7) as u16, "123 567")
    };
    let frame = |second: u64| Frame {
        at: Duration::from_secs(second),
        rows: (0..10)
            .map(|row| (0..3).map(|column| line(second, row + column)).collect())
            .collect(),
    };
    let frames: Vec<Frame> = (0..60).map(frame).collect();
    let caption = Caption {
        title: "a",
        description: "b",
        columns: 100,
        end: Duration::from_secs(60),
    };
    let size = animated(&frames, &caption).len();
    assert!(size < LIMIT, "{size}");
}

#[test]
fn the_recording_in_the_docs_is_small_and_needs_nothing_else() {
    let svg = std::fs::read_to_string(folder("docs/demo.svg")).unwrap();
    assert!(svg.len() <= LIMIT, "{}", svg.len());
    for foreign in [
        "<script",
        "href",
        "url(",
        "@import",
        "@font-face",
        "/home/",
        "/tmp/",
    ] {
        assert!(!svg.contains(foreign), "{foreign}");
    }
    assert!(svg.contains("<title ") && svg.contains("<desc "));
}
