//! The server's certificate: made at first start, kept in a Secret, made known to the API server.
//!
//! ```text
//!  first start ─► issue: CA (10 years) + leaf (90 days) ─► Secret canary-webhook-tls
//!  every start ─► read the Secret ─┬─► serve: TLS for the admission router
//!                                  └─► publish: caBundle in the two webhook configurations
//! ```
//!
//! Of replicas that start together one creates the Secret and the others read it. A leaf that
//! would soon expire, or that does not have our names, is replaced at start under the same CA, so
//! that replicas which still hold the old one stay trusted.

mod issue;
mod publish;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};

pub use publish::{CA_FIELD_MANAGER, CONFIGURATION, WebhookTarget, publish_ca};
pub use serve::{listen, serve};

use issue::Bundle;

/// The Secret that keeps CA and certificate, in the server's namespace.
pub const SECRET: &str = "canary-webhook-tls";

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

/// Replicas that start together may each lose a race; more often than this, something is wrong.
const ATTEMPTS: usize = 5;

/// What TLS needs. The CA's key stays in the Secret.
#[derive(Clone)]
pub struct Certificate {
    pub ca_pem: String,
    pub chain_pem: String,
    key_pem: String,
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
        "Secret {namespace}/{SECRET} holds no certificate for {names} and no key of its CA to make one: \
         renew it, or delete it and a new one is made"
    )]
    NotRenewable { namespace: String, names: String },
    #[error(
        "Secret {namespace}/{SECRET} was changed by others {ATTEMPTS} times in a row: start again"
    )]
    Contended { namespace: String },
    #[error("there is no {kind} {CONFIGURATION}: apply manifests/base/webhooks.yaml")]
    NotRegistered { kind: String },
    #[error(
        "cannot use the certificate of Secret {SECRET}: {reason}; delete it and a new one is made"
    )]
    Unusable { reason: String },
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error("stopped serving admission: {0}")]
    Serve(#[source] std::io::Error),
}

/// The certificate for `names` (DNS names and addresses), made if there is none yet.
pub async fn certificate(
    client: &Client,
    namespace: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Certificate, TlsError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for _ in 0..ATTEMPTS {
        let found = secrets
            .get_opt(SECRET)
            .await
            .map_err(|error| api("get", namespace, error))?;
        let (bundle, written) = match found {
            None => {
                let bundle = Bundle::create(names, now).map_err(|error| issue(names, error))?;
                let secret = to_secret(&bundle, namespace, None);
                let written = secrets.create(&PostParams::default(), &secret).await;
                (bundle, written.map_err(|error| ("create", error)))
            }
            Some(secret) => {
                let old = from_secret(&secret);
                if let Some(bundle) = old.as_ref().filter(|bundle| bundle.serves(names, now)) {
                    return Ok(bundle.certificate());
                }
                let bundle = renew(old, namespace, names, now)?;
                let secret = to_secret(&bundle, namespace, secret.resource_version());
                let written = secrets
                    .replace(SECRET, &PostParams::default(), &secret)
                    .await;
                (bundle, written.map_err(|error| ("update", error)))
            }
        };
        match written {
            Ok(_) => return Ok(bundle.certificate()),
            // Another replica was faster: read what it wrote.
            Err((_, kube::Error::Api(status)))
                if status.is_already_exists() || status.is_conflict() => {}
            Err((verb, error)) => return Err(api(verb, namespace, error)),
        }
    }
    Err(TlsError::Contended {
        namespace: namespace.to_owned(),
    })
}

/// Under the same CA as long as it lasts. Somebody else's certificate (no CA key) is not replaced.
fn renew(
    old: Option<Bundle>,
    namespace: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Bundle, TlsError> {
    let renewed = match old {
        Some(old) if old.ca_key.is_empty() => {
            let names = names.join(", ");
            return Err(TlsError::NotRenewable {
                namespace: namespace.to_owned(),
                names,
            });
        }
        Some(old) => old.renew(names, now),
        None => Bundle::create(names, now),
    };
    renewed.map_err(|error| issue(names, error))
}

fn to_secret(bundle: &Bundle, namespace: &str, resource_version: Option<String>) -> Secret {
    let mut secret = Secret {
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            [
                (CERTIFICATE, &bundle.certificate),
                (KEY, &bundle.key),
                (CA, &bundle.ca),
                (CA_KEY, &bundle.ca_key),
            ]
            .map(|(name, pem)| (name.to_owned(), ByteString(pem.clone().into_bytes())))
            .into(),
        ),
        ..Secret::default()
    };
    secret.metadata.name = Some(SECRET.to_owned());
    secret.metadata.namespace = Some(namespace.to_owned());
    secret.metadata.resource_version = resource_version;
    secret
}

/// None if what a server needs is missing or no text.
fn from_secret(secret: &Secret) -> Option<Bundle> {
    let data: &BTreeMap<String, ByteString> = secret.data.as_ref()?;
    let pem = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok();
    Some(Bundle {
        certificate: pem(CERTIFICATE)?,
        key: pem(KEY)?,
        ca: pem(CA)?,
        ca_key: pem(CA_KEY).unwrap_or_default(),
    })
}

fn api(verb: &'static str, namespace: &str, source: kube::Error) -> TlsError {
    TlsError::Api {
        verb,
        object: format!("Secret {namespace}/{SECRET}"),
        source: Box::new(source),
    }
}

fn issue(names: &[String], source: rcgen::Error) -> TlsError {
    TlsError::Issue {
        names: names.join(", "),
        source,
    }
}

// === impl Certificate ===

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
