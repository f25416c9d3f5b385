//! The figures of admission, and the bars that they have to keep.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::apiserver::{self, Asked, Calls};
use super::apps::Apps;
use super::caller::Fate;
use super::pace::Pace;
use super::recorder::Review;
use super::report::{Bar, Report, at_least, at_most, percentile};
use super::reviews::{self, Answers, Capacity};
use super::usage::Usage;
use super::{Bench, herd, recorder};
use crate::control_plane::ControlPlane;
use crate::server::Build;
use crate::tools::folder;

const PACE: Pace = Pace {
    per_second: 100.0,
    length: Duration::from_secs(20),
};

/// What an API server on two CPUs keeps up with: below it our webhooks are measured, above it its own queue.
const UNHURRIED: Pace = Pace {
    per_second: 25.0,
    length: Duration::from_secs(20),
};

/// Measures with so many Canaries.
pub(super) async fn measure(
    bench: &mut Bench,
    total: usize,
    builds: &[PathBuf],
    report: &mut Report,
) -> Result<()> {
    let (plane, apps) = (&bench.plane, &bench.apps);
    let reviews = recorder::record(plane, apps, &herd::recorded(total)).await?;
    let bytes: usize = reviews.iter().map(|review| review.body.len()).sum();
    let (count, mean) = (reviews.len(), bytes / reviews.len());
    eprintln!("recorded {count} reviews of {mean} bytes; sending 100 a second");
    let reviews: Arc<[_]> = reviews.into();

    let caller = reviews::caller(plane, &bench.server).await?;
    caller.check(&reviews).await?;
    report.answers(&reviews::at_pace(&caller, &reviews, PACE).await?)?;
    let used = Usage::of(&mut bench.server).await?;
    report.add("admission_rss_mib", used.rss_mib, 1, at_most(60.0, 1));

    capacities(&bench.plane, builds, &reviews, report).await?;
    changes(&bench.plane, &bench.apps, report).await
}

/// What one CPU is good for.
async fn capacities(
    plane: &ControlPlane,
    builds: &[PathBuf],
    reviews: &Arc<[Review]>,
    report: &mut Report,
) -> Result<()> {
    eprintln!("as many reviews as a server answers on one CPU");
    report.capacity(&reviews::capacity(plane, Build::default(), reviews).await?);
    let of = |program: &PathBuf| Build {
        program: Some(program.clone()),
        core: None,
    };
    if let Some(image) = of_the_image() {
        eprintln!("the same of the image's build");
        report.image(&reviews::capacity(plane, of(&image), reviews).await?);
    }
    for program in builds {
        eprintln!("the same of {}", program.display());
        let capacity = reviews::capacity(plane, of(program), reviews).await?;
        eprintln!("  {capacity}");
    }
    Ok(())
}

/// What the API server sees.
async fn changes(plane: &ControlPlane, apps: &Apps, report: &mut Report) -> Result<()> {
    eprintln!("changing templates one by one, with and without the API server's own policies");
    report.alone("change_ms_p50", &apiserver::one_by_one(apps).await?);
    apiserver::without_policies(plane).await?;
    let without = "change_without_policies_ms_p50";
    report.alone(without, &apiserver::one_by_one(apps).await?);
    eprintln!("changing 25 templates a second, and then 100, by server-side dry-run");
    report.unhurried(&apiserver::under_changes(plane, apps, UNHURRIED).await?);
    report.asked(&apiserver::under_changes(plane, apps, PACE).await?);
    Ok(())
}

/// The static build that `make image` packs, if there is one.
fn of_the_image() -> Option<PathBuf> {
    let target = format!("target/{}-unknown-linux-musl", std::env::consts::ARCH);
    Some(folder(&target).join("release/canary-webhook")).filter(|program| program.is_file())
}

// === impl Report ===

