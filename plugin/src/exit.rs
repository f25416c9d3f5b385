//! How a command ends: one line of cause, one line of hint, one exit code.

use std::process::ExitCode;
use std::time::Duration;

use thiserror::Error;

use crate::manifests::Malformed;
use crate::render::steers;

/// Every verb's exit codes; scripts depend on them.
pub mod code {
    pub const OK: u8 = 0;
    /// Usage error, error of the API, or nothing to do.
    pub const ERROR: u8 = 1;
    pub const RELEASE_FAILED: u8 = 2;
    /// `lint` found an error.
    pub const FINDINGS: u8 = 2;
    pub const TIMEOUT: u8 = 3;
    pub const NOT_FOUND: u8 = 4;
    pub const FORBIDDEN: u8 = 5;
    pub const SUPERSEDED: u8 = 6;
    /// 128 + SIGINT, as shells have it.
    pub const INTERRUPTED: u8 = 130;

    /// The worst first.
    const BY_WEIGHT: [u8; 7] = [
        INTERRUPTED,
        RELEASE_FAILED,
        FORBIDDEN,
        ERROR,
        NOT_FOUND,
        TIMEOUT,
        SUPERSEDED,
    ];

    /// What became of several, as one code.
    pub fn worst(codes: &[u8]) -> u8 {
        let mut by_weight = BY_WEIGHT.into_iter();
        by_weight
            .find(|code| codes.contains(code))
            .unwrap_or_else(|| codes.iter().copied().max().unwrap_or(OK))
    }
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("no cluster is configured: {0}")]
    NoCluster(String),
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    #[error("cannot reach the Kubernetes API at {server}: {cause}")]
    Unreachable { server: String, cause: String },
    #[error("the Kubernetes API at {server} did not answer within {}", seconds(*.after))]
    NoAnswer { server: String, after: Duration },
    #[error("the Kubernetes API at {server} does not know these credentials{detail}")]
    Unauthorized { server: String, detail: String },
    #[error("{0}")]
    ReadForbidden(String),
    #[error("{0}")]
    WriteForbidden(String),
    #[error("{0}")]
    NotAdministrator(String),
    #[error("{object} was changed by somebody else: {cause}")]
    Applied { object: String, cause: String },
    #[error("the Canary CRD is not installed in this cluster, or not in version v1beta1")]
    NoCrd,
    #[error("canary {namespace}/{name} not found")]
    NotFound {
        namespace: String,
        name: String,
        near: Vec<String>,
    },
    /// Something else than a Canary.
    #[error("{message}")]
    NoObject { message: String, hint: String },
    /// A policy or the lack of rights, where the request was none for a Canary.
    #[error("{message}")]
    Denied { message: String, hint: String },
    #[error("canary {0} was deleted")]
    Deleted(String),
    #[error("{message}")]
    NothingToDo {
        message: String,
        hint: Option<String>,
    },
    #[error("the controller refused: {0}")]
    Refused(String),
    #[error("{message}")]
    Superseded { message: String, command: String },
    #[error("canary {0} keeps changing while the request is written")]
    Conflict(String),
    #[error("{message}")]
    Timeout { message: String, hint: String },
    /// It is decided, and could not be carried out in time.
    #[error("{message}")]
    Undone { message: String, hint: String },
    #[error("{message}")]
    ReleaseFailed {
        message: String,
        hint: Option<String>,
    },
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        address: String,
        cause: std::io::Error,
    },
    #[error("{0}")]
    Api(String),
    #[error("{kind} {name} cannot be read by this version of the plugin: {cause}")]
    Unreadable {
        kind: String,
        name: String,
        cause: String,
    },
    #[error(transparent)]
    Manifest(#[from] Malformed),
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
    #[error("interrupted")]
    Interrupted,
}

// === impl Error ===

