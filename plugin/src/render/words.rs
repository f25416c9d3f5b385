//! Numbers, times and images as a person says them.

use canary_core::status::{ImageChange, Outcome, Phase};
use jiff::Timestamp;

use super::layout::Tone;
use super::style::Glyphs;
use crate::report::CanaryReport;

/// `8s`, `3m`, `2h5m`, `4d`: kubectl's ages.
pub fn age(from: Timestamp, now: Timestamp) -> String {
    duration(now.duration_since(from).as_secs())
}

pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=599 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..=7199 => format!("{minutes}m"),
        7200..=35_999 if minutes % 60 != 0 => format!("{hours}h{}m", minutes % 60),
        7200..=172_799 => format!("{hours}h"),
        _ => format!("{days}d"),
    }
}

/// Whole seconds until the next check. A clock that differs from the server's must not count
/// from more than the interval.
pub fn countdown(report: &CanaryReport, now: Timestamp) -> Option<i64> {
    let next = report.next_check_at?;
    let millis = next.duration_since(now).as_millis();
    let seconds = i64::try_from((millis + 999).div_euclid(1000)).unwrap_or(0);
    let interval = i64::try_from(report.interval_seconds.max(10)).unwrap_or(i64::MAX);
    Some(seconds.clamp(0, interval))
}

/// `6.0.0 → 6.0.1`, with the repository where it changes or where there are several containers.
pub fn images(changes: &[ImageChange], glyphs: &Glyphs) -> String {
    let arrow = glyphs.arrow;
    let several = changes.len() > 1;
    let said = changes.iter().map(|change| {
        let text = match (&change.from, &change.to) {
            (Some(from), Some(to)) => between(from, to, arrow),
            (None, Some(to)) => format!("{} (new)", short(to)),
            (Some(from), None) => format!("{} (dropped)", short(from)),
            (None, None) => String::new(),
        };
        if several {
            format!("{} {text}", change.container)
        } else {
            text
        }
    });
    said.collect::<Vec<_>>().join(", ")
}

/// The same as it stands behind a name in a sentence; nothing if no image changes.
pub fn bracketed(changes: &[ImageChange]) -> String {
    let images = images(changes, &super::style::ASCII);
    if images.is_empty() {
        return String::new();
    }
    format!(" ({images})")
}

/// Which image this is about: `stefanprodan/podinfo`.
pub fn repository(changes: &[ImageChange]) -> Option<String> {
    match changes {
        [
            ImageChange {
                from: Some(from),
                to: Some(to),
                ..
            },
        ] => {
            let (left, right) = (split(from).0, split(to).0);
            (left == right).then(|| left.to_owned())
        }
        _ => None,
    }
}

/// What tells one revision's images from another's: the tag of one image, names and tags of several.
pub fn tags(images: &[String]) -> String {
    let said = images.iter().map(|image| {
        let (repository, tag) = split(image);
        let name = repository.rsplit('/').next().unwrap_or(repository);
        match (short_tag(tag), images.len()) {
            ("", _) => name.to_owned(),
            (tag, 1) => tag.to_owned(),
            (tag, _) => format!("{name}:{tag}"),
        }
    });
    said.collect::<Vec<_>>().join(", ")
}

fn between(from: &str, to: &str, arrow: &str) -> String {
    if from == to {
        return short(to);
    }
    let ((left, old), (right, new)) = (split(from), split(to));
    if left == right && !old.is_empty() && !new.is_empty() {
        format!("{} {arrow} {}", short_tag(old), short_tag(new))
    } else {
        format!("{} {arrow} {}", short(from), short(to))
    }
}

fn short(image: &str) -> String {
    match split(image) {
        (repository, "") => repository.to_owned(),
        (repository, tag) if tag.starts_with("sha256:") => {
            format!("{repository}@{}", short_tag(tag))
        }
        (repository, tag) => format!("{repository}:{tag}"),
    }
}

/// Repository and tag or digest; a colon before a slash is a registry's port.
fn split(image: &str) -> (&str, &str) {
    if let Some((repository, digest)) = image.split_once('@') {
        return (
            repository
                .rsplit_once(':')
                .filter(|(_, tag)| !tag.contains('/'))
                .map_or(repository, |(r, _)| r),
            digest,
        );
    }
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, ""),
    }
}

fn short_tag(tag: &str) -> &str {
    match tag.strip_prefix("sha256:") {
        Some(digest) if digest.is_ascii() => &tag[..("sha256:".len() + digest.len().min(12))],
        _ => tag,
    }
}

/// Two decimals as the Events have them, and no more digits than a person reads.
pub fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.2}")
    } else {
        value.to_string()
    }
}

/// A bound as it was written: `99`, `0.5`.
pub fn bound(value: f64) -> String {
    value.to_string()
}

