//! The certificates of a cluster: one authority, everybody signed by it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// The authority, and the folder where everything that it signs is kept.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    issued: AtomicUsize,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, PKCS#8.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority; writes `ca.crt`, `ca.key`, and the service accounts' key as `sa.key`, `sa.pub`.
    pub fn new(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        std::fs::write(folder.join("ca.crt"), issuer.pem())?;
        std::fs::write(folder.join("ca.key"), issuer.key().serialize_pem())?;
        let accounts = KeyPair::generate()?;
        std::fs::write(folder.join("sa.key"), accounts.serialize_pem())?;
        std::fs::write(folder.join("sa.pub"), accounts.public_key_pem())?;
        Ok(Self {
            issuer,
            folder: folder.to_owned(),
            issued: AtomicUsize::new(0),
        })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The authority's certificate as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate for those names and addresses.
    pub fn server(&self, name: &str, hosts: &[String]) -> Result<Identity> {
        self.sign(name, name, &[], hosts)
    }

    /// A client's certificate: Kubernetes reads the user from CN and the groups from O.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Identity> {
        // A number, not the name: names hold any character, and one person may come with other groups.
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        self.sign(&format!("client-{number}"), user, groups, &[])
    }

    fn sign(&self, file: &str, name: &str, groups: &[&str], hosts: &[String]) -> Result<Identity> {
        ensure!(
            groups.len() <= 2,
            "a client certificate here carries at most two groups, {name} has {groups:?}"
        );
        // rcgen keeps one value per type of name; the second O goes in under its number.
        let types = [
            DnType::OrganizationName,
            DnType::CustomDnType(vec![2, 5, 4, 10]),
        ];
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        for (kind, group) in types.into_iter().zip(groups) {
            params.distinguished_name.push(kind, *group);
        }
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let identity = Identity {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        std::fs::write(&identity.certificate, certificate.pem())?;
        std::fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }

    /// A kubeconfig for a user with those groups at that server.
    pub fn kubeconfig(&self, server: &str, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let identity = self.client(user, groups)?;
        let path = identity.key.with_extension("kubeconfig");
        let credentials = json!({
            "client-certificate": identity.certificate,
            "client-key": identity.key,
        });
        write_kubeconfig(&path, server, &self.certificate(), &credentials)?;
        Ok(path)
    }
}

/// Writes a kubeconfig with one cluster, one user and one context.
pub fn write_kubeconfig(
    path: &Path,
    server: &str,
    ca: &Path,
    credentials: &serde_json::Value,
) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "user", "user": credentials}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
        "current-context": "lab",
    });
    std::fs::write(path, serde_yaml::to_string(&config)?)?;
    Ok(())
}
