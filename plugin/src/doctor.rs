//! Whether an installation works, and whether a Canary can be released: one check, one line. Pure.
//!
//! ```text
//!  command::doctor: asks the API server ─► doctor: judges ─► Diagnosis ─► render::doctor, JSON
//! ```

pub mod around;
pub mod canary;
pub mod metrics;
pub mod primary;
pub mod server;

use serde::Serialize;

use crate::exit::{Error, one_line};
use crate::report::API_VERSION;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Ok,
    /// This user, or this program, cannot tell.
    Skipped,
    /// It works, and something should be looked at.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub checks: Vec<Check>,
}

// === impl Check ===

impl Check {
    fn new(name: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            message: message.into(),
            hint: None,
        }
    }

    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message)
    }

    pub fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, message)
    }

    pub fn warn(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warn, message)
    }

    pub fn fail(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Fail, message)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What could not be read is no failure of the installation.
    pub fn unread(name: &'static str, error: &Error) -> Self {
        Self::skipped(name, one_line(&error.to_string()))
    }
}

// === impl Outcome ===

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

// === impl Diagnosis ===

impl Diagnosis {
    pub fn new(checks: Vec<Check>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "DoctorReport",
            checks,
        }
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks
            .iter()
            .filter(|it| it.outcome == outcome)
            .count()
    }
}