/// `≥ 99`, `≤ 500`, `1 to 5`.
pub fn range(min: Option<f64>, max: Option<f64>, glyphs: &Glyphs) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{} to {}", bound(min), bound(max)),
        (Some(min), None) => format!("{} {}", glyphs.at_least, bound(min)),
        (None, Some(max)) => format!("{} {}", glyphs.at_most, bound(max)),
        (None, None) => String::new(),
    }
}

pub fn outcome(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Promoted => ("promoted", Tone::Good),
        Outcome::RolledBack => ("rolled back", Tone::Bad),
        Outcome::Aborted => ("aborted", Tone::Bad),
        Outcome::Superseded => ("superseded", Tone::Plain),
        Outcome::PromotionFailed => ("promotion failed", Tone::Bad),
    }
}

/// Icon and tone of a phase; the word itself is always there too.
pub fn phase<'a>(report: &CanaryReport, glyphs: &'a Glyphs) -> (&'a str, String, Tone) {
    if report.suspended {
        return (
            glyphs.waiting,
            format!("{} (suspended)", phase_name(report.phase)),
            Tone::Label,
        );
    }
    if report.paused().is_some() {
        return (glyphs.waiting, "Paused".to_owned(), Tone::Strong);
    }
    let (icon, tone) = match report.phase {
        Phase::Initialized | Phase::Succeeded => (glyphs.good, Tone::Good),
        Phase::Failed => (glyphs.bad, Tone::Bad),
        Phase::Waiting | Phase::WaitingPromotion => (glyphs.waiting, Tone::Strong),
        Phase::Progressing | Phase::Promoting | Phase::Finalising | Phase::Initializing => {
            (glyphs.busy, Tone::Busy)
        }
        Phase::New | Phase::Terminating | Phase::Terminated => (glyphs.neutral, Tone::Plain),
    };
    (icon, phase_name(report.phase).to_owned(), tone)
}

/// The name as the API writes it; the empty one says that no controller has been here.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::New => "New",
        Phase::Initializing => "Initializing",
        Phase::Initialized => "Initialized",
        Phase::Waiting => "Waiting",
        Phase::Progressing => "Progressing",
        Phase::WaitingPromotion => "WaitingPromotion",
        Phase::Promoting => "Promoting",
        Phase::Finalising => "Finalising",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Terminating => "Terminating",
        Phase::Terminated => "Terminated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::style::UNICODE;

    fn change(from: Option<&str>, to: Option<&str>) -> ImageChange {
        ImageChange {
            container: "app".into(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        }
    }

    #[test]
    fn images_are_as_short_as_they_can_be() {
        let digest = format!("r/app@sha256:{}", "ab".repeat(32));
        let table = [
            (
                change(Some("r/app:6.0.0"), Some("r/app:6.0.1")),
                "6.0.0 → 6.0.1",
            ),
            (
                change(Some("r/app:1"), Some("s/app:1")),
                "r/app:1 → s/app:1",
            ),
            (
                change(Some("host:5000/app"), Some("host:5000/app:2")),
                "host:5000/app → host:5000/app:2",
            ),
            (
                change(Some("r/app:1"), Some(&digest)),
                "1 → sha256:abababababab",
            ),
            (change(None, Some("r/app:1")), "r/app:1 (new)"),
            (change(Some("r/app:1"), None), "r/app:1 (dropped)"),
            (change(Some("r/app:1"), Some("r/app:1")), "r/app:1"),
        ];
        for (change, said) in table {
            assert_eq!(images(&[change], &UNICODE), said);
        }
        let two = [change(Some("a:1"), Some("a:2")), change(None, Some("b:1"))];
        assert_eq!(images(&two, &UNICODE), "app 1 → 2, app b:1 (new)");
        assert_eq!(images(&[], &UNICODE), "");
    }

    #[test]
    fn one_image_is_told_by_its_tag_and_several_by_names_too() {
        let tags = |images: &[&str]| {
            let images: Vec<_> = images.iter().map(|image| (*image).to_owned()).collect();
            super::tags(&images)
        };
        assert_eq!(tags(&["r/app:6.0.1"]), "6.0.1");
        assert_eq!(tags(&["host:5000/r/app"]), "app");
        assert_eq!(tags(&["r/app:6", "q/proxy:1"]), "app:6, proxy:1");
        assert_eq!(tags(&[]), "");
    }

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        let table = [
            (-3, "0s"),
            (8, "8s"),
            (119, "119s"),
            (125, "2m5s"),
            (180, "3m"),
            (3600, "60m"),
            (7500, "2h5m"),
            (40_000, "11h"),
            (345_600, "4d"),
        ];
        for (seconds, said) in table {
            assert_eq!(duration(seconds), said);
        }
    }
}
