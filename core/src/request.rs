//! What a person asks for, as an annotation on the Canary.
//!
//! ```text
//!  kubectl-canary.dev/request: promote v1-0123456789ab 3f2a…-uid 7c1e4d [key=value …]
//!                              verb    revision        uid       id     options
//! ```
//!
//! The revision and the uid say what the person looked at: a wish about anything else is not
//! granted. The id makes each wish one of its own, and stands before its reason too, which is another
//! annotation: an edit of the one leaves the other as it was.

mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;

pub use self::waiting::Waiting;

/// The form of a request. It is RE2 as well, and the `ValidatingAdmissionPolicy` that guards the
/// annotation has the same text: what one refuses, the other never sees. RE2 counts nested
/// repetitions together, up to 1000, hence the length of a value: 8 × 120.
pub const REQUEST_PATTERN: &str = "^(promote|promote-full|rollback|pause|resume|retry) \
     [A-Za-z0-9][A-Za-z0-9.-]{0,62} \
     [A-Za-z0-9][A-Za-z0-9-]{0,62} \
     [A-Za-z0-9][A-Za-z0-9-]{0,62}\
     ( [a-z][a-z0-9-]{0,31}=[A-Za-z0-9._:,/+-]{1,120}){0,8}$";

static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(REQUEST_PATTERN).ok());

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Open the gate that holds the release, or take the next step without waiting for its check.
    Promote,
    /// Promote without further analysis.
    PromoteFull,
    /// Give all traffic back to the primary.
    Rollback,
    /// Hold the release where it is.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Try a revision that failed once more.
    Retry,
}

/// A request that has the form of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: Verb,
    /// The revision that it is about.
    pub revision: String,
    /// The uid of the Canary that it is about.
    pub uid: String,
    /// Names this request among all.
    pub id: String,
    pub options: BTreeMap<String, String>,
}

/// Why a text is not a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(
        "not a request: write \"<verb> <revision> <canary uid> <id> [key=value …]\" with a verb of {list}",
        list = Verb::list()
    )]
    Malformed,
    #[error("option {0:?} is given twice: give it once")]
    RepeatedOption(String),
}

/// Reads the value of the annotation.
pub fn parse(text: &str) -> Result<Request, RequestError> {
    text.parse()
}

// === impl Verb ===

impl Verb {
    pub const ALL: [Self; 6] = [
        Self::Promote,
        Self::PromoteFull,
        Self::Rollback,
        Self::Pause,
        Self::Resume,
        Self::Retry,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::PromoteFull => "promote-full",
            Self::Rollback => "rollback",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Request ===

impl Request {
    /// `reason`, as it is written beside this request: `<id> <reason>`.
    pub fn with_reason(&self, reason: &str) -> String {
        format!("{} {reason}", self.id)
    }

    /// The reason that `annotation` gives for this request. One that stands there since an earlier
    /// request bears another id, and is none; nor is a blank one.
    pub fn reason<'a>(&self, annotation: &'a str) -> Option<&'a str> {
        let (id, reason) = annotation.split_once(' ')?;
        Some(reason.trim()).filter(|reason| id == self.id && !reason.is_empty())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.verb, self.revision, self.uid, self.id
        )?;
        self.options
            .iter()
            .try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl FromStr for Request {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = FORM.as_ref().ok_or(RequestError::Malformed)?;
        if !form.is_match(text) {
            return Err(RequestError::Malformed);
        }
        let mut words = text.split(' ');
        let mut word = || {
            words
                .next()
                .map(str::to_owned)
                .ok_or(RequestError::Malformed)
        };
        let (verb, revision, uid, id) = (word()?, word()?, word()?, word()?);
        let verb = Verb::ALL.into_iter().find(|known| known.as_str() == verb);
        let mut options = BTreeMap::new();
        for option in words {
            let (key, value) = option.split_once('=').ok_or(RequestError::Malformed)?;
            if options.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(RequestError::RepeatedOption(key.to_owned()));
            }
        }
        Ok(Self {
            verb: verb.ok_or(RequestError::Malformed)?,
            revision,
            uid,
            id,
            options,
        })
    }
}

#[cfg(test)]
mod tests;
