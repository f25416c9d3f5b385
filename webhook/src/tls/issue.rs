//! CA and leaf, and when which of them is made anew, without I/O.
//!
//! ```text
//!  ca.crt   old          new + old           new + old          new
//!  leaf     by old   ─►  by old         ─►   by new        ─►   by new
//!                 CA due        trusted by the          leaf due
//!                               API servers
//! ```
//!
//! At every moment the leaf that any replica still serves is of a CA that the API servers trust.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::{Pem, parse_x509_pem};

use super::Certificate;

/// Valid from two days ago on, for clocks that are behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_hours(48);

/// How long certificates live. Each is made anew in the last third of its life.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    pub authority: Duration,
    pub leaf: Duration,
}

/// All that the Secret keeps, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The CAs that are to be trusted, the newest first.
    pub ca: String,
    /// Of the newest CA; empty if somebody else issues the certificates.
    pub ca_key: String,
    pub certificate: String,
    pub key: String,
}

/// What is to be done about certificates now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, before that.
    Rest(Timestamp),
    /// Nothing, before the API servers trust all of [`Bundle::ca`].
    AwaitTrust,
    Write(Bundle),
    /// The certificate is unfit, and there is no CA key to make another.
    NotOurs,
}

/// What is to be done, given what is kept (`known` if that is gone) and whether the API servers have
/// trusted all of its CAs for long enough.
pub fn step(
    current: Option<&Bundle>,
    known: Option<&Bundle>,
    names: &[String],
    lives: Lives,
    now: Timestamp,
    trusted: bool,
) -> Result<Step, Error> {
    let Some(current) = current else {
        let staged = known.filter(|known| !known.ca_key.is_empty() && known.fit(names, now));
        // Replicas go on serving the leaf that they have until its successor is trusted.
        return staged
            .map_or_else(
                || Bundle::create(names, lives, now),
                |known| known.with_new_authority(lives, now),
            )
            .map(Step::Write);
    };
    if !current.fit(names, now) {
        if current.ca_key.is_empty() && !current.certificate.is_empty() {
            return Ok(Step::NotOurs);
        }
        return current.with_new_leaf(names, lives, now).map(Step::Write);
    }
    let (Some(authority), Some(leaf)) = (newest(&current.ca), newest(&current.certificate)) else {
        return Ok(Step::NotOurs);
    };
    let (renew_authority, renew_leaf) = (
        authority.until.saturating_sub(lives.authority_margin()),
        leaf.until.saturating_sub(lives.leaf_margin()),
    );
    let (Ok(renew_authority), Ok(renew_leaf)) = (renew_authority, renew_leaf) else {
        return Ok(Step::NotOurs);
    };
    if current.ca_key.is_empty() {
        // Somebody else's, and good: looked at again when somebody changes it, or it ends.
        return Ok(Step::Rest(leaf.until));
    }
    let staged = leaf.issuer != authority.subject;
    if staged && !trusted {
        return Ok(Step::AwaitTrust);
    }
    if staged {
        return current.with_new_leaf(names, lives, now).map(Step::Write);
    }
    if now >= renew_authority {
        return current.with_new_authority(lives, now).map(Step::Write);
    }
    if now >= renew_leaf {
        // Nobody serves a leaf of an older CA any more.
        let only = Bundle {
            ca: each_pem(&current.ca).take(1).collect(),
            ..current.clone()
        };
        return only.with_new_leaf(names, lives, now).map(Step::Write);
    }
    Ok(Step::Rest(renew_authority.min(renew_leaf)))
}

/// What one looks at in a certificate.
struct Seen {
    from: Timestamp,
    until: Timestamp,
    /// Identifiers of the own key and of the issuer's.
    subject: Option<Vec<u8>>,
    issuer: Option<Vec<u8>>,
}

// === impl Lives ===

impl Lives {
    const fn leaf_margin(self) -> SignedDuration {
        SignedDuration::from_millis(self.leaf.as_millis() as i64 / 3)
    }

    /// A CA outlives every leaf that it signs.
    fn authority_margin(self) -> SignedDuration {
        let life = SignedDuration::from_millis(self.authority.as_millis() as i64);
        let leaf = SignedDuration::from_millis(self.leaf.as_millis() as i64);
        (life / 3).max(leaf).min(life / 3 * 2)
    }
}

// === impl Bundle ===

impl Bundle {
    /// A new CA, and a leaf of it.
    pub fn create(names: &[String], lives: Lives, now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let ca = ca_params(lives, now)?.self_signed(&key)?.pem();
        issue(ca, key, names, lives, now)
    }

    /// Whether the leaf can be served now: key, time and all the names are right.
    pub fn fit(&self, names: &[String], now: Timestamp) -> bool {
        let in_time =
            |pem: &str| newest(pem).is_some_and(|seen| seen.from <= now && now < seen.until);
        in_time(&self.certificate)
            && (self.ca.is_empty() || in_time(&self.ca))
            && KeyPair::from_pem(&self.key).is_ok()
            && has_names(&self.certificate, names)
    }

