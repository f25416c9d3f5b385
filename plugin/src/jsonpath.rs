//! `-o jsonpath=TEMPLATE`: kubectl's templates over RFC 9535's paths.
//!
//! ```text
//!  {range .items[*]}{.metadata.name}{"\n"}{end}
//!  └ Range ─────────┘└ Path ────────┘└ Text ┘
//! ```

use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::Value;
use serde_json_path::JsonPath;

/// A template that was understood.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Path(JsonPath),
    /// Its parts are written for each value of the path.
    Range(JsonPath, Vec<Self>),
}

/// What stands between `{` and `}`.
enum Action {
    Part(Part),
    Range(JsonPath),
    End,
}

// === impl Template ===

impl Template {
    pub fn fill(&self, value: &Value) -> String {
        let mut text = String::new();
        write_parts(&self.0, value, &mut text);
        text
    }
}

fn write_parts(parts: &[Part], value: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(said) => text.push_str(said),
            Part::Path(path) => {
                for (index, found) in path.query(value).iter().enumerate() {
                    if index > 0 {
                        text.push(' ');
                    }
                    match found {
                        Value::String(string) => text.push_str(string),
                        // Writing into a String never fails.
                        other => _ = write!(text, "{other}"),
                    }
                }
            }
            Part::Range(path, parts) => {
                for found in path.query(value).iter() {
                    write_parts(parts, found, text);
                }
            }
        }
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut open: Vec<(JsonPath, Vec<Part>)> = Vec::new();
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some(start) = rest.find('{') else {
                parts.push(Part::Text(rest.to_owned()));
                break;
            };
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let inside = &rest[start + 1..];
            let end = closing(inside).ok_or("a jsonpath's `{` has no `}`")?;
            match action(&inside[..end])? {
                Action::Part(part) => parts.push(part),
                Action::Range(path) => open.push((path, std::mem::take(&mut parts))),
                Action::End => {
                    let (path, outer) = open.pop().ok_or("a jsonpath's {end} ends no {range}")?;
                    let inner = std::mem::replace(&mut parts, outer);
                    parts.push(Part::Range(path, inner));
                }
            }
            rest = &inside[end + 1..];
        }
        if open.is_empty() {
            Ok(Self(parts))
        } else {
            Err("a jsonpath's {range} has no {end}".to_owned())
        }
    }
}

/// Where the `}` is that is in no string.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices()
        .find(|(_, c)| {
            if std::mem::take(&mut escaped) {
                return false;
            }
            match (*c, quote) {
                ('\\', _) => escaped = true,
                ('"' | '\'', None) => quote = Some(*c),
                (c, Some(open)) if c == open => quote = None,
                ('}', None) => return true,
                _ => {}
            }
            false
        })
        .map(|(index, _)| index)
}

fn action(text: &str) -> Result<Action, String> {
    let text = text.trim();
    if text == "end" {
        return Ok(Action::End);
    }
    if let Some(over) = text.strip_prefix("range ") {
        return Ok(Action::Range(path(over.trim())?));
    }
    if text.starts_with(['"', '\'']) {
        return Ok(Action::Part(Part::Text(unquoted(text)?)));
    }
    Ok(Action::Part(Part::Path(path(text)?)))
}

fn unquoted(text: &str) -> Result<String, String> {
    let mut inside = text.chars();
    let quote = inside.next();
    if text.len() < 2 || inside.next_back() != quote {
        return Err(format!("jsonpath: {text} is no string"));
    }
    let mut said = String::new();
    let mut chars = inside;
    while let Some(c) = chars.next() {
        said.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => return Err(format!("jsonpath: {text} is no string")),
            },
            other => other,
        });
    }
    Ok(said)
}

fn path(text: &str) -> Result<JsonPath, String> {
    let standard = standard(text);
    JsonPath::parse(&standard).map_err(|_| {
        format!("jsonpath: {text} is no path: write {{.metadata.name}}, {{.items[*].phase}}, …")
    })
}

/// kubectl's path as RFC 9535 has it: `$` may be left out, names may have dashes, and escaped dots.
fn standard(text: &str) -> String {
    let body = text.trim_start_matches(['$', '@']);
    let mut path = "$".to_owned();
    let mut rest = body;
    while !rest.is_empty() {
        if rest.starts_with('[') {
            let end = bracket(rest);
            path.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        if let Some(deeper) = rest.strip_prefix("..") {
            path.push_str("..");
            rest = deeper;
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        let (name, after) = name(rest);
        match name.as_str() {
            "" if rest.starts_with('[') => {}
            // Refused by the parser, which is what it is.
            "" => path.push('.'),
            "*" => path.push_str("[*]"),
            // A JSON string, which is what a quoted name is there.
            _ => path.extend(["[", &Value::String(name).to_string(), "]"]),
        }
        if after.len() == rest.len() && !rest.starts_with('[') {
            break;
        }
        rest = after;
    }
    path
}

/// The name at the beginning, without what escapes its dots, and what follows.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[index..]),
            _ => name.push(c),
        }
    }
    (name, "")
}

/// The length of what stands in brackets, these included; all of it if they do not end.
fn bracket(text: &str) -> usize {
    let (mut depth, mut quote) = (0_usize, None);
    for (index, c) in text.char_indices() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('[', None) => depth += 1,
            (']', None) => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(template: &str) -> Result<String, String> {
        let value = json!({
            "phase": "Progressing",
            "metadata": {"name": "a", "labels": {"app.io/name-of": "x"}},
            "checks": [
                {"name": "rate", "value": 99.5, "verdict": "Passed"},
                {"name": "duration", "value": null, "verdict": "Failed"},
            ],
            "items": [{"name": "b", "weights": [1, 2]}, {"name": "c", "weights": [3]}],
        });
        template
            .parse::<Template>()
            .map(|template| template.fill(&value))
    }

    #[test]
    fn templates_are_filled_as_kubectl_fills_them() {
        for (template, expected) in [
            ("{.phase}", "Progressing"),
            ("{$.phase}", "Progressing"),
            ("{@.phase}", "Progressing"),
            ("{phase}", "Progressing"),
            ("is {.phase}!", "is Progressing!"),
            ("{.metadata['name']}", "a"),
            (r"{.metadata.labels.app\.io/name-of}", "x"),
            ("{.checks[*].name}", "rate duration"),
            ("{.checks[-1:].name}", "duration"),
            (r#"{.checks[?(@.verdict=="Failed")].name}"#, "duration"),
            ("{.checks[0].value}", "99.5"),
            ("{.checks[1].value}", "null"),
            ("{..value}", "99.5 null"),
            ("{.items[0].weights}", "[1,2]"),
            ("{.nowhere.at.all}", ""),
            (r#"{.phase}{"\n\t"}{'}'}"#, "Progressing\n\t}"),
            (
                r#"{range .items[*]}{.name}={.weights[*]}{"\n"}{end}done"#,
                "b=1 2\nc=3\ndone",
            ),
            (
                "{range .items[*]}{range .weights[*]}<{@}>{end};{end}",
                "<1><2>;<3>;",
            ),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said_before_anything_is_asked() {
        for template in [
            "{.phase",
            "{.a[}",
            "{.a[?(@.b==]}",
            "{range .items[*]}",
            "{end}",
            "{\"a}",
            "{.a..}",
        ] {
            assert!(filled(template).is_err(), "{template}");
        }
    }
}
