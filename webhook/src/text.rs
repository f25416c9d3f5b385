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

#[cfg(test)]
mod tests {
    use super::*;

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
