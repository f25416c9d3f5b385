//! Test harness: real control planes and nodes, our programs as a user starts them, fixtures with real
//! sockets.
//!
//! ```text
//!  tests/*.rs, demo, bench ──► control_plane, node ──► guard (processes, folder, clean-up)
//!             │                       │  └─► pki, crds, kwok, image
//!             └──► server, plugin ────┴─────► tools (what is built, what is installed, our binaries)
//! ```

pub mod bench;
pub mod clock;
pub mod cluster;
pub mod control_plane;
pub mod crds;
pub mod docs;
pub mod fixtures;
pub mod guard;
pub mod held;
pub mod image;
pub mod kwok;
pub mod node;
pub mod pki;
pub mod plugin;
pub mod process;
pub mod recording;
pub mod scenario;
pub mod server;
pub mod stage;
pub mod tools;
