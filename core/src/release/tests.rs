//! The rules, tried on a world that is simulated.
//!
//! ```text
//!  scripts ────► Story ──┐
//!                        ├─► World ─► decide ─► Plan ─► World …
//!  properties ─► History ┘     └─ Workload, clock, answers, crashes
//!       └─ invariants, coverage
//! ```
//! A script is one story with the plan of each moment in view; a property holds for all histories.

mod conditions;
mod coverage;
mod edges;
mod history;
mod holds;
mod invariants;
mod metrics;
mod plan;
mod properties;
mod scripts;
mod sim;
mod way_back;
mod weights;
mod world;
