//! One object against its CRD and the project's own rules.

use canary_core::canary::Canary;
use canary_core::crd;
use canary_core::policy::{self, CanaryPolicy};
use canary_core::template::MetricTemplate;
use canary_core::validate::{Violation, validate, validate_metric_template};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::de::DeserializeOwned;

use super::{Check, Context, Finding, Manifest, Severity, schema};

/// What is wrong with the object; none if it is of a kind that is not ours.
pub fn check(manifest: &Manifest, context: &Context<'_>) -> Option<Vec<Finding>> {
    let all = crd::all();
    let ours: Vec<_> = all
        .iter()
        .filter(|crd| crd.spec.group == manifest.group())
        .collect();
    let first = ours.first()?;
    let kind = manifest.text("/kind");
    let Some(definition) = ours.iter().find(|crd| crd.spec.names.kind == kind) else {
        let kinds: Vec<_> = ours
            .iter()
            .map(|crd| crd.spec.names.kind.as_str())
            .collect();
        let message = format!(
            "{} has no kind {kind:?}: use one of {}",
            first.spec.group,
            kinds.join(", ")
        );
        return Some(vec![manifest.finding(
            Severity::Error,
            Check::Schema,
            "kind",
            message,
        )]);
    };
    let mut found = match misfits(manifest, definition) {
        Ok(found) => found,
        Err(finding) => return Some(vec![finding]),
    };
    let rules = match kind {
        "Canary" => canary(manifest, context),
        "MetricTemplate" => metric_template(manifest),
        "CanaryPolicy" => canary_policy(manifest, context),
        _ => Ok(Vec::new()),
    };
    match rules {
        // The rules say it better, as they know what it is about.
        Ok(rules) => {
            found.retain(|misfit| {
                !rules
                    .iter()
                    .any(|rule| rule.path == misfit.path && rule.severity == Severity::Error)
            });
            found.extend(rules);
        }
        Err(unreadable) if found.is_empty() => found.push(unreadable),
        Err(_) => {}
    }
    Some(found)
}

fn misfits(
    manifest: &Manifest,
    definition: &CustomResourceDefinition,
) -> Result<Vec<Finding>, Finding> {
    let version = manifest.text("/apiVersion");
    let served = definition
        .spec
        .versions
        .iter()
        .find(|it| version == format!("{}/{}", definition.spec.group, it.name));
    let Some(served) = served else {
        let names = definition.spec.versions.iter();
        let names: Vec<_> = names
            .map(|it| format!("{}/{}", definition.spec.group, it.name))
            .collect();
        let message = format!("{version} is not served: write {}", names.join(" or "));
        return Err(manifest.finding(Severity::Error, Check::Schema, "apiVersion", message));
    };
    let schema = served
        .schema
        .as_ref()
        .and_then(|schema| schema.open_api_v3_schema.as_ref());
    let found = schema.map(|schema| schema::check(schema, manifest.value()));
    let finding = |misfit: schema::Misfit| {
        let check = if misfit.unknown {
            Check::UnknownField
        } else {
            Check::Schema
        };
        manifest.finding(Severity::Error, check, misfit.path, misfit.message)
    };
    Ok(found.into_iter().flatten().map(finding).collect())
}

fn canary(manifest: &Manifest, context: &Context<'_>) -> Result<Vec<Finding>, Finding> {
    let canary: Canary = typed(manifest)?;
    let found = validate(&canary, context.provider);
    Ok(findings(manifest, Check::CanaryRule, found))
}

fn metric_template(manifest: &Manifest) -> Result<Vec<Finding>, Finding> {
    let template: MetricTemplate = typed(manifest)?;
    let found = validate_metric_template(&template.spec);
    Ok(findings(manifest, Check::MetricRule, found))
}

fn canary_policy(manifest: &Manifest, context: &Context<'_>) -> Result<Vec<Finding>, Finding> {
    let policy: CanaryPolicy = typed(manifest)?;
    let found = policy::validate(&policy, context.now);
    let mut found = findings(manifest, Check::PolicyRule, found);
    for warning in policy::warnings(&policy, context.now) {
        let (path, message) = warning.split_once(": ").unwrap_or(("spec", &warning));
        found.push(manifest.finding(Severity::Warning, Check::PolicyRule, path, message));
    }
    Ok(found)
}

pub fn typed<T: DeserializeOwned>(manifest: &Manifest) -> Result<T, Finding> {
    serde_json::from_value(manifest.value().clone()).map_err(|error| {
        manifest.finding(
            Severity::Error,
            Check::Schema,
            "",
            format!("cannot be read: {error}"),
        )
    })
}

fn findings(manifest: &Manifest, check: Check, found: Vec<Violation>) -> Vec<Finding> {
    let finding = |it: Violation| manifest.finding(Severity::Error, check, it.field, it.message);
    found.into_iter().map(finding).collect()
}
