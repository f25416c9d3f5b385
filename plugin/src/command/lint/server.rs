//! The API server's own word on each object, by a dry run.

use crate::client::{Cluster, Trial};
use crate::exit::Error;
use crate::lint::{Check, Finding, Manifest, Report, Severity};

/// The report, and what the API server says besides.
pub async fn add(
    report: Report,
    manifests: &[Manifest],
    cluster: &Cluster,
) -> Result<Report, Error> {
    let mut items = report.items;
    for manifest in manifests {
        let trial = cluster.try_apply(manifest.value()).await?;
        items.extend(findings(manifest, trial));
    }
    Ok(Report::new(items, report.checked, report.others))
}

fn findings(manifest: &Manifest, trial: Trial) -> Vec<Finding> {
    let finding = |severity, path: &str, message: &str| {
        manifest.finding(severity, Check::Server, path, message)
    };
    let mut found: Vec<_> = trial
        .warnings
        .iter()
        .map(|warning| finding(Severity::Warning, "", warning))
        .collect();
    // A denial that names its fields is about them.
    let causes = trial.causes.iter();
    found.extend(causes.map(|(field, message)| finding(Severity::Error, field, message)));
    if let Some(denied) = trial.denied.filter(|_| trial.causes.is_empty()) {
        found.push(finding(Severity::Error, "", &denied));
    }
    found
}
