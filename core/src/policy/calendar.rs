//! Freeze windows on the time line.
//!
//! ```text
//!  weekend    ──────[#######)───────────────
//!  year-end   ───────────[##########)───────
//!  frozen     ──────[###############)───────   joined windows are one freeze
//! ```
//!
//! A window begins at an instant and does not contain its end. croner finds the wall clock times
//! of a cron line, jiff says when they are: a time that the clock skips is the moment of the
//! change, and of a time that it shows twice the first begins a window and the second ends one.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Weekday};
use jiff::civil::{DateTime, date};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan as _, Unit, Zoned};

use super::FreezeWindow;
use crate::canary::duration;

/// Recurring windows that follow each other for so long never end: a gap of an hour on the day on
/// which the clocks are set back is none.
const NEVER: SignedDuration = SignedDuration::from_hours(360 * 24);
/// A month of windows of a minute each.
const MOST_JOINED: usize = 45_000;

/// The windows of a policy that can be read.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    windows: Vec<Window>,
    /// A time without a freeze that was found once: where a cron line has no occurrence takes longest to find
    /// out, and each review asks.
    free: Arc<Mutex<Option<Range<Timestamp>>>>,
}

/// A time in which nothing new is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Name of the window; of several at once the first of the policy.
    pub window: String,
    pub reason: Option<String>,
    /// When that window began.
    pub start: Timestamp,
    /// The first instant that is free again, joined windows included; none if it never comes.
    pub until: Option<Timestamp>,
}

/// What a calendar says at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The freeze that holds.
    pub freeze: Option<Freeze>,
    /// The one after it.
    pub next: Option<Freeze>,
    /// When a window begins or ends next, so that the answer is another one.
    pub edge: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Window {
    name: String,
    reason: Option<String>,
    times: Times,
}

#[derive(Clone, Debug)]
enum Times {
    Once {
        start: Timestamp,
        end: Timestamp,
    },
    Again {
        cron: Box<Cron>,
        zone: TimeZone,
        length: SignedDuration,
    },
}

/// A field of a window that cannot be read: its name, and why.
pub(super) type Unreadable = (&'static str, String);

// === impl Calendar ===

impl Calendar {
    pub(super) fn new(windows: Vec<Window>) -> Self {
        Self {
            windows,
            free: Arc::default(),
        }
    }

    /// The freeze that holds at `now`.
    pub fn freeze(&self, now: Timestamp) -> Option<Freeze> {
        let (window, start) = self.holding(now)?;
        Some(Freeze {
            window: window.name.clone(),
            reason: window.reason.clone(),
            start,
            until: joined_end(&self.windows, now),
        })
    }

    /// Whether a freeze holds at `now`; cheaper than to know how long.
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        self.holding(now).is_some()
    }

    /// The first window that contains `now`, and when it began.
    fn holding(&self, now: Timestamp) -> Option<(&Window, Timestamp)> {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free().as_ref().is_some_and(|free| free.contains(&now)) {
            return None;
        }
        let mut windows = self.windows.iter();
        let held = windows.find_map(|window| Some((window, window.span(now)?.0)));
        if held.is_none() {
            let starts = self.windows.iter().filter_map(|it| it.next_start(now));
            let until = starts.min().unwrap_or(Timestamp::MAX);
            *free() = Some(now..until);
        }
        held
    }

    pub fn outlook(&self, now: Timestamp) -> Outlook {
        let freeze = self.freeze(now);
        let free = match &freeze {
            Some(freeze) => freeze.until,
            None => Some(now),
        };
        let starts = |from| {
            let starts = self.windows.iter();
            starts.filter_map(move |window| window.next_start(from))
        };
        let next = free.and_then(|free| self.freeze(starts(free).min()?));
        let edges = self.windows.iter().filter_map(|window| {
            if window.span(now).is_some() {
                joined_end(std::slice::from_ref(window), now)
            } else {
                window.next_start(now)
            }
        });
        Outlook {
            edge: edges.min(),
            freeze,
            next,
        }
    }
}

