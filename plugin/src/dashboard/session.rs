//! Who may talk to the page.
//!
//! ```text
//!  any program ── Host is not ours ───────────► 403   (a name that was rebound to 127.0.0.1)
//!  any website ── Origin is not ours ─────────► 403   (a page that sends requests behind one's back)
//!  any user ───── neither token nor cookie ───► 403   (a neighbour on the same machine)
//!  the printed address ── token, once ────────► cookie
//! ```
//!
//! Browsers send cookies to every port of a host: the name holds the port, so that two dashboards
//! do not log each other out.

use std::sync::{Mutex, PoisonError};

use crate::exit::Error;

/// The only one whom this dashboard serves.
pub struct Session {
    hosts: [String; 2],
    /// Gone once it was redeemed.
    token: Mutex<Option<String>>,
    cookie: String,
    secret: String,
}

// === impl Session ===

impl Session {
    pub fn new(port: u16) -> Result<Self, Error> {
        Ok(Self::with(port, secret()?, secret()?))
    }

    pub(super) fn with(port: u16, token: String, secret: String) -> Self {
        Self {
            hosts: [format!("127.0.0.1:{port}"), format!("localhost:{port}")],
            token: Mutex::new(Some(token)),
            cookie: format!("kubectl-canary-{port}"),
            secret,
        }
    }

    /// The address that is printed; its token is worth nothing once it was used.
    pub fn address(&self) -> String {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let token = token.as_deref().unwrap_or_default();
        format!("http://{}/?token={token}", self.hosts[0])
    }

    pub fn is_our_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours == host)
    }

    pub fn is_our_origin(&self, origin: &str) -> bool {
        let host = origin.strip_prefix("http://");
        host.is_some_and(|host| self.is_our_host(host))
    }

    /// Whether one of these cookies is ours.
    pub fn knows(&self, cookies: &str) -> bool {
        let mut pairs = cookies.split(';').filter_map(|pair| pair.split_once('='));
        pairs.any(|(name, value)| name.trim() == self.cookie && same(value.trim(), &self.secret))
    }

    /// The cookie for a token, once.
    pub fn redeem(&self, token: &str) -> Option<String> {
        let mut ours = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        ours.take_if(|ours| same(token, ours))?;
        Some(format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie, self.secret
        ))
    }
}

/// In a time that does not tell how much of it was right.
fn same(given: &str, ours: &str) -> bool {
    let differing = given
        .bytes()
        .zip(ours.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == ours.len() && std::hint::black_box(differing) == 0
}

/// 256 bits, as they can stand in a URL and in a cookie.
fn secret() -> Result<String, Error> {
    use std::fmt::Write as _;
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Api(format!("no randomness: {error}")))?;
    let mut text = String::with_capacity(64);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::with(4000, "t0ken".into(), "s3cret".into())
    }

    #[test]
    fn a_token_is_worth_one_cookie() {
        let session = session();
        assert_eq!(session.address(), "http://127.0.0.1:4000/?token=t0ken");
        assert_eq!(session.redeem("t0kem"), None);
        assert_eq!(session.redeem(""), None);
        let cookie = session.redeem("t0ken").unwrap();
        assert_eq!(
            cookie,
            "kubectl-canary-4000=s3cret; Path=/; HttpOnly; SameSite=Strict"
        );
        assert_eq!(session.redeem("t0ken"), None);
    }

    #[test]
    fn only_its_own_cookie_is_known() {
        let session = session();
        for cookies in [
            "kubectl-canary-4000=s3cret",
            "a=b; kubectl-canary-4000=s3cret; c=d",
            "kubectl-canary-4000=stale; kubectl-canary-4000=s3cret",
        ] {
            assert!(session.knows(cookies), "{cookies}");
        }
        for cookies in [
            "",
            "kubectl-canary-4000=",
            "kubectl-canary-4000=s3cre",
            "kubectl-canary-4000=s3cret2",
            "kubectl-canary-4001=s3cret",
            "x-kubectl-canary-4000=s3cret",
        ] {
            assert!(!session.knows(cookies), "{cookies}");
        }
    }

    #[test]
    fn hosts_and_origins_are_ours_only_as_a_whole() {
        let session = session();
        for (host, ours) in [
            ("127.0.0.1:4000", true),
            ("localhost:4000", true),
            ("127.0.0.1:4001", false),
            ("127.0.0.1", false),
            ("evil.example:4000", false),
            ("127.0.0.1:4000.evil.example", false),
            ("", false),
        ] {
            assert_eq!(session.is_our_host(host), ours, "{host}");
            assert_eq!(session.is_our_origin(&format!("http://{host}")), ours);
            assert!(!session.is_our_origin(&format!("https://{host}")));
        }
        assert!(!session.is_our_origin("null"));
    }

    #[test]
    fn no_two_secrets_are_the_same() {
        let (one, two) = (secret().unwrap(), secret().unwrap());
        assert!(one.len() == 64 && one != two);
    }
}
