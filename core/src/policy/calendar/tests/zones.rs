//! Days on which the clocks are set.

use super::*;

/// The zone, the window, and its occurrence after a moment.
fn occurrence(zone: &str, schedule: &str, length: &str, after: &str) -> String {
    let window = Window::read(&FreezeWindow {
        time_zone: Some(zone.into()),
        ..again("w", schedule, length)
    })
    .unwrap();
    let start = window.next_start(at(after)).unwrap();
    let (begun, end) = window.span(start).unwrap();
    assert_eq!(begun, start);
    assert_eq!(window.span(start - SignedDuration::from_nanos(1)), None);
    assert_eq!(window.span(end), None);
    format!("{start}..{end}")
}

/// Zone, schedule, a moment, and the window of an hour that comes after it.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    // Berlin goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00Z..2026-03-29T02:00:00Z",
    ),
    (
        "Europe/Berlin",
        "0 2 * * *",
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00Z..2026-03-29T02:00:00Z",
    ),
    (
        "Europe/Berlin",
        "0 3 * * *",
        "2026-03-28T12:00:00Z",
        "2026-03-29T01:00:00Z..2026-03-29T02:00:00Z",
    ),
    (
        "Europe/Berlin",
        "59 1 * * *",
        "2026-03-28T12:00:00Z",
        "2026-03-29T00:59:00Z..2026-03-29T01:59:00Z",
    ),
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-24T12:00:00Z",
        "2026-10-25T00:30:00Z..2026-10-25T01:30:00Z",
    ),
    (
        "Europe/Berlin",
        "0 3 * * *",
        "2026-10-24T12:00:00Z",
        "2026-10-25T02:00:00Z..2026-10-25T03:00:00Z",
    ),
    // When it is 02:10 for the second time, the one window of the day has been.
    (
        "Europe/Berlin",
        "30 2 * * *",
        "2026-10-25T01:10:00Z",
        "2026-10-26T01:30:00Z..2026-10-26T02:30:00Z",
    ),
    // Midnight is skipped: Cairo goes from 00:00 to 01:00 on 2026-04-24.
    (
        "Africa/Cairo",
        "0 0 * * *",
        "2026-04-23T12:00:00Z",
        "2026-04-23T22:00:00Z..2026-04-23T23:00:00Z",
    ),
    // Half an hour: Lord Howe, from 02:00 to 02:30 on 2026-10-04.
    (
        "Australia/Lord_Howe",
        "15 2 * * *",
        "2026-10-03T12:00:00Z",
        "2026-10-03T15:30:00Z..2026-10-03T16:30:00Z",
    ),
    // A whole day: Samoa left out 2011-12-30.
    (
        "Pacific/Apia",
        "0 12 30 12 *",
        "2011-12-30T09:00:00Z",
        "2011-12-30T10:00:00Z..2011-12-30T11:00:00Z",
    ),
    // South of the equator the clocks go forward in September.
    (
        "America/Santiago",
        "30 0 * * 0",
        "2026-09-05T12:00:00Z",
        "2026-09-06T04:00:00Z..2026-09-06T05:00:00Z",
    ),
];

#[test]
fn a_time_that_the_clock_skips_is_the_moment_of_the_change_and_one_shown_twice_the_first() {
    for (zone, schedule, after, expected) in CHANGES {
        let found = occurrence(zone, schedule, "1h", after);
        assert_eq!(&found, expected, "{zone} {schedule} after {after}");
    }
}

#[test]
fn a_duration_is_time_that_passes_whatever_the_clocks_do() {
    let weekend = |after| occurrence("Europe/Berlin", "0 18 * * 5", "62h", after);
    assert_eq!(
        weekend("2026-03-27T12:00:00Z"),
        "2026-03-27T17:00:00Z..2026-03-30T07:00:00Z"
    );
    assert_eq!(
        weekend("2026-10-23T12:00:00Z"),
        "2026-10-23T16:00:00Z..2026-10-26T06:00:00Z"
    );
}

#[test]
fn a_window_freezes_both_hours_that_the_clock_shows_twice() {
    let calendar = calendar(&[FreezeWindow {
        time_zone: Some("Europe/Berlin".into()),
        ..again("night", "0 2 * * *", "2h")
    }]);
    for (now, frozen) in [
        ("2026-10-24T23:59:59Z", false),
        ("2026-10-25T00:00:00Z", true),
        ("2026-10-25T01:30:00Z", true),
        ("2026-10-25T01:59:59Z", true),
        ("2026-10-25T02:00:00Z", false),
    ] {
        assert_eq!(calendar.is_frozen(at(now)), frozen, "{now}");
    }
}

#[test]
fn a_single_window_is_as_long_as_its_wall_clock_times_can_mean() {
    let berlin = |start: &str, end: &str| {
        let window = Window::read(&FreezeWindow {
            time_zone: Some("Europe/Berlin".into()),
            ..once("w", start, end)
        });
        let Times::Once { start, end } = window.unwrap().times else {
            unreachable!("it has a start");
        };
        format!("{start}..{end}")
    };
    assert_eq!(
        berlin("2026-12-18T18:00:00", "2027-01-03T09:00"),
        "2026-12-18T17:00:00Z..2027-01-03T08:00:00Z"
    );
    assert_eq!(
        berlin("2026-10-25T02:30:00", "2026-10-25T02:45:00"),
        "2026-10-25T00:30:00Z..2026-10-25T01:45:00Z"
    );
    assert_eq!(
        berlin("2026-03-29T02:30:00", "2026-03-29T12:00:00"),
        "2026-03-29T01:00:00Z..2026-03-29T10:00:00Z"
    );
    // What names its own offset means that.
    assert_eq!(
        berlin("2026-12-18T17:00:00Z", "2026-12-18T17:00:00-05:00"),
        "2026-12-18T17:00:00Z..2026-12-18T22:00:00Z"
    );
}

#[test]
fn the_zones_are_those_that_were_compiled_in() {
    for name in ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Antarctica/Troll"] {
        assert!(zone(Some(name)).is_ok(), "{name}");
    }
    for name in ["Europe/Springfield", "+02:00", "../etc/passwd", "Local", ""] {
        assert!(zone(Some(name)).is_err(), "{name}");
    }
}
