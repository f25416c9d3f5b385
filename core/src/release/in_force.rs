//! The names that a release began with. A spec that names other things is followed once the release has
//! ended: until then its traffic, its pods and its way back go by the old ones.

use std::collections::BTreeMap;

use crate::canary::Canary;
use crate::status::{CanaryStatus, InForce, Phase};

/// The Canary by the names that are in force, and what waits for the release's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    pub canary: Canary,
    /// As `spec.targetRef web2`; empty if the spec names what is in force.
    pub pending: Vec<String>,
}

/// None where the spec itself is in force: no release runs, or it names nothing else.
pub fn followed(canary: &Canary, route_exists: impl Fn(&str) -> bool) -> Option<Followed> {
    let status = canary.status.as_ref()?;
    let names = status.in_force.as_ref().filter(|_| runs(status))?;
    let mut by_names = canary.clone();
    let mut pending = Vec::new();
    if canary.target_name() != names.target {
        pending.push(format!("spec.targetRef {}", canary.target_name()));
        by_names.spec.target_ref.name.clone_from(&names.target);
    }
    if canary.apex() != names.service {
        // The apex of a target without spec.service.name has the target's name.
        if canary.spec.service.name.is_some() || canary.target_name() == names.target {
            pending.push(format!("spec.service.name {}", canary.apex()));
        }
        by_names.spec.service.name = Some(names.service.clone());
    }
    let provider = canary.spec.provider.as_deref().unwrap_or_default();
    if provider != names.provider {
        pending.push(format!(
            "spec.provider {}",
            if provider.is_empty() {
                "(the server's)"
            } else {
                provider
            }
        ));
        by_names.spec.provider =
            Some(names.provider.clone()).filter(|provider| !provider.is_empty());
    }
    follow_route(&mut by_names, names, &mut pending, route_exists);
    let same = by_names.spec == canary.spec;
    (!same).then_some(Followed {
        canary: by_names,
        pending,
    })
}

/// A route may change its name in mid-release, once the new one is there to be followed.
fn follow_route(
    canary: &mut Canary,
    names: &InForce,
    pending: &mut Vec<String>,
    route_exists: impl Fn(&str) -> bool,
) {
    let Some(old) = &names.route else {
        return;
    };
    let new = canary.route().map(|route| route.name.clone());
    match new {
        Some(new) if new == *old || route_exists(&new) => {}
        new => {
            pending.push(format!(
                "spec.routeRef {}",
                new.as_deref().unwrap_or("(none)")
            ));
            let mut reference = canary.spec.route_ref.clone().unwrap_or_default();
            reference.name.clone_from(old);
            canary.spec.route_ref = Some(reference);
        }
    }
}

/// The names of a spec, for a release that begins with it.
pub fn of(canary: &Canary, labels: &BTreeMap<String, String>) -> InForce {
    InForce {
        provider: canary.spec.provider.clone().unwrap_or_default(),
        target: canary.target_name().to_owned(),
        service: canary.apex().to_owned(),
        route: canary.route().map(|route| route.name.clone()),
        labels: labels.clone(),
    }
}

/// A release holds the names: it has not ended, or its primary is still being put back.
fn runs(status: &CanaryStatus) -> bool {
    let recovering = status
        .release
        .as_ref()
        .is_some_and(|release| release.recovering);
    status.phase.is_of_release() || (status.phase == Phase::Failed && recovering)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn canary(spec: &Value, phase: &str) -> Canary {
        let mut spec = spec.clone();
        spec["targetRef"]["kind"] = json!("Deployment");
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "test" },
            "spec": spec,
            "status": {
                "phase": phase,
                "inForce": { "provider": "apisix", "target": "web", "service": "web", "route": "web" },
            },
        }))
        .unwrap()
    }

    fn as_begun() -> Value {
        json!({
            "provider": "apisix",
            "targetRef": { "name": "web" },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web" },
            "service": { "port": 80 },
        })
    }

    fn names(canary: &Canary) -> [String; 4] {
        [
            canary.spec.provider.clone().unwrap_or_default(),
            canary.target_name().to_owned(),
            canary.apex().to_owned(),
            canary.route().map(|it| it.name.clone()).unwrap_or_default(),
        ]
    }

    #[test]
    fn a_release_keeps_the_names_that_it_began_with() {
        let mut spec = as_begun();
        spec["provider"] = json!("nonsense");
        spec["targetRef"]["name"] = json!("web2");
        spec["service"]["name"] = json!("shop");
        spec["routeRef"]["name"] = json!("gone");
        for phase in [
            "Waiting",
            "Progressing",
            "WaitingPromotion",
            "Promoting",
            "Finalising",
        ] {
            let found = followed(&canary(&spec, phase), |_| false).unwrap();
            assert_eq!(names(&found.canary), ["apisix", "web", "web", "web"]);
            assert_eq!(
                found.pending,
                [
                    "spec.targetRef web2",
                    "spec.service.name shop",
                    "spec.provider nonsense",
                    "spec.routeRef gone"
                ]
            );
        }
        for phase in ["Initialized", "Succeeded", "Failed", "Initializing", ""] {
            assert_eq!(followed(&canary(&spec, phase), |_| false), None);
        }
    }

    #[test]
    fn a_target_that_gives_its_service_its_name_keeps_both() {
        let mut spec = as_begun();
        spec["targetRef"]["name"] = json!("web2");
        let found = followed(&canary(&spec, "Progressing"), |_| true).unwrap();
        assert_eq!(names(&found.canary), ["apisix", "web", "web", "web"]);
        assert_eq!(found.pending, ["spec.targetRef web2"]);
    }

    #[test]
    fn a_route_is_followed_in_mid_release_as_soon_as_it_is_there() {
        let mut spec = as_begun();
        spec["routeRef"]["name"] = json!("shop");
        assert_eq!(followed(&canary(&spec, "Progressing"), |_| true), None);
        let found = followed(&canary(&spec, "Progressing"), |_| false).unwrap();
        assert_eq!(found.pending, ["spec.routeRef shop"]);
        spec.as_object_mut().unwrap().remove("routeRef");
        let found = followed(&canary(&spec, "Progressing"), |_| true).unwrap();
        assert_eq!(names(&found.canary)[3], "web");
    }

    #[test]
    fn a_spec_that_names_what_is_in_force_is_used_as_it_is() {
        assert_eq!(
            followed(&canary(&as_begun(), "Progressing"), |_| true),
            None
        );
        let mut spec = as_begun();
        spec["service"]["port"] = json!(8080);
        assert_eq!(followed(&canary(&spec, "Progressing"), |_| true), None);
    }
}
