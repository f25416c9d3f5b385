//! SARIF 2.1.0, which code review tools show beside the lines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Check, Finding, Report, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const INFORMATION: &str = env!("CARGO_PKG_REPOSITORY");
/// A name for what has no file.
const STDIN: &str = "stdin";

/// The report as one run of this version.
pub fn log(report: &Report) -> Value {
    let rules: Vec<Value> = Check::ALL
        .iter()
        .map(|check| json!({"id": check.id(), "shortDescription": {"text": check.description()}}))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-canary",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": INFORMATION,
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": report.items.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let text = if finding.path.is_empty() {
        finding.message.clone()
    } else {
        format!("{}: {}", finding.path, finding.message)
    };
    let index = Check::ALL.iter().position(|check| *check == finding.check);
    json!({
        "ruleId": finding.check.id(),
        "ruleIndex": index,
        "level": match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.file)},
            "region": {"startLine": finding.line.max(1)},
        }}],
    })
}

/// A path as a URI reference: relative ones are relative to where the tool ran.
fn uri(path: &str) -> String {
    if path == "-" {
        return STDIN.to_owned();
    }
    let path = path.strip_prefix("./").unwrap_or(path).replace('\\', "/");
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_a_uri_whatever_is_in_it() {
        let table = [
            ("-", "stdin"),
            ("./a/b.yaml", "a/b.yaml"),
            ("a b#1.yaml", "a%20b%231.yaml"),
            ("/abs/é.yaml", "file:///abs/%C3%A9.yaml"),
            ("a\\b.yaml", "a/b.yaml"),
        ];
        for (path, expected) in table {
            assert_eq!(uri(path), expected);
        }
    }
}
