mod zones;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(name: &str) -> FreezeWindow {
    FreezeWindow {
        name: name.into(),
        ..FreezeWindow::default()
    }
}

fn once(name: &str, start: &str, end: &str) -> FreezeWindow {
    FreezeWindow {
        start: Some(start.into()),
        end: Some(end.into()),
        ..window(name)
    }
}

fn again(name: &str, schedule: &str, length: &str) -> FreezeWindow {
    FreezeWindow {
        schedule: Some(schedule.into()),
        duration: Some(length.into()),
        ..window(name)
    }
}

fn calendar(windows: &[FreezeWindow]) -> Calendar {
    Calendar::new(windows.iter().map(|w| Window::read(w).unwrap()).collect())
}

/// `frozen-by until`, or what comes next.
fn say(calendar: &Calendar, now: &str) -> String {
    let outlook = calendar.outlook(at(now));
    let text = |freeze: &Freeze| {
        let until = freeze.until.map_or("never".to_owned(), |t| t.to_string());
        format!("{} {}..{until}", freeze.window, freeze.start)
    };
    let mut line = match &outlook.freeze {
        Some(freeze) => format!("frozen by {}", text(freeze)),
        None => "free".to_owned(),
    };
    if let Some(next) = &outlook.next {
        write!(line, ", next {}", text(next)).unwrap();
    }
    if let Some(edge) = outlook.edge {
        write!(line, ", edge {edge}").unwrap();
    }
    line
}

#[test]
fn a_window_begins_at_its_start_and_is_over_at_its_end() {
    let year_end = calendar(&[once(
        "year-end",
        "2026-12-18T17:00:00Z",
        "2027-01-03T08:00:00Z",
    )]);
    for (now, expected) in [
        (
            "2026-12-18T16:59:59.999999999Z",
            "free, next year-end 2026-12-18T17:00:00Z..2027-01-03T08:00:00Z, edge 2026-12-18T17:00:00Z",
        ),
        (
            "2026-12-18T17:00:00Z",
            "frozen by year-end 2026-12-18T17:00:00Z..2027-01-03T08:00:00Z, edge 2027-01-03T08:00:00Z",
        ),
        (
            "2027-01-03T07:59:59.999999999Z",
            "frozen by year-end 2026-12-18T17:00:00Z..2027-01-03T08:00:00Z, edge 2027-01-03T08:00:00Z",
        ),
        ("2027-01-03T08:00:00Z", "free"),
    ] {
        assert_eq!(say(&year_end, now), expected, "{now}");
    }
}

#[test]
fn a_weekly_window_is_back_every_week() {
    let weekend = calendar(&[FreezeWindow {
        time_zone: Some("Europe/Berlin".into()),
        ..again("weekend", "0 18 * * 5", "62h")
    }]);
    for (now, expected) in [
        (
            "2026-11-20T16:59:59.999Z",
            "free, next weekend 2026-11-20T17:00:00Z..2026-11-23T07:00:00Z, edge 2026-11-20T17:00:00Z",
        ),
        (
            "2026-11-20T17:00:00Z",
            "frozen by weekend 2026-11-20T17:00:00Z..2026-11-23T07:00:00Z, next weekend 2026-11-27T17:00:00Z..2026-11-30T07:00:00Z, edge 2026-11-23T07:00:00Z",
        ),
        (
            "2026-11-23T06:59:59.999Z",
            "frozen by weekend 2026-11-20T17:00:00Z..2026-11-23T07:00:00Z, next weekend 2026-11-27T17:00:00Z..2026-11-30T07:00:00Z, edge 2026-11-23T07:00:00Z",
        ),
        (
            "2026-11-23T07:00:00Z",
            "free, next weekend 2026-11-27T17:00:00Z..2026-11-30T07:00:00Z, edge 2026-11-27T17:00:00Z",
        ),
    ] {
        assert_eq!(say(&weekend, now), expected, "{now}");
    }
}

#[test]
fn windows_that_overlap_or_touch_are_one_freeze_with_an_edge_at_each_change_of_the_reason() {
    let joined = calendar(&[
        once("first", "2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z"),
        once("second", "2026-12-02T00:00:00Z", "2026-12-05T00:00:00Z"),
        once("third", "2026-12-05T00:00:00Z", "2026-12-06T00:00:00Z"),
    ]);
    for (now, expected) in [
        (
            "2026-11-30T00:00:00Z",
            "free, next first 2026-12-01T00:00:00Z..2026-12-06T00:00:00Z, edge 2026-12-01T00:00:00Z",
        ),
        (
            "2026-12-02T12:00:00Z",
            "frozen by first 2026-12-01T00:00:00Z..2026-12-06T00:00:00Z, edge 2026-12-03T00:00:00Z",
        ),
        (
            "2026-12-03T00:00:00Z",
            "frozen by second 2026-12-02T00:00:00Z..2026-12-06T00:00:00Z, edge 2026-12-05T00:00:00Z",
        ),
        (
            "2026-12-05T00:00:00Z",
            "frozen by third 2026-12-05T00:00:00Z..2026-12-06T00:00:00Z, edge 2026-12-06T00:00:00Z",
        ),
    ] {
        assert_eq!(say(&joined, now), expected, "{now}");
    }
}

