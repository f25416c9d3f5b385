//! The real binary against a scripted API server: what a person or a pipeline sees.
//!
//! What belongs here: exit codes, standard output and error, and which requests were made.
//! How things look belongs to the snapshots in `src/render`; here are those of each kind of output (`golden`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod around;
mod can_i;
mod complete;
mod credentials;
mod dashboard;
mod doctor;
mod errors;
mod fake;
#[cfg(unix)]
mod golden;
#[cfg(unix)]
mod golden_verbs;
mod history;
mod init;
mod install;
mod lint;
mod odd;
mod policy;
mod requests;
mod run;
mod set;
mod several;
mod status;
#[cfg(unix)]
mod terminal;
mod tree;
mod trouble;
mod undo;
mod wait;
mod world;
