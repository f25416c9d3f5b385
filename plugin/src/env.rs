//! The environment, read once, in one place; everything else gets it as a value.

use std::ffi::OsString;
use std::path::PathBuf;

use jiff::Timestamp;

/// What the plugin takes from the process that started it.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// `KUBECONFIG`: a list of files, as in `PATH`.
    pub kubeconfig: Option<OsString>,
    pub home: Option<PathBuf>,
    /// The locale that decides the character set, by POSIX's order of precedence.
    pub locale: Option<String>,
    /// `TERM`: what kind of terminal it is.
    pub terminal: Option<String>,
    /// Proxy for https, where the kubeconfig names none.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without it.
    pub no_proxy: Option<String>,
}

impl Env {
    /// Reads the process environment.
    pub fn read() -> Self {
        Self {
            kubeconfig: var("KUBECONFIG").map(OsString::from),
            home: std::env::home_dir(),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(var),
            terminal: var("TERM"),
            https_proxy: var("HTTPS_PROXY").or_else(|| var("https_proxy")),
            no_proxy: var("NO_PROXY").or_else(|| var("no_proxy")),
        }
    }

    /// Whether the terminal only takes lines, one below the other.
    pub fn is_dumb(&self) -> bool {
        self.terminal.as_deref() == Some("dumb")
    }

    /// Whether output may hold more than ASCII.
    pub fn is_utf8(&self) -> bool {
        let utf8 = |locale: &str| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        };
        cfg!(windows) || self.locale.as_deref().is_some_and(utf8)
    }
}

/// The wall clock: countdowns, ages and the time before a line of `--watch`.
#[allow(
    clippy::disallowed_methods,
    reason = "the one home of the plugin's clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one home of the plugin's environment"
)]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
