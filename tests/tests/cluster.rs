//! What needs a real API server, and pods only as objects: etcd, kube-apiserver, controller manager,
//! scheduler and kubectl are real, kwok makes the pods Ready.

#[path = "cluster/admission.rs"]
mod admission;
#[path = "cluster/alerts.rs"]
mod alerts;
#[path = "cluster/alone.rs"]
mod alone;
#[path = "cluster/availability.rs"]
mod availability;
#[path = "cluster/bad_input.rs"]
mod bad_input;
#[path = "cluster/certificates.rs"]
mod certificates;
#[path = "cluster/configs.rs"]
mod configs;
#[path = "cluster/control_plane.rs"]
mod control_plane;
#[path = "cluster/crash.rs"]
mod crash;
#[path = "cluster/disruptions.rs"]
mod disruptions;
#[path = "cluster/drift.rs"]
mod drift;
#[path = "cluster/gates.rs"]
mod gates;
#[path = "cluster/generated.rs"]
mod generated;
#[path = "cluster/idle.rs"]
mod idle;
#[path = "cluster/install.rs"]
mod install;
#[path = "cluster/leader.rs"]
mod leader;
#[path = "cluster/lifecycle.rs"]
mod lifecycle;
#[path = "cluster/manifests.rs"]
mod manifests;
#[path = "cluster/migration.rs"]
mod migration;
#[path = "cluster/names.rs"]
mod names;
#[path = "cluster/others.rs"]
mod others;
#[path = "cluster/own_service.rs"]
mod own_service;
#[path = "cluster/people.rs"]
mod people;
#[path = "cluster/policies.rs"]
mod policies;
#[path = "cluster/policy.rs"]
mod policy;
#[path = "cluster/policy_server.rs"]
mod policy_server;
#[path = "cluster/ports.rs"]
mod ports;
#[path = "cluster/removals.rs"]
mod removals;
#[path = "cluster/replaced.rs"]
mod replaced;
#[path = "cluster/rewritten.rs"]
mod rewritten;
#[path = "cluster/selectors.rs"]
mod selectors;
#[path = "cluster/server.rs"]
mod server;
#[path = "cluster/setup.rs"]
mod setup;
#[path = "cluster/sizes.rs"]
mod sizes;
#[path = "cluster/strategies.rs"]
mod strategies;
#[path = "cluster/tools.rs"]
mod tools;
#[path = "cluster/tree.rs"]
mod tree;
#[path = "cluster/trouble.rs"]
mod trouble;
#[path = "cluster/undo.rs"]
mod undo;
#[path = "cluster/unreadable.rs"]
mod unreadable;
#[path = "cluster/verbs.rs"]
mod verbs;
#[path = "cluster/way_back.rs"]
mod way_back;
#[path = "cluster/webhook_down.rs"]
mod webhook_down;
