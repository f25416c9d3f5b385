//! A Deployment that is simulated: what its controller would report.

use std::collections::BTreeMap;

use crate::release::facts::{Readiness, Wait, Workload};

/// How its pods are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Ready,
    /// The change was stored, and its controller has not acted on it.
    Rolling,
    /// New pods run and are not available; so many of all are ready.
    Unavailable {
        ready: i32,
    },
    /// As many are ready as its own threshold asks for, and not all.
    Enough {
        ready: i32,
    },
    Stuck,
    /// Its deadline has passed, and no pod of any revision is left.
    Dead,
    /// The Deployment controller has not looked at the last change; so many are ready.
    Unobserved {
        ready: i32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sim {
    pub name: &'static str,
    pub uid: String,
    pub generation: i64,
    pub revision: String,
    pub replicas: i32,
    pub health: Health,
    /// Pods of the previous revision serve until those of the new one are ready.
    pub surges: bool,
    pub manager: String,
    pub changed_by: Option<String>,
    /// The size that somebody wants.
    pub wanted: Option<i32>,
    pub break_glass: Option<String>,
}

// === impl Sim ===

impl Sim {
    pub fn new(name: &'static str, revision: &str, replicas: i32) -> Self {
        Self {
            name,
            uid: format!("uid-of-{name}"),
            generation: 1,
            revision: revision.to_owned(),
            replicas,
            health: Health::Ready,
            surges: false,
            manager: "kubectl".to_owned(),
            changed_by: None,
            wanted: None,
            break_glass: None,
        }
    }

    pub fn ready(&self) -> i32 {
        match self.health {
            Health::Ready => self.replicas,
            Health::Enough { ready }
            | Health::Unavailable { ready }
            | Health::Unobserved { ready } => ready.min(self.replicas),
            Health::Rolling | Health::Stuck if self.surges => self.replicas,
            Health::Rolling | Health::Stuck | Health::Dead => 0,
        }
    }

    fn readiness(&self) -> Readiness {
        let (available, updated) = (self.ready(), self.replicas);
        match self.health {
            // Its condition outlives its pods.
            Health::Stuck | Health::Dead => Readiness::Stuck(format!(
                "deployment {:?} exceeded its progress deadline",
                self.name
            )),
            Health::Unobserved { .. } => Readiness::Waiting(Wait::Unobserved),
            _ if self.replicas == 0 => Readiness::Ready,
            Health::Ready | Health::Enough { .. } => Readiness::Ready,
            Health::Rolling => Readiness::Waiting(Wait::Updating {
                updated: 0,
                desired: self.replicas,
            }),
            Health::Unavailable { .. } => Readiness::Waiting(Wait::Unavailable {
                available,
                updated,
                threshold: 100,
            }),
        }
    }

    pub fn workload(&self) -> Workload {
        Workload {
            uid: self.uid.clone(),
            generation: self.generation,
            revision: self.revision.clone(),
            replicas: self.replicas,
            ready: self.ready(),
            readiness: self.readiness(),
            images: BTreeMap::from([("podinfod".to_owned(), format!("podinfo:{}", self.revision))]),
            labels: BTreeMap::from([("app".to_owned(), self.name.to_owned())]),
            replicas_manager: self.manager.clone(),
            wanted: self.wanted,
            changed_by: self.changed_by.clone(),
            break_glass: self.break_glass.clone(),
            failed: None,
        }
    }

    /// True if that changed anything.
    pub fn scale(&mut self, replicas: i32, by: &str, then: Health) -> bool {
        if self.replicas == replicas {
            return false;
        }
        // Pods that were ready stay so; those that are added have to become it.
        if replicas > self.replicas {
            self.health = then;
        }
        self.replicas = replicas;
        self.generation += 1;
        by.clone_into(&mut self.manager);
        true
    }

    pub fn set_template(&mut self, revision: &str, then: Health) -> bool {
        if self.revision == revision {
            return false;
        }
        revision.clone_into(&mut self.revision);
        self.generation += 1;
        self.health = then;
        true
    }
}
