//! Kubernetes' own rules for names, labels and ports, as its API server checks them.

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63 characters.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && bounded(text, is_small, |c| is_small(c) || c == '-')
}

/// DNS labels with dots between them, at most 253 characters. One of them may be longer than 63.
fn is_dns_subdomain(text: &str) -> bool {
    let part = |part: &str| bounded(part, is_small, |c| is_small(c) || c == '-');
    text.len() <= 253 && text.split('.').all(part)
}

/// The name of a container's port.
pub fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_dns_label(text)
        && text.contains(|c: char| c.is_ascii_lowercase())
        && !text.contains("--")
}

/// Key of a label or an annotation: a name, perhaps with a domain and a slash before it.
pub fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_dns_subdomain(domain) && is_name(name),
        None => is_name(text),
    }
}

pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63 && bounded(text, alphanumeric, |c| alphanumeric(c) || "-_.".contains(c))
}

fn is_small(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Not empty, with other rules for the first and the last character.
fn bounded(text: &str, end: impl Fn(char) -> bool, within: impl Fn(char) -> bool) -> bool {
    text.starts_with(&end) && text.ends_with(&end) && text.chars().all(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&str) -> bool;

    #[test]
    fn names_are_judged_as_the_api_server_judges_them() {
        let long = |count: usize| "a".repeat(count);
        let rows: [(Rule, &[&str], &[&str]); 4] = [
            (
                is_dns_label,
                &["http", "1-a", "9", "a--b", &long(63)],
                &["", "UPPER_case", "-a", "a-", "a.b", "ü", &long(64)],
            ),
            (
                is_port_name,
                &["http", "h2c", "a-1", &long(15)],
                &["", "9898", "a--b", "-a", "HTTP", &long(16)],
            ),
            (
                is_qualified_name,
                &[
                    "Team",
                    "a_b.c-d",
                    "example.com/team",
                    "kubernetes.io/h2c",
                    &long(63),
                ],
                &[
                    "",
                    "/a",
                    "a/",
                    "a/b/c",
                    "bad proto!",
                    "-a",
                    "Example.com/a",
                    "a..b/c",
                    &long(64),
                ],
            ),
            (
                is_label_value,
                &["", "A.b_c-9", &long(63)],
                &["not valid!", "a-", ".a", &long(64)],
            ),
        ];
        for (rule, valid, invalid) in rows {
            for text in valid {
                assert!(rule(text), "{text:?}");
            }
            for text in invalid {
                assert!(!rule(text), "{text:?}");
            }
        }
    }
}