/// The first instant after `now` that no window contains; none if there is none.
fn joined_end(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    let mut end = now;
    let mut recurring = SignedDuration::ZERO;
    for _ in 0..MOST_JOINED {
        let spans = windows
            .iter()
            .filter_map(|window| Some((window.span(end)?.1, window.recurs())));
        let Some((later, recurs)) = spans.max() else {
            return Some(end);
        };
        if recurs {
            recurring += later.duration_since(end);
        }
        if recurring > NEVER {
            return None;
        }
        end = later;
    }
    None
}

// === impl Window ===

impl Window {
    pub(super) fn read(window: &FreezeWindow) -> Result<Self, Vec<Unreadable>> {
        let zone = zone(window.time_zone.as_deref());
        let times = match (
            &window.schedule,
            &window.duration,
            &window.start,
            &window.end,
        ) {
            (Some(schedule), Some(length), None, None) => again(schedule, length, zone),
            (None, None, Some(start), Some(end)) => once(start, end, zone),
            _ => {
                let mut why = vec![(
                    "",
                    "is neither a recurring nor a single window: give it schedule and duration, or start and end".to_owned(),
                )];
                why.extend(zone.err());
                Err(why)
            }
        }?;
        Ok(Self {
            name: window.name.clone(),
            reason: window.reason.clone().filter(|reason| !reason.is_empty()),
            times,
        })
    }

    /// The occurrence that contains `now`; of several the last.
    fn span(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (start, end) = match &self.times {
            Times::Once { start, end } => (*start, *end),
            Times::Again { cron, zone, length } => {
                let from = as_utc(wall_clock(now, zone)?)?;
                let found = cron.find_previous_occurrence(&from, true).ok()?;
                let start = first(found.datetime(), zone)?;
                (start, start.checked_add(*length).ok()?)
            }
        };
        (start <= now && now < end).then_some((start, end))
    }

    /// When it begins after `now`.
    pub(super) fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Times::Once { start, .. } => Some(*start).filter(|start| *start > now),
            Times::Again { cron, zone, .. } => {
                let from = as_utc(wall_clock(now, zone)?)?;
                let found = cron.find_next_occurrence(&from, false).ok()?;
                first(found.datetime(), zone)
            }
        }
    }

    /// Whether it goes over into itself for ever, once it has begun. Two freezes are looked at,
    /// for the first may end soon on the day on which the clocks are set back.
    pub(super) fn never_ends(&self, now: Timestamp) -> bool {
        let mut from = now;
        for _ in 0..2 {
            let begun = match self.span(from) {
                Some(_) => from,
                None => match self.next_start(from) {
                    Some(start) => start,
                    None => return false,
                },
            };
            match joined_end(std::slice::from_ref(self), begun) {
                Some(end) => from = end,
                None => return true,
            }
        }
        false
    }

    /// Whether it is over, and comes not again.
    pub(super) fn is_past(&self, now: Timestamp) -> bool {
        matches!(self.times, Times::Once { end, .. } if end <= now)
    }

    pub(super) fn recurs(&self) -> bool {
        matches!(self.times, Times::Again { .. })
    }
}

fn again(
    schedule: &str,
    length: &str,
    zone: Result<TimeZone, Unreadable>,
) -> Result<Times, Vec<Unreadable>> {
    let cron = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(schedule)
        .map_err(|_| {
            format!("{schedule:?} is no cron line: write five fields, as \"0 18 * * 5\" for Fridays at 18:00")
        })
        .and_then(|cron| {
            comes(&cron)
                .then_some(cron)
                .ok_or_else(|| format!("{schedule:?} never comes: name a day that exists"))
        })
        .map_err(|why| ("schedule", why));
    let length = duration(length)
        .filter(|length| !length.is_zero())
        .and_then(|length| SignedDuration::try_from(length).ok())
        .ok_or_else(|| {
            let why = format!("{length:?} is no duration above zero: write it as 62h or 30m");
            ("duration", why)
        });
    match (cron, length, zone) {
        (Ok(cron), Ok(length), Ok(zone)) => Ok(Times::Again {
            cron: Box::new(cron),
            zone,
            length,
        }),
        (cron, length, zone) => Err([cron.err(), length.err(), zone.err()]
            .into_iter()
            .flatten()
            .collect()),
    }
}