#[test]
fn a_window_that_goes_over_into_itself_never_ends() {
    let daily = |length: &str| {
        let window = Window::read(&again("daily", "0 0 * * *", length)).unwrap();
        window.never_ends(at("2026-11-23T12:00:00Z"))
    };
    assert!(!daily("23h59m"));
    assert!(daily("24h"));
    assert!(daily("25h"));
    let frozen = calendar(&[again("daily", "0 0 * * *", "24h")]);
    assert_eq!(
        say(&frozen, "2026-11-23T12:00:00Z"),
        "frozen by daily 2026-11-23T00:00:00Z..never"
    );
}

#[test]
fn two_windows_can_be_a_freeze_without_end_that_neither_is() {
    let halves = [
        again("am", "0 0 * * *", "12h"),
        again("pm", "0 12 * * *", "12h"),
    ];
    assert!(
        calendar(&halves)
            .freeze(at("2026-11-23T12:00:00Z"))
            .unwrap()
            .until
            .is_none()
    );
    assert!(halves.iter().all(|half| {
        !Window::read(half)
            .unwrap()
            .never_ends(at("2026-11-23T12:00:00Z"))
    }));
}

#[test]
fn a_long_single_window_ends() {
    let long = calendar(&[once(
        "moratorium",
        "2026-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
    )]);
    let freeze = long.freeze(at("2026-11-23T00:00:00Z")).unwrap();
    assert_eq!(freeze.until, Some(at("2099-01-01T00:00:00Z")));
}

#[test]
fn windows_of_a_minute_join_as_long_as_one_month_of_them_lasts() {
    let month = calendar(&[again("november", "* * * 11 *", "1m")]);
    let freeze = month.freeze(at("2026-11-01T00:00:30Z")).unwrap();
    assert_eq!(freeze.until, Some(at("2026-12-01T00:00:00Z")));
    assert!(
        Window::read(&again("always", "* * * * *", "1m"))
            .unwrap()
            .never_ends(at("2026-11-01T00:00:00Z"))
    );
}

#[test]
fn a_day_that_comes_once_in_four_years_comes() {
    let leap = Window::read(&again("leap", "0 0 29 2 *", "1h")).unwrap();
    assert_eq!(
        leap.next_start(at("2026-11-23T00:00:00Z")),
        Some(at("2028-02-29T00:00:00Z"))
    );
}

#[test]
fn a_day_that_is_an_hour_longer_is_no_gap() {
    let berlin = |length: &str| {
        Window::read(&FreezeWindow {
            time_zone: Some("Europe/Berlin".into()),
            ..again("daily", "0 0 * * *", length)
        })
        .unwrap()
    };
    // Free for an hour on the day on which the clocks are set back, and never else.
    for now in ["2026-11-23T12:00:00Z", "2027-10-30T12:00:00Z"] {
        assert!(berlin("24h").never_ends(at(now)), "{now}");
        assert!(!berlin("23h").never_ends(at(now)), "{now}");
    }
}

#[test]
fn what_cannot_be_read_says_which_field_and_what_to_write() {
    let berlin = |window: FreezeWindow, zone: &str| FreezeWindow {
        time_zone: Some(zone.into()),
        ..window
    };
    let table = [
        again("w", "0 18 * * FRIDAY", "1h"),
        again("w", "0 0 18 * * 5", "1h"),
        again("w", "61 * * * *", "1h"),
        again("w", "0 0 30 2 *", "1h"),
        again("w", "", "1h"),
        again("w", "0 18 * * 5", "62 hours"),
        again("w", "0 18 * * 5", "0s"),
        again("w", "0 18 * * 5", "-1h"),
        berlin(again("w", "nonsense", "never"), "Europe/Springfield"),
        berlin(again("w", "0 18 * * 5", "1h"), ""),
        once("w", "2026-12-18", "tomorrow"),
        once("w", "2026-12-18T17:00:00Z", "2026-12-18T17:00:00Z"),
        window("w"),
        FreezeWindow {
            start: Some("2026-12-18T17:00:00Z".into()),
            ..again("w", "0 18 * * 5", "1h")
        },
        FreezeWindow {
            end: None,
            ..once("w", "2026-12-18T17:00:00Z", "")
        },
    ];
    let mut said = String::new();
    for window in table {
        for (field, why) in Window::read(&window).unwrap_err() {
            writeln!(said, "{field}: {why}").unwrap();
        }
    }
    insta::assert_snapshot!(said);
}

fn any_window() -> impl Strategy<Value = FreezeWindow> {
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ]);
    let schedule = prop::sample::select(vec![
        "0 18 * * 5",
        "30 2 * * *",
        "0 */6 * * *",
        "*/20 1-3 * * *",
        "0 0 1 * *",
    ]);
    let cron = (schedule, 1_u32..3000, zone).prop_map(|(schedule, minutes, zone)| FreezeWindow {
        time_zone: Some(zone.into()),
        ..again("again", schedule, &format!("{minutes}m"))
    });
    let fixed = (0_i64..400, 1_i64..200).prop_map(|(start, length)| {
        let hour = |n: i64| at("2026-10-20T00:00:00Z") + SignedDuration::from_hours(n);
        once(
            "once",
            &hour(start).to_string(),
            &hour(start + length).to_string(),
        )
    });
    prop_oneof![cron, fixed]
}

