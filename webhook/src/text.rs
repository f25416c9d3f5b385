//! Foreign text, made fit to be shown.

/// The beginning of a text: at most so many bytes, and no character in halves.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The beginning of a body on one line: at most so many characters, and `…` where more follow.
pub fn quote(body: &[u8], characters: usize) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What an API server answered, or why it did not, as one plain sentence. kube's own text holds the answer three
/// times: as a sentence, and twice in its structure.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match status.message.as_str() {
            "" => format!("{} {}", status.code, status.reason)
                .trim_end()
                .to_owned(),
            message => format!("{}: {message}", status.code),
        },
        kube::Error::Service(_) | kube::Error::HyperError(_) => {
            format!("the API server does not answer: {}", innermost(error))
        }
        error => error.to_string(),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_answered_is_said_once() {
        let status = |message: &str| {
            let status = serde_json::json!({
                "code": 500, "reason": "InternalError", "message": message,
                "details": {"causes": [{"message": message}]},
            });
            kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
        };
        let message = "failed calling webhook \"routes.acme.io\": no endpoints";
        assert_eq!(said(&status(message)), format!("500: {message}"));
        assert_eq!(said(&status("")), "500 InternalError");
        let away = std::io::Error::other("connection refused");
        assert_eq!(
            said(&kube::Error::Service(away.into())),
            "the API server does not answer: connection refused"
        );
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(cut("aä", 10), "aä");
        assert_eq!(cut("aä", 3), "aä");
        assert_eq!(cut("aä", 2), "a");
        assert_eq!(cut("ä", 1), "");
    }

    #[test]
    fn a_quote_is_one_line_and_shows_that_more_follows() {
        assert_eq!(quote(b" a\n\tb ", 3), "a b");
        assert_eq!(quote(b"abcd", 3), "abc…");
        assert_eq!(quote(b"\xff", 3), "\u{fffd}");
    }
}
