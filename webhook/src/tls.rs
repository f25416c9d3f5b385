//! The server's certificate: made and renewed by the leader, kept in a Secret, served by every replica,
//! made known to the API server.
//!
//! ```text
//!              lead (the holder of the lease)                     every replica
//!  issue ◄──┬── step: CA 10 years, leaf 90 days ─► Secret ─watch─► follow ─► serve   new connections
//!   (pure)  │                                        │  ▲             └─► am I reached as I should be?
//!           └── publish: caBundle ◄──────watch───────┘  │
//!                  │                                somebody else, such as cert-manager
//!                  ▼
//!        the two webhook configurations
//! ```
//!
//! A replica that is shown another certificate by the Secret takes it for new connections and keeps the
//! open ones. A new CA is published beside the old one before anything is signed with it. With a Secret of
//! somebody else's nothing is written: neither it nor `caBundle`.

mod follow;
mod guest;
mod issue;
mod lead;
mod publish;
mod secret;
mod serve;
#[cfg(test)]
mod tests;

pub use follow::{CertificateMetrics, Follower, Kept};
pub use issue::Lives;
pub use lead::Keeper;
pub use publish::{CA_FIELD_MANAGER, CONFIGURATION, WebhookTarget};
pub use secret::Place;
pub use serve::{Limits, Served, listen, serve};

/// The Secret that keeps CA and certificate, in the server's namespace, unless it is somebody else's.
pub const SECRET: &str = "canary-webhook-tls";

/// What TLS needs, as PEM. The CA's key stays in the Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    ca: String,
    chain: String,
    key: String,
}

/// Why there is no certificate, or nobody knows of it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot make a certificate for {names}: {source}")]
    Issue { names: String, source: rcgen::Error },
    #[error(
        "cannot {verb} {object}: {source}; the server needs the rights in manifests/base/rbac.yaml"
    )]
    Api {
        verb: &'static str,
        object: String,
        source: Box<kube::Error>,
    },
    #[error(
        "{secret} holds no valid certificate for {names} and no key of its CA to make one: \
         renew it, or delete it and a new one is made"
    )]
    NotRenewable { secret: String, names: String },
    #[error("there is no {kind} {CONFIGURATION}: apply manifests/base/webhooks.yaml")]
    NotRegistered { kind: String },
    #[error("the certificate cannot be used: {reason}; delete the Secret and a new one is made")]
    Unusable { reason: String },
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error("stopped serving admission: {0}")]
    Serve(#[source] std::io::Error),
}

// === impl Certificate ===

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
