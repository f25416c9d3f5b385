//! What tests read from a plan.

use crate::message::Message;
use crate::release::{Action, Plan, Routes};

// === impl Plan ===

impl Plan {
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.actions.iter().filter_map(|action| match action {
            Action::Say(message) => Some(message),
            _ => None,
        })
    }

    pub fn routes(&self) -> impl Iterator<Item = Routes> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Route(routes) => Some(*routes),
            Action::Point => Some(Routes::ALL_PRIMARY),
            _ => None,
        })
    }

    pub fn promotes(&self) -> bool {
        self.actions
            .iter()
            .any(|action| matches!(action, Action::Promote(_)))
    }
}
