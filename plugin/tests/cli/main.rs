//! The real binary against a scripted API server: what a person or a pipeline sees.
//!
//! What belongs here: exit codes, standard output and error, and which requests were made.
//! How things look belongs to the snapshots in `src/render`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod can_i;
mod errors;
mod fake;
mod history;
mod install;
mod policy;
mod requests;
mod run;
mod several;
mod status;
#[cfg(unix)]
mod terminal;
mod wait;
