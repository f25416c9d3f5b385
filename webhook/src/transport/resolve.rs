//! `--resolve HOST:PORT:ADDRESS`, as curl's.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Requests to `host:port` go to `address`. TLS and the `Host` header keep the host's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// In lower case.
    pub host: String,
    pub port: u16,
    pub address: SocketAddr,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    #[error("`{0}` is not HOST:PORT:ADDRESS, such as prometheus.apisix:9090:127.0.0.1")]
    Form(String),
    #[error("`{0}` is not a port: use a number from 1 to 65535")]
    Port(String),
    #[error("`{0}` is not an address: use IP or IP:PORT, an IPv6 address in brackets")]
    Address(String),
}

// === impl Resolve ===

impl FromStr for Resolve {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || ResolveError::Form(text.to_owned());
        let (host, rest) = text.split_once(':').ok_or_else(form)?;
        let (port, address) = rest.split_once(':').ok_or_else(form)?;
        if host.is_empty() || address.is_empty() {
            return Err(form());
        }
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(ResolveError::Port(port.to_owned())),
            Ok(port) => port,
        };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
            address: parse_address(address, port)
                .ok_or_else(|| ResolveError::Address(address.to_owned()))?,
        })
    }
}

/// An address without a port keeps the port of the name.
fn parse_address(text: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> String {
        text.parse::<Resolve>().unwrap().address.to_string()
    }

    #[test]
    fn an_address_without_a_port_keeps_the_port_of_the_name() {
        assert_eq!(
            address("prometheus.apisix:9090:127.0.0.1"),
            "127.0.0.1:9090"
        );
        assert_eq!(address("h:9090:[::1]"), "[::1]:9090");
        assert_eq!(address("h:9090:::1"), "[::1]:9090");
    }

    #[test]
    fn an_address_may_name_another_port() {
        assert_eq!(address("h:9090:127.0.0.1:33445"), "127.0.0.1:33445");
        assert_eq!(address("h:9090:[::1]:33445"), "[::1]:33445");
    }

    #[test]
    fn host_names_are_compared_without_case() {
        assert_eq!("H.Ns:80:10.0.0.1".parse::<Resolve>().unwrap().host, "h.ns");
    }

    #[test]
    fn a_wrong_part_is_named() {
        let error = |text: &str| text.parse::<Resolve>().unwrap_err();
        assert_eq!(error("host"), ResolveError::Form("host".into()));
        assert_eq!(error("host:80"), ResolveError::Form("host:80".into()));
        assert_eq!(error(":80:::1"), ResolveError::Form(":80:::1".into()));
        assert_eq!(error("h:http:::1"), ResolveError::Port("http".into()));
        assert_eq!(error("h:0:::1"), ResolveError::Port("0".into()));
        assert_eq!(error("h:80:there"), ResolveError::Address("there".into()));
        assert_eq!(
            error("h:80:127.0.0.1:0"),
            ResolveError::Address("127.0.0.1:0".into())
        );
    }
}
