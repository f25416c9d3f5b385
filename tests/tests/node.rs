//! What needs real pods: kubelet, containerd, Services, DNS, load. Linux, root.
//!
//! ```text
//!  alertmanager ────► a control plane of its own, and Debian's Alertmanager
//!  shells ──────────► zsh, fish, kubectl
//!  lab, install ────► a node of its own for each test
//!  scenario … lost ─► play: one node where many applications are released at once;
//!                     each test reads its sentence from what the play left behind
//! ```

#[path = "node/alertmanager.rs"]
mod alertmanager;
#[path = "node/custom.rs"]
mod custom;
#[path = "node/drift.rs"]
mod drift;
#[path = "node/install.rs"]
mod install;
#[path = "node/lab.rs"]
mod lab;
#[path = "node/lost.rs"]
mod lost;
#[path = "node/play.rs"]
mod play;
#[path = "node/rollback.rs"]
mod rollback;
#[path = "node/scenario.rs"]
mod scenario;
#[path = "node/shells.rs"]
mod shells;
