//! The Secret that keeps CA and certificate.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, PostParams};

use super::TlsError;
use super::issue::Bundle;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

/// Where the Secret is.
#[derive(Clone, Debug)]
pub struct Place {
    pub namespace: String,
    pub name: String,
}

// === impl Place ===

impl Place {
    pub fn api(&self, client: &Client) -> Api<Secret> {
        Api::namespaced(client.clone(), &self.namespace)
    }

    /// Writes it over what was read at `version`; creates it, if nothing was read. None if somebody else
    /// was faster.
    pub async fn write(
        &self,
        client: &Client,
        bundle: &Bundle,
        version: Option<String>,
    ) -> Result<Option<Secret>, TlsError> {
        let (api, how) = (self.api(client), PostParams::default());
        let (verb, secret) = (
            version.as_ref().map_or("create", |_| "update"),
            self.secret(bundle, version.clone()),
        );
        let written = match version {
            None => api.create(&how, &secret).await,
            Some(_) => api.replace(&self.name, &how, &secret).await,
        };
        match written {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status))
                if status.is_already_exists() || status.is_conflict() || status.is_not_found() =>
            {
                Ok(None)
            }
            Err(source) => Err(TlsError::Api {
                verb,
                object: self.to_string(),
                source: Box::new(source),
            }),
        }
    }

    pub fn secret(&self, bundle: &Bundle, resource_version: Option<String>) -> Secret {
        let data = [
            (CERTIFICATE, &bundle.certificate),
            (KEY, &bundle.key),
            (CA, &bundle.ca),
            (CA_KEY, &bundle.ca_key),
        ];
        let data = data.map(|(name, pem)| (name.to_owned(), ByteString(pem.clone().into_bytes())));
        let mut secret = Secret {
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data.into()),
            ..Secret::default()
        };
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.namespace = Some(self.namespace.clone());
        secret.metadata.resource_version = resource_version;
        secret
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// What is missing or no text is empty.
pub fn bundle(secret: &Secret) -> Bundle {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let pem = |name: &str| {
        let bytes = data.get(name).map(|bytes| bytes.0.clone());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    Bundle {
        certificate: pem(CERTIFICATE),
        key: pem(KEY),
        ca: pem(CA),
        ca_key: pem(CA_KEY),
    }
}
