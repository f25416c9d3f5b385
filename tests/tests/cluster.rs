//! What needs a real API server, and pods only as objects: etcd, kube-apiserver, controller manager,
//! scheduler and kubectl are real, kwok makes the pods Ready.

#[path = "cluster/admission.rs"]
mod admission;
#[path = "cluster/control_plane.rs"]
mod control_plane;
#[path = "cluster/lifecycle.rs"]
mod lifecycle;
#[path = "cluster/manifests.rs"]
mod manifests;
#[path = "cluster/policies.rs"]
mod policies;
#[path = "cluster/server.rs"]
mod server;
#[path = "cluster/setup.rs"]
mod setup;