impl Error {
    pub fn code(&self) -> u8 {
        match self {
            Self::ReleaseFailed { .. } => code::RELEASE_FAILED,
            Self::Timeout { .. } => code::TIMEOUT,
            Self::NotFound { .. } | Self::Deleted(_) | Self::NoObject { .. } => code::NOT_FOUND,
            Self::ReadForbidden(_)
            | Self::WriteForbidden(_)
            | Self::NotAdministrator(_)
            | Self::Denied { .. } => code::FORBIDDEN,
            Self::Superseded { .. } => code::SUPERSEDED,
            Self::Interrupted => code::INTERRUPTED,
            // A reader that has seen enough (`| head`) is no failure.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => code::OK,
            _ => code::ERROR,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoCluster(_) => "set KUBECONFIG, or pass --kubeconfig FILE or --server URL",
            Self::Kubeconfig(_) => "see `kubectl config view` and `kubectl config get-contexts`",
            Self::Unreachable { .. } => {
                "is the cluster up, and is this the right context? see `kubectl cluster-info`"
            }
            Self::NoAnswer { .. } => "try again, or allow more with --request-timeout",
            Self::Unauthorized { .. } => "log in again, or choose another --user or --context",
            Self::ReadForbidden(_) => {
                "ask for the ClusterRole canary-viewer; see `kubectl auth can-i get canaries.flagger.app`"
            }
            Self::WriteForbidden(_) => {
                "see `kubectl auth can-i promote canaries.flagger.app` (or `rollback`); ClusterRole canary-operator has both"
            }
            Self::NotAdministrator(_) => {
                "this takes the rights of a cluster administrator; nothing is undone: run it again with them"
            }
            Self::Applied { .. } => {
                "keep to the tool that applied it, or take it over with --force-conflicts"
            }
            Self::NoCrd => "`kubectl canary install` installs it; or choose another --context",
            Self::Conflict(_) => "try again",
            Self::Listen { .. } => "choose another --port, or leave it out for a free one",
            Self::Refused(_) => "see `kubectl canary status`",
            Self::Unreadable { .. } => "`kubectl canary version` shows both versions",
            Self::NotFound { near, .. } if !near.is_empty() => {
                return Some(format!("did you mean {}?", near.join(", ")));
            }
            Self::NotFound { .. } => "`kubectl canary status -A` shows all",
            Self::Timeout { hint, .. }
            | Self::Undone { hint, .. }
            | Self::NoObject { hint, .. }
            | Self::Denied { hint, .. } => hint,
            Self::Superseded { command, .. } => return Some(format!("see `{command}`")),
            Self::NothingToDo { hint, .. } | Self::ReleaseFailed { hint, .. } => {
                return hint.clone();
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Writes cause and hint to standard error and gives the code.
    pub fn report(&self) -> ExitCode {
        let silent = matches!(self, Self::Interrupted) || self.code() == code::OK;
        if !silent {
            anstream::eprintln!("error: {}", one_line(&self.to_string()));
            if let Some(hint) = self.hint() {
                anstream::eprintln!("hint: {hint}");
            }
        }
        ExitCode::from(self.code())
    }
}

/// A cause is one line, whatever a server put into it.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 600;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !steers(*c)).collect();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// A span of time as a person writes it: `90s`, `10m`, `500ms`.
pub fn seconds(span: Duration) -> String {
    match (span.as_secs(), span.subsec_millis()) {
        (0, ms) if ms > 0 => format!("{ms}ms"),
        (s, _) if s >= 60 && s % 60 == 0 => format!("{}m", s / 60),
        (s, _) => format!("{s}s"),
    }
}

/// What remains of a policy's or webhook's denial without the machinery's own words around it.
pub fn denial(message: &str) -> String {
    let message = one_line(message);
    for marker in ["denied request: ", "denied the request: "] {
        if let Some((_, said)) = message.split_once(marker) {
            return said.to_owned();
        }
    }
    match message.split_once(" is forbidden: ") {
        Some((_, said)) => said.to_owned(),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_keeps_only_what_the_policy_says() {
        let table = [
            (
                "canaries.flagger.app \"podinfo\" is forbidden: ValidatingAdmissionPolicy 'canary-requests' with binding 'canary-requests' denied request: user bob lacks verb promote on canaries.flagger.app test/podinfo",
                "user bob lacks verb promote on canaries.flagger.app test/podinfo",
            ),
            (
                "admission webhook \"v.release.kubectl-canary.dev\" denied the request: releases are frozen",
                "releases are frozen",
            ),
            (
                "canaries.flagger.app \"podinfo\" is forbidden: User \"bob\" cannot patch resource \"canaries\" in API group \"flagger.app\" in the namespace \"test\"",
                "User \"bob\" cannot patch resource \"canaries\" in API group \"flagger.app\" in the namespace \"test\"",
            ),
            ("no\n  such\tthing", "no such thing"),
        ];
        for (message, said) in table {
            assert_eq!(denial(message), said);
        }
    }

    #[test]
    fn a_cause_is_one_line_without_control_characters() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m c"), "a b[31m c");
        assert_eq!(one_line(&"x".repeat(5000)).chars().count(), 601);
    }

    #[test]
    fn of_several_codes_the_worst_is_told() {
        assert_eq!(code::worst(&[0, 6, 2, 1]), code::RELEASE_FAILED);
        assert_eq!(code::worst(&[0, 1, 5]), code::FORBIDDEN);
        assert_eq!(code::worst(&[0, 6, 3, 4]), code::NOT_FOUND);
        assert_eq!(code::worst(&[2, 130]), code::INTERRUPTED);
        assert_eq!((code::worst(&[0, 0]), code::worst(&[])), (0, 0));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = Error::Output(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.code(), code::OK);
    }

    #[test]
    fn a_span_is_written_as_it_was_given() {
        let table = [
            (500, "500ms"),
            (1000, "1s"),
            (60_000, "1m"),
            (90_000, "90s"),
            (600_000, "10m"),
            (0, "0s"),
        ];
        for (ms, text) in table {
            assert_eq!(seconds(Duration::from_millis(ms)), text);
        }
    }
}