    /// When the leaf ends.
    pub fn until(&self) -> Option<Timestamp> {
        newest(&self.certificate).map(|seen| seen.until)
    }

    pub fn certificate(&self) -> Certificate {
        Certificate {
            ca: self.ca.clone(),
            chain: self.certificate.clone(),
            key: self.key.clone(),
        }
    }

    /// A leaf of the newest CA; of a new one, if that cannot sign any more.
    fn with_new_leaf(&self, names: &[String], lives: Lives, now: Timestamp) -> Result<Self, Error> {
        match KeyPair::from_pem(&self.ca_key) {
            Ok(key) if newest(&self.ca).is_some_and(|ca| ca.from <= now && now < ca.until) => {
                issue(self.ca.clone(), key, names, lives, now)
            }
            _ => {
                let new = Self::create(names, lives, now)?;
                Ok(Self {
                    ca: self.trusted_with(&new.ca),
                    ..new
                })
            }
        }
    }

    /// The same leaf, and a new CA before the one that has signed it.
    fn with_new_authority(&self, lives: Lives, now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let ca = ca_params(lives, now)?.self_signed(&key)?.pem();
        Ok(Self {
            ca: self.trusted_with(&ca),
            ca_key: key.serialize_pem(),
            ..self.clone()
        })
    }

    /// A new CA before the one that has signed the leaf; others have no leaf that anybody serves.
    fn trusted_with(&self, new: &str) -> String {
        let issuer = newest(&self.certificate).and_then(|leaf| leaf.issuer);
        let signed =
            |pem: &&str| issuer.is_some() && newest(pem).is_some_and(|ca| ca.subject == issuer);
        let old = each_pem(&self.ca).find(signed).unwrap_or_default();
        format!("{}\n{}\n", new.trim(), old.trim())
    }
}

fn issue(
    ca: String,
    ca_key: KeyPair,
    names: &[String],
    lives: Lives,
    now: Timestamp,
) -> Result<Bundle, Error> {
    let ca_pem = ca_key.serialize_pem();
    // Name and key are all that a leaf takes from its issuer, and the name is always the same.
    let issuer = Issuer::new(ca_params(lives, now)?, ca_key);
    let key = KeyPair::generate()?;
    let params = leaf_params(names, lives, now)?;
    Ok(Bundle {
        ca,
        ca_key: ca_pem,
        certificate: params.signed_by(&key, &issuer)?.pem(),
        key: key.serialize_pem(),
    })
}

fn ca_params(lives: Lives, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = valid(CertificateParams::new(Vec::new())?, now, lives.authority);
    params
        .distinguished_name
        .push(DnType::CommonName, "canary-webhook CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn leaf_params(names: &[String], lives: Lives, now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = valid(CertificateParams::new(names)?, now, lives.leaf);
    params
        .distinguished_name
        .push(DnType::CommonName, "canary-webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn valid(mut params: CertificateParams, now: Timestamp, life: Duration) -> CertificateParams {
    let at = |time: Timestamp| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_second().unsigned_abs())
    };
    let until = now.saturating_add(life).unwrap_or(Timestamp::MAX);
    params.not_before = at(now.saturating_sub(BACKDATED).unwrap_or(now));
    params.not_after = at(until);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

/// The texts of the certificates one by one.
fn each_pem(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive("-----END CERTIFICATE-----\n")
        .filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"))
}

/// The first certificate; none if it is no certificate.
fn newest(pem: &str) -> Option<Seen> {
    let pem = parsed(pem)?;
    let certificate = pem.parse_x509().ok()?;
    let time = |seconds: i64| Timestamp::from_second(seconds).ok();
    let validity = certificate.validity();
    Some(Seen {
        from: time(validity.not_before.timestamp())?,
        until: time(validity.not_after.timestamp())?,
        subject: key_identifier(&certificate, |extension| match extension {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        }),
        issuer: key_identifier(&certificate, |extension| match extension {
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                Some(id.key_identifier.as_ref()?.0.to_vec())
            }
            _ => None,
        }),
    })
}

fn key_identifier(
    certificate: &X509Certificate<'_>,
    of: impl Fn(&ParsedExtension<'_>) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| of(extension.parsed_extension()))
}

fn parsed(pem: &str) -> Option<Pem> {
    parse_x509_pem(pem.as_bytes()).ok().map(|(_, pem)| pem)
}

fn has_names(pem: &str, names: &[String]) -> bool {
    let Some(pem) = parsed(pem) else {
        return false;
    };
    let Ok(certificate) = pem.parse_x509() else {
        return false;
    };
    let Ok(Some(present)) = certificate.subject_alternative_name() else {
        return false;
    };
    names.iter().all(|wanted| {
        let address = wanted.parse::<IpAddr>().ok();
        present
            .value
            .general_names
            .iter()
            .any(|name| match (name, address) {
                (GeneralName::DNSName(name), None) => name == wanted,
                (GeneralName::IPAddress(bytes), Some(IpAddr::V4(ip))) => *bytes == ip.octets(),
                (GeneralName::IPAddress(bytes), Some(IpAddr::V6(ip))) => *bytes == ip.octets(),
                _ => false,
            })
    })
}