#[test]
fn what_seems_to_be_for_good_ends_where_it_comes_to_be_seen() {
    // Every day of 24 hours, but for the hour after the one on which the clocks are set back.
    let daily = FreezeWindow {
        time_zone: Some("Europe/Berlin".into()),
        ..again("daily", "30 2 * * *", "24h")
    };
    let calendar = calendar(&[daily]);
    let until = |now: &str| calendar.freeze(at(now)).unwrap().until;
    assert_eq!(until("2026-10-30T04:48:00Z"), None);
    let end = Some(at("2027-11-01T00:30:00Z"));
    assert_eq!(until("2026-11-06T12:00:00Z"), end);
}

proptest! {
    #[test]
    fn until_is_free_and_all_before_it_is_frozen(
        windows in prop::collection::vec(any_window(), 1..4),
        minute in 0_i64..30_000,
        between in 0.0_f64..1.0,
    ) {
        let calendar = calendar(&windows);
        let now = at("2026-10-20T00:00:00Z") + SignedDuration::from_mins(minute);
        if let Some(Freeze { start, until: Some(until), .. }) = calendar.freeze(now) {
            prop_assert!(start <= now && now < until);
            prop_assert!(!calendar.is_frozen(until));
            prop_assert!(calendar.is_frozen(until - SignedDuration::from_nanos(1)));
            let inside = now + SignedDuration::from_secs_f64((until - now).total(jiff::Unit::Second).unwrap() * between);
            prop_assert!(inside >= until || calendar.is_frozen(inside));
        }
    }

    #[test]
    fn nothing_changes_before_the_edge_and_the_next_freeze_begins_when_it_says(
        windows in prop::collection::vec(any_window(), 1..4),
        minute in 0_i64..30_000,
        between in 0.0_f64..1.0,
    ) {
        let calendar = calendar(&windows);
        let now = at("2026-10-20T00:00:00Z") + SignedDuration::from_mins(minute);
        let outlook = calendar.outlook(now);
        let nano = SignedDuration::from_nanos(1);
        if let Some(edge) = outlook.edge {
            prop_assert!(edge > now);
            let inside = now + SignedDuration::from_secs_f64((edge - now).total(jiff::Unit::Second).unwrap() * between);
            if inside < edge {
                let named = |outlook: Outlook| outlook.freeze.map(|freeze| (freeze.window, freeze.until)).unzip();
                let (window, until) = named(calendar.outlook(inside));
                let (window_before, until_before) = named(outlook.clone());
                prop_assert_eq!(window, window_before);
                // An end is looked for so far ahead: what seems to be for good may turn out to end, beyond
                // what was seen.
                let unseen = until_before == Some(None)
                    && until.flatten().is_some_and(|until| until >= now + NEVER);
                prop_assert!(unseen || until == until_before, "{:?} was {:?}", until, until_before);
            }
        }
        if let Some(next) = outlook.next {
            prop_assert!(!calendar.is_frozen(next.start - nano));
            prop_assert!(calendar.is_frozen(next.start));
            prop_assert!(next.start > now);
        }
    }

    #[test]
    fn an_answer_does_not_depend_on_what_was_asked_before(
        windows in prop::collection::vec(any_window(), 1..4),
        minutes in prop::collection::vec(0_i64..30_000, 2..6),
    ) {
        let asked_often = calendar(&windows);
        for minute in minutes {
            let now = at("2026-10-20T00:00:00Z") + SignedDuration::from_mins(minute);
            prop_assert_eq!(asked_often.freeze(now), calendar(&windows).freeze(now));
        }
    }

    #[test]
    fn every_minute_is_frozen_as_the_clock_on_the_wall_says(
        minute in 0_i64..60_000,
    ) {
        // Away from changes of the clock, the plain definition: the hour of the day in the zone.
        let calendar = calendar(&[FreezeWindow {
            time_zone: Some("Asia/Kolkata".into()),
            ..again("night", "0 22 * * *", "8h")
        }]);
        let now = at("2026-06-01T00:00:00Z") + SignedDuration::from_mins(minute);
        let zone = TimeZoneDatabase::bundled().get("Asia/Kolkata").unwrap();
        let hour = zone.to_datetime(now).hour();
        prop_assert_eq!(calendar.is_frozen(now), !(6..22).contains(&hour));
    }

    #[test]
    fn no_text_makes_reading_panic(schedule in ".{0,40}", length in ".{0,12}", zone in ".{0,12}", end in ".{0,30}") {
        let window = FreezeWindow { time_zone: Some(zone), ..again("w", &schedule, &length) };
        let _ = Window::read(&window);
        let _ = Window::read(&once("w", &schedule, &end));
    }
}
