//! CA and leaf, without I/O.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::Certificate;

const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 90;
/// A leaf is replaced once this many days are left, a third of its life.
const LEAF_MARGIN: i64 = 30;

/// All that the Secret keeps, as PEM.
#[derive(Clone)]
pub struct Bundle {
    pub ca: String,
    /// Empty if somebody else issues the certificates.
    pub ca_key: String,
    pub certificate: String,
    pub key: String,
}

// === impl Bundle ===

impl Bundle {
    /// A new CA, and a leaf of it.
    pub fn create(names: &[String], now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let ca = ca_params(now)?.self_signed(&key)?.pem();
        Self::issue(ca, key, names, now)
    }

    /// A new leaf of the same CA; a new CA too, if it would end before the leaf.
    pub fn renew(&self, names: &[String], now: Timestamp) -> Result<Self, Error> {
        match KeyPair::from_pem(&self.ca_key) {
            Ok(key) if days_left(&self.ca, now).is_some_and(|days| days > LEAF_DAYS) => {
                Self::issue(self.ca.clone(), key, names, now)
            }
            _ => Self::create(names, now),
        }
    }

    /// Whether the leaf has all the names, and time enough.
    pub fn serves(&self, names: &[String], now: Timestamp) -> bool {
        days_left(&self.certificate, now).is_some_and(|days| days > LEAF_MARGIN)
            && days_left(&self.ca, now).is_some_and(|days| days > LEAF_MARGIN)
            && has_names(&self.certificate, names)
    }

    pub fn certificate(&self) -> Certificate {
        Certificate {
            ca_pem: self.ca.clone(),
            chain_pem: self.certificate.clone(),
            key_pem: self.key.clone(),
        }
    }

    fn issue(ca: String, ca_key: KeyPair, names: &[String], now: Timestamp) -> Result<Self, Error> {
        let ca_pem = ca_key.serialize_pem();
        // Name and key are all that a leaf takes from its issuer, and the name is always the same.
        let issuer = Issuer::new(ca_params(now)?, ca_key);
        let key = KeyPair::generate()?;
        let certificate = leaf_params(names, now)?.signed_by(&key, &issuer)?.pem();
        Ok(Self {
            ca,
            ca_key: ca_pem,
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn ca_params(now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = valid(CertificateParams::new(Vec::new())?, now, CA_DAYS.days());
    params
        .distinguished_name
        .push(DnType::CommonName, "canary-webhook CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

fn leaf_params(names: &[String], now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = valid(CertificateParams::new(names)?, now, LEAF_DAYS.days());
    params
        .distinguished_name
        .push(DnType::CommonName, "canary-webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Valid from yesterday on, for clocks that are behind ours.
fn valid(mut params: CertificateParams, now: Timestamp, life: Span) -> CertificateParams {
    let today = now.to_zoned(TimeZone::UTC).date();
    let day = |date: Date| {
        date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(life));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

/// None if it is not valid now, or no certificate.
fn days_left(pem: &str, now: Timestamp) -> Option<i64> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let seconds = now.as_second();
    let valid = validity.not_before.timestamp() <= seconds;
    let left = validity.not_after.timestamp() - seconds;
    (valid && left > 0).then_some(left / 86_400)
}

fn has_names(pem: &str, names: &[String]) -> bool {
    let Ok((_, pem)) = parse_x509_pem(pem.as_bytes()) else {
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
