use vt100::Parser;

use super::*;

fn frame(text: &str) -> Frame {
    let size = |number: u16| number.try_into().unwrap();
    let mut parser = Parser::new(size(3), size(20), 0);
    parser.process(text.as_bytes());
    Frame::of(parser.screen(), Duration::ZERO)
}

fn run(column: u16, text: &str, look: Look) -> Run {
    Run {
        column,
        cells: text.chars().count() as u16,
        text: text.to_owned(),
        look,
    }
}

const HIDDEN: &str = "\u{1b}[?25l";

#[test]
fn text_is_split_where_its_look_changes_and_where_a_gap_is() {
    let shown = frame(&format!(
        "{HIDDEN}a b   c \u{1b}[36md\u{1b}[0m\u{1b}[2me\u{1b}[0m\r\n\u{1b}[1;91m×"
    ));
    let color = |color, bold| Look {
        color: Some(color),
        bold,
        dim: false,
    };
    let dim = Look {
        dim: true,
        ..Look::default()
    };
    let first = vec![
        run(0, "a b", Look::default()),
        run(6, "c", Look::default()),
        run(8, "d", color(6, false)),
        run(9, "e", dim),
    ];
    let second = vec![run(0, "×", color(1, true))];
    assert_eq!(shown.rows, [first, second, Vec::new()]);
}

#[test]
fn a_wide_character_takes_two_columns() {
    let shown = frame(&format!("{HIDDEN}漢 x"));
    let wide = Run {
        column: 0,
        cells: 4,
        text: "漢 x".to_owned(),
        look: Look::default(),
    };
    assert_eq!(shown.rows[0], [wide]);
}

#[test]
fn the_cursor_is_seen_unless_it_is_hidden() {
    let cursor = |text: &str| frame(text).rows[0].contains(&Run::cursor(2));
    assert!(cursor("$ "));
    assert!(!cursor(&format!("{HIDDEN}$ ")));
}

#[test]
fn what_is_half_drawn_or_the_same_again_is_left_out() {
    let shown = |text: &str, at: u64| Frame {
        at: Duration::from_millis(at),
        ..frame(text)
    };
    let all = vec![
        shown("a", 0),
        shown("", 1000),
        shown("b", 1010),
        shown("b", 2000),
        shown("", 3000),
        shown("b", 3001),
        shown("c", 4000),
    ];
    assert_eq!(
        settled(all),
        [shown("a", 0), shown("b", 1010), shown("c", 4000)]
    );
}
