//! Resource types and the rules of a canary release, without I/O.
//!
//! ```text
//!            ┌── validate ──┐
//!  canary ───┤              ├──► admission, controller, plugin
//!  status    └── query ─────┘
//!  template      hook, request, revision, selector, capability
//!     └────► crd
//! ```

pub mod alert;
pub mod canary;
pub mod capability;
pub mod crd;
pub mod guard;
pub mod hook;
pub mod message;
pub mod names;
pub mod policy;
pub mod query;
pub mod references;
pub mod release;
pub mod request;
pub mod revision;
mod schema;
pub mod selector;
pub mod size;
pub mod status;
pub mod template;
pub mod url;
pub mod validate;
