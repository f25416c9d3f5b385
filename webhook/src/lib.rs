//! The server of kubectl-canary: admission webhook and controller.
//!
//! ```text
//!  main ─► server ─┬─► admission ─► tls            every replica
//!                  ├─► telemetry                   every replica
//!                  └─► controller ─► tick ─┬─► world (caches)       the holder of the lease
//!                                          ├─► target, router       pure
//!                                          ├─► provider, hook       asked
//!                                          └─► api, notify          written
//! ```

pub mod admission;
pub mod alerts;
pub mod api;
pub mod args;
pub mod cache;
pub mod caches;
pub mod clock;
pub mod controller;
mod foreign;
pub mod health;
pub mod hook;
pub mod lease;
pub mod notify;
pub mod others;
pub mod policies;
pub mod provider;
pub mod questions;
pub mod rights;
pub mod router;
pub mod server;
pub mod target;
pub mod telemetry;
mod text;
pub mod tick;
pub mod tls;
pub mod transport;
pub mod watch;
pub mod world;