/// Whether there is a day for it. croner would look for one up to the year 5000; the calendar is
/// the same again after 28 years.
fn comes(cron: &Cron) -> bool {
    let days = date(2001, 1, 1).series(1.day());
    days.take_while(|day| day.year() < 2029).any(|day| {
        let month = u32::from(day.month().unsigned_abs());
        let number = u32::from(day.day().unsigned_abs());
        let weekday = day.weekday().to_sunday_zero_offset().unsigned_abs();
        let weekday = Weekday::from_days_from_sunday(weekday.into());
        let year = day.year().into();
        cron.pattern.month_match(month).is_ok_and(|yes| yes)
            && cron
                .pattern
                .day_match(year, month, number, weekday)
                .is_ok_and(|yes| yes)
    })
}

fn once(
    start: &str,
    end: &str,
    zone: Result<TimeZone, Unreadable>,
) -> Result<Times, Vec<Unreadable>> {
    let zone = zone.map_err(|why| vec![why])?;
    let start_at = moment(start, &zone, first).ok_or_else(|| no_moment("start", start));
    let end_at = moment(end, &zone, last).ok_or_else(|| no_moment("end", end));
    match (start_at, end_at) {
        (Ok(start), Ok(end)) if start < end => Ok(Times::Once { start, end }),
        (Ok(_), Ok(_)) => Err(vec![(
            "end",
            format!("{end} is not after start {start}: exchange the two, or correct one"),
        )]),
        (start, end) => Err([start.err(), end.err()].into_iter().flatten().collect()),
    }
}

fn no_moment(field: &'static str, text: &str) -> Unreadable {
    let why = format!(
        "{text:?} is no time: write it as 2027-01-03T08:00:00Z, or as 2027-01-03T08:00:00 in timeZone"
    );
    (field, why)
}

fn zone(name: Option<&str>) -> Result<TimeZone, Unreadable> {
    let name = name.unwrap_or("UTC");
    // The zones that are compiled in: those of the machine are another input.
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        let why = format!("{name:?} is no time zone: write an IANA name, as Europe/Berlin");
        ("timeZone", why)
    })
}

/// RFC 3339, or what the clocks of `zone` show.
fn moment(
    text: &str,
    zone: &TimeZone,
    of: fn(DateTime, &TimeZone) -> Option<Timestamp>,
) -> Option<Timestamp> {
    text.parse().ok().or_else(|| of(text.parse().ok()?, zone))
}

/// The latest time that the clocks of `zone` have shown by `now`, to the second. All that come
/// before it have been, all that come after it are yet to be.
fn wall_clock(now: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    let shown = zone.to_datetime(now);
    let shown = match zone.to_ambiguous_timestamp(shown).offset() {
        // Shown a second time: the clocks had gone further before they were set back.
        AmbiguousOffset::Fold { before, after } if zone.to_offset(now) == after => {
            let change = change_by(now, zone)?;
            before.to_datetime(change.checked_sub(SignedDuration::from_secs(1)).ok()?)
        }
        _ => shown,
    };
    let seconds = jiff::civil::DateTimeRound::new()
        .smallest(Unit::Second)
        .mode(jiff::RoundMode::Trunc);
    shown.round(seconds).ok()
}

/// The same numbers as a time in UTC, where croner meets no change of the clocks.
fn as_utc(shown: DateTime) -> Option<Zoned> {
    shown.to_zoned(TimeZone::UTC).ok()
}

fn first(shown: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    at(shown, zone, true)
}

fn last(shown: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    at(shown, zone, false)
}

fn at(shown: DateTime, zone: &TimeZone, first: bool) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
        AmbiguousOffset::Fold { before, after } => {
            if first { before } else { after }.to_timestamp(shown).ok()
        }
        AmbiguousOffset::Gap { before, .. } => change_by(before.to_timestamp(shown).ok()?, zone),
    }
}

/// When the clocks of `zone` were last set before or at `now`.
fn change_by(now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let after = now.checked_add(SignedDuration::from_nanos(1)).ok()?;
    zone.preceding(after)
        .next()
        .map(|change| change.timestamp())
}

#[cfg(test)]
mod tests;
