//! Where requests go: read from the route, because the route is what the gateway obeys.

use canary_core::canary::Canary;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Extra;

/// Shares in percent; they sum to 100.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    pub primary: i64,
    pub canary: i64,
    pub source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The generated route.
    Route,
    /// The controller's word; the route was not read.
    Status,
    /// No router: the apex Service has the primary behind it.
    Service,
}

/// Name and API version of the generated route, for providers that have one.
pub fn route_name(canary: &Canary) -> Option<(String, String)> {
    let reference = canary
        .route()
        .filter(|_| super::provider(canary) == "apisix")?;
    Some((canary.canary_route()?, reference.api_version.clone()))
}

pub(super) fn traffic(canary: &Canary, route: &Extra) -> Traffic {
    if let Extra::Found(route) = route
        && let Some(share) = share(
            &route.data,
            &canary.primary_service(),
            &canary.canary_service(),
        )
    {
        return Traffic {
            primary: 100 - share,
            canary: share,
            source: Source::Route,
        };
    }
    if canary.provider_or("") == "kubernetes" {
        return Traffic {
            primary: 100,
            canary: 0,
            source: Source::Service,
        };
    }
    let weight = canary
        .status
        .as_ref()
        .map_or(0, |status| status.canary_weight)
        .clamp(0, 100);
    Traffic {
        primary: 100 - weight,
        canary: weight,
        source: Source::Status,
    }
}

/// The canary's share of the rule that has both Services behind it.
fn share(route: &Value, primary: &str, canary: &str) -> Option<i64> {
    let rules = route.pointer("/spec/http")?.as_array()?;
    rules.iter().find_map(|rule| {
        let backends = rule.get("backends")?.as_array()?;
        let weight = |service: &str| {
            let backend = backends.iter().find(|backend| {
                backend.get("serviceName").and_then(Value::as_str) == Some(service)
            })?;
            Some(
                backend
                    .get("weight")
                    .and_then(Value::as_i64)
                    .unwrap_or(100)
                    .max(0),
            )
        };
        let (primary, canary) = (weight(primary)?, weight(canary)?);
        // Shares, not raw weights: a person may have written 1 and 3.
        (canary * 100).checked_div(primary + canary).or(Some(0))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(primary: i64, canary: i64) -> Value {
        json!({"spec": {"http": [
            {"backends": [{"serviceName": "other", "weight": 1}]},
            {"backends": [{"serviceName": "p", "weight": primary}, {"serviceName": "c", "weight": canary}]},
        ]}})
    }

    #[test]
    fn the_share_is_taken_from_the_rule_with_both_services() {
        for (primary, canary, expected) in [
            (100, 0, 0),
            (70, 30, 30),
            (0, 100, 100),
            (3, 1, 25),
            (0, 0, 0),
        ] {
            assert_eq!(share(&route(primary, canary), "p", "c"), Some(expected));
        }
    }

    #[test]
    fn a_route_without_the_services_says_nothing() {
        assert_eq!(share(&route(1, 1), "x", "c"), None);
        assert_eq!(share(&json!({}), "p", "c"), None);
        assert_eq!(share(&json!({"spec": {"http": "broken"}}), "p", "c"), None);
    }
}
