//! What is wrong with manifests, as far as files tell. Pure.
//!
//! ```text
//!  text ─► source ─► Manifest ─┬─ schema      the CRD's
//!                              ├─ rules       canary-core's own
//!                              └─ references  from one object to another of the same files
//!                                  └─► Report ─► render::lint, sarif, JSON
//! ```

mod references;
mod rules;
pub mod sarif;
mod schema;
pub mod source;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::source::{Document, FaultKind};
use crate::files::Text;
use crate::report::API_VERSION;

/// A file as it was found.
pub struct File {
    /// As findings name it.
    pub name: String,
    pub text: String,
    /// Named by the user, and not just found in a directory: then everything in it is an object.
    pub named: bool,
}

impl From<Text> for File {
    fn from(read: Text) -> Self {
        Self {
            name: read.path.display().to_string(),
            text: read.text,
            named: read.named,
        }
    }
}

/// What the answer depends on, besides the files.
pub struct Context<'a> {
    /// Provider of Canaries that name none.
    pub provider: &'a str,
    pub now: Timestamp,
}

/// One object, and where it was read.
pub struct Manifest {
    pub file: String,
    pub document: Document,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The object would be refused, or not be acted on.
    Error,
    /// It is allowed, and probably not meant.
    Warning,
}

/// Which check it was; the names are part of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    Syntax,
    DuplicateKey,
    UnknownField,
    Schema,
    CanaryRule,
    MetricRule,
    PolicyRule,
    Reference,
    /// The API server's own word.
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub file: String,
    pub line: usize,
    /// The field; empty where it is about the whole object.
    pub path: String,
    pub severity: Severity,
    pub check: Check,
    pub message: String,
}

/// What was found, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub api_version: &'static str,
    pub kind: &'static str,
    /// Objects that were checked.
    pub checked: usize,
    /// Objects of other kinds, which only serve as what is referred to.
    pub others: usize,
    pub errors: usize,
    pub warnings: usize,
    pub items: Vec<Finding>,
}

// === impl Check ===

impl Check {
    pub const ALL: [Self; 9] = [
        Self::Syntax,
        Self::DuplicateKey,
        Self::UnknownField,
        Self::Schema,
        Self::CanaryRule,
        Self::MetricRule,
        Self::PolicyRule,
        Self::Reference,
        Self::Server,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::DuplicateKey => "duplicate-key",
            Self::UnknownField => "unknown-field",
            Self::Schema => "schema",
            Self::CanaryRule => "canary-rule",
            Self::MetricRule => "metric-rule",
            Self::PolicyRule => "policy-rule",
            Self::Reference => "reference",
            Self::Server => "server",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Syntax => "A file is YAML or JSON, and holds objects.",
            Self::DuplicateKey => "A key is given once.",
            Self::UnknownField => "A field is known to the CRD.",
            Self::Schema => "A field has the type and the bounds of the CRD.",
            Self::CanaryRule => "A Canary can be run.",
            Self::MetricRule => "A MetricTemplate can be asked.",
            Self::PolicyRule => "A CanaryPolicy can be meant.",
            Self::Reference => "What an object refers to is in the same files.",
            Self::Server => "The API server accepts the object.",
        }
    }
}

// === impl Report ===

impl Report {
    pub fn new(mut items: Vec<Finding>, checked: usize, others: usize) -> Self {
        items.sort();
        items.dedup();
        let count = |severity| items.iter().filter(|it| it.severity == severity).count();
        Self {
            api_version: API_VERSION,
            kind: "LintReport",
            checked,
            others,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            items,
        }
    }
}

// === impl Manifest ===

impl Manifest {
    pub fn value(&self) -> &Value {
        &self.document.value
    }

    pub fn text(&self, pointer: &str) -> &str {
        let text = self.value().pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    pub fn group(&self) -> &str {
        let version = self.text("/apiVersion");
        version.split_once('/').map_or("", |(group, _)| group)
    }

    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.text("/kind") == kind
    }

    pub fn finding(
        &self,
        severity: Severity,
        check: Check,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Finding {
        let path = path.into();
        Finding {
            file: self.file.clone(),
            line: self.document.line(&path),
            path,
            severity,
            check,
            message: message.into(),
        }
    }
}

/// Reads all files: their objects, and what is wrong with the texts.
pub fn read(files: &[File]) -> (Vec<Manifest>, Vec<Finding>) {
    let (mut manifests, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        let source = source::read(&file.text);
        for fault in source.faults {
            findings.push(Finding {
                file: file.name.clone(),
                line: fault.line,
                path: String::new(),
                severity: Severity::Error,
                check: match fault.kind {
                    FaultKind::Syntax => Check::Syntax,
                    FaultKind::DuplicateKey => Check::DuplicateKey,
                },
                message: match fault.kind {
                    FaultKind::Syntax => unreadable(&file.text, &fault.message),
                    FaultKind::DuplicateKey => fault.message,
                },
            });
        }
        for document in source.documents {
            let manifest = Manifest {
                file: file.name.clone(),
                document,
            };
            let has = |field| !manifest.text(field).is_empty();
            if has("/kind") && has("/apiVersion") {
                manifests.push(manifest);
            } else if file.named {
                // In a directory lie other things too: values, kustomizations, dashboards.
                let message = "is no Kubernetes object: it needs apiVersion and kind";
                findings.push(manifest.finding(Severity::Error, Check::Syntax, "", message));
            }
        }
    }
    (manifests, findings)
}

fn unreadable(text: &str, why: &str) -> String {
    if text.contains("{{") {
        format!(
            "is no YAML: {why}; a template is rendered first: helm template … | kubectl canary lint -f -"
        )
    } else {
        format!("is no YAML: {why}")
    }
}

/// Everything that the files tell.
pub fn lint(files: &[File], context: &Context<'_>) -> Report {
    let (manifests, mut findings) = read(files);
    let mut checked = 0;
    for manifest in &manifests {
        if let Some(found) = rules::check(manifest, context) {
            checked += 1;
            findings.extend(found);
        }
    }
    findings.extend(references::check(&manifests));
    Report::new(findings, checked, manifests.len() - checked)
}

#[cfg(test)]
mod tests;
