//! Why a kind cannot be listed or watched.

use std::time::Duration;

use crate::text::said;

#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    #[error("{}", said(.0))]
    Api(#[from] kube::Error),
    #[error("no answer within {} seconds", .0.as_secs())]
    NoAnswer(Duration),
    #[error("an answer without a resourceVersion")]
    NoVersion,
}

// === impl WatchError ===

impl WatchError {
    /// The API server has no such thing.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// Changes since then are not to be had any more, or one of them was lost.
    pub fn needs_a_list(&self) -> bool {
        match self {
            Self::Api(kube::Error::Api(status)) => status.code == 410,
            Self::Api(kube::Error::SerdeError(_)) | Self::NoVersion => true,
            Self::Api(_) | Self::NoAnswer(_) => false,
        }
    }

    /// Of the API server's answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}
