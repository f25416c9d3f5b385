//! Stories: what happens, and what is said and [done] about it, second by second.

mod adoption;
mod awaited;
mod blue_green;
mod changes;
mod drift;
mod ending;
mod failures;
mod gates;
mod hindrance;
mod holds;
mod metric_servers;
mod pauses;
mod promotions;
mod put_back;
mod requests;
mod seed;
mod sizes;
mod story;
mod stranded;
mod suspended;
mod takeover;
mod unreachable;
mod weighted;

pub use story::{SECOND, canary, two_steps, with_hooks, with_metric};
