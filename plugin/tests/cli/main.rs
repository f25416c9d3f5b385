//! The real binary against a scripted API server: what a person or a pipeline sees.
//!
//! What belongs here: exit codes, standard output and error, and which requests were made.
//! How things look belongs to the snapshots in `src/render`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod can_i;
mod complete;
mod doctor;
mod errors;
mod fake;
mod init;
mod install;
mod lint;
mod policy;
mod requests;
mod run;
mod set;
mod status;
#[cfg(unix)]
mod terminal;
