//! What people see, byte by byte: each view on each kind of output.
//!
//! ```text
//!  {one, all, wide, all wide} × {pipe, terminal of 80 and of 40 columns, NO_COLOR, ASCII}
//! ```

use crate::run::{command, run};
use crate::terminal::Terminal;
use crate::world::World;

const VIEWS: [(&str, &[&str]); 4] = [
    ("one", &["status", "podinfo"]),
    ("all", &["status"]),
    ("wide", &["status", "podinfo", "-o", "wide"]),
    ("all_wide", &["status", "-A", "-o", "wide"]),
];

/// Every view on a terminal like this.
fn on_a_terminal(kind: &str, columns: u16, env: &[(&str, &str)]) {
    let api = World::new().serve();
    for (view, words) in VIEWS {
        let (code, shown) = Terminal::with(&api, words, (columns, 24), env).end();
        assert_eq!(code, Some(0), "{shown}");
        let shown = shown.replace('\r', "").replace('\u{1b}', "␛");
        insta::assert_snapshot!(format!("{kind}_{view}"), shown);
    }
}

#[test]
fn in_a_pipe() {
    let api = World::new().serve();
    for (view, words) in VIEWS {
        let ran = run(&mut command(
            &[words, &["--server", &api.address, "-n", "test"]].concat(),
        ));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        insta::assert_snapshot!(format!("pipe_{view}"), ran.stdout);
    }
}

#[test]
fn on_a_terminal_of_80_columns() {
    on_a_terminal("terminal", 80, &[]);
}

#[test]
fn on_a_terminal_of_40_columns() {
    on_a_terminal("narrow", 40, &[("NO_COLOR", "1")]);
}

#[test]
fn without_colour() {
    on_a_terminal("no_colour", 80, &[("NO_COLOR", "1")]);
}

#[test]
fn in_a_locale_that_has_no_more_than_ascii() {
    on_a_terminal("ascii", 80, &[("NO_COLOR", "1"), ("LANG", "C")]);
}
