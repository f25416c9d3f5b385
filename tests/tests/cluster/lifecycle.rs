//! The life of a Canary on a real API server: adopted, released, rolled back, deleted.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "lifecycle/adoption.rs"]
mod adoption;
#[path = "lifecycle/changes.rs"]
mod changes;
#[path = "lifecycle/configuration.rs"]
mod configuration;
#[path = "lifecycle/ending.rs"]
mod ending;
#[path = "lifecycle/failure.rs"]
mod failure;
#[path = "lifecycle/fixes.rs"]
mod fixes;
#[path = "lifecycle/release.rs"]
mod release;
#[path = "lifecycle/takeovers.rs"]
mod takeovers;
