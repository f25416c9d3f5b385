//! The workload that is released, and what is generated beside it. All of it pure: what is live
//! comes in, what should be goes out.
//!
//! ```text
//!  tracking   by what tools find what they applied: nothing that is generated carries it
//!  generated  the mark and the owner of what is generated; what may be written, and what may be deleted
//!  whole      what we would write against what is there and what was written last: the one comparison
//!  ports      ports of Services and routes while they change
//!  declared   ports that a template declares
//!  followed   targetPorts that change: until when the primary is led to as before
//!  view       a Deployment as the caches keep it
//!  recorded   a template as a ControllerRevision keeps it: what was analysed is what is promoted
//!  primary    recorded ─► `<target>-primary`
//!  config     references to ConfigMaps and Secrets, and their `-primary` copies
//!  copies     which of them a primary refers to, as it notes it
//!  placement  affinity and spread rules that speak of the target's own pods
//!  kept       what a promotion replaces of these copies, until it has ended
//!  pods       whose a pod is, by its name
//!  service    apex, `-primary` and `-canary` Services
//!  taken      a Service of the user's own that leads to the primary meanwhile
//!  applied    what somebody applied to a Service
//!  autoscaler `<hpa>-primary`
//!  disruption `<pdb>-primary`
//! ```

pub mod applied;
pub mod autoscaler;
pub mod config;
pub mod copies;
pub mod declared;
pub mod disruption;
pub mod followed;
pub mod generated;
pub mod kept;
pub mod placement;
pub mod pods;
pub mod ports;
pub mod primary;
pub mod recorded;
pub mod service;
pub mod taken;
pub mod tracking;
pub mod view;
pub mod whole;

use serde_json::Value;

pub use tracking::{included, untracked};

/// Every field of `desired` is so in `live`; what the API server added does not matter.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| covers(live, wanted))),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, wanted)| covers(live, wanted))
        }
        _ => live == desired,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let live = json!({ "spec": { "ports": [{ "port": 80, "protocol": "TCP" }], "clusterIP": "10.0.0.1" } });
        assert!(covers(
            &live,
            &json!({ "spec": { "ports": [{ "port": 80 }] } })
        ));
    }

    #[test]
    fn a_missing_element_of_a_list_is_a_difference() {
        let live = json!({ "ports": [{ "port": 80 }] });
        assert!(!covers(
            &live,
            &json!({ "ports": [{ "port": 80 }, { "port": 90 }] })
        ));
        assert!(!covers(&live, &json!({ "ports": [] })));
    }
}
