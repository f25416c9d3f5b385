//! URLs as they may be shown: in Events, status and logs, which more people read than the spec.

/// Without user and password, and without the values of a query, where tokens stand. Also what is no
/// valid URL is cut so.
pub fn shown(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (base, rest) = url.split_at(end);
    let (scheme, base) = match base.find("://") {
        Some(at) => base.split_at(at + "://".len()),
        None => ("", base),
    };
    let authority = base.find(['/', '\\']).unwrap_or(base.len());
    let host = base[..authority].rfind('@').map_or(0, |at| at + 1);
    let query = if rest.starts_with('?') { "?…" } else { "" };
    format!("{scheme}{}{query}", &base[host..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_server_is_kept() {
        for url in [
            "http://gate",
            "https://gate.test:8443/a/@b",
            "gate:80/path",
            "",
        ] {
            assert_eq!(shown(url), url);
        }
    }

    #[test]
    fn user_password_query_and_fragment_are_not_shown() {
        let secrets = [
            ("http://alice:secret@gate/a", "http://gate/a"),
            ("http://alice:se@cret@gate/a", "http://gate/a"),
            ("http://secret@gate?x=secret", "http://gate?…"),
            ("https://gate/a?secret#secret", "https://gate/a?…"),
            ("https://gate/a#secret?", "https://gate/a"),
            ("alice:secret@gate:80/a", "gate:80/a"),
        ];
        for (url, text) in secrets {
            assert_eq!(shown(url), text);
        }
    }
}