impl Report {
    fn answers(&mut self, answers: &Answers) -> Result<()> {
        let (times, all) = (answers.of(Fate::Answered), answers.calls.len());
        ensure!(times.len() == all, "{} of {all} are answered", times.len());
        for (name, percent, limit) in [
            ("admission_ms_p50", 50, 2.0),
            ("admission_ms_p99", 99, 10.0),
        ] {
            let bar = at_most(limit, 2000);
            self.add(name, percentile(&times, percent), times.len(), bar);
        }
        Ok(())
    }

    fn alone(&mut self, name: &'static str, times: &[Duration]) {
        self.add(name, percentile(times, 50), times.len(), Bar::None);
    }

    /// Without bars: it tells a slow webhook from an API server that has too much to do.
    fn unhurried(&mut self, asked: &Asked) {
        let (mean, share) = (
            "admission_apiserver_at_25_ms_mean",
            "admission_apiserver_at_25_within_25ms_percent",
        );
        self.calls(asked.calls, [(mean, Bar::None), (share, Bar::None)]);
    }

    fn asked(&mut self, asked: &Asked) {
        let mean = ("admission_apiserver_ms_mean", at_most(3.0, 2000));
        let share = (
            "admission_apiserver_within_25ms_percent",
            at_least(99.0, 2000),
        );
        self.calls(asked.calls, [mean, share]);
        let (rate, bar) = ("admission_apiserver_changes_per_s", at_least(95.0, 1000));
        self.add(rate, asked.changes_per_second, asked.changes, bar);
    }

    /// Their mean, and the share of those within 25 ms.
    fn calls(&mut self, calls: Calls, [mean, share]: [(&'static str, Bar); 2]) {
        let count = calls.count as usize;
        self.add(mean.0, calls.mean_ms(), count, mean.1);
        self.add(share.0, calls.within_percent(), count, share.1);
    }

    fn capacity(&mut self, capacity: &Capacity) {
        let (sustained, overload) = (&capacity.sustained, &capacity.overload);
        let times = sustained.of(Fate::Answered);
        let (count, p99) = (times.len(), percentile(&times, 99));
        let per_second = sustained.per_second(Fate::Answered);
        self.add("reviews_per_s", per_second, count, at_least(5000.0, 10_000));
        self.add("reviews_p99_ms", p99, count, at_most(20.0, 10_000));
        let used = capacity.micros_per_answer();
        self.add("review_cpu_us", used, count, Bar::None);

        let times = overload.of(Fate::Answered);
        let (count, p99) = (times.len(), percentile(&times, 99));
        self.add("overload_p99_ms", p99, count, at_most(50.0, 1000));
        let all = overload.calls.len();
        let offered = all as f64 / overload.took.as_secs_f64();
        let shed = overload.of(Fate::Shed);
        let answered = overload.per_second(Fate::Answered);
        self.add("overload_offered_per_s", offered, all, Bar::None);
        self.add("overload_answered_per_s", answered, count, Bar::None);
        let (share, p99) = (overload.percent(Fate::Shed), percentile(&shed, 99));
        self.add("overload_shed_percent", share, all, at_least(1.0, 1));
        self.add("overload_shed_p99_ms", p99, shed.len(), at_most(50.0, 1));
        let failed = overload.percent(Fate::Failed);
        self.add("overload_failed_percent", failed, all, at_most(0.0, 1));
    }

    fn image(&mut self, image: &Capacity) {
        let times = image.sustained.of(Fate::Answered);
        let (count, p99) = (times.len(), percentile(&times, 99));
        let per_second = image.sustained.per_second(Fate::Answered);
        self.add(
            "image_reviews_per_s",
            per_second,
            count,
            at_least(5000.0, 10_000),
        );
        self.add("image_reviews_p99_ms", p99, count, at_most(20.0, 10_000));
        let used = image.micros_per_answer();
        self.add("image_review_cpu_us", used, count, Bar::None);
        self.add("image_rss_mib", image.rss_mib, 1, at_most(60.0, 1));
        let flooded = ("image_flooded_rss_mib", image.flooded_rss_mib);
        self.add(flooded.0, flooded.1, 1, Bar::None);
    }
}
