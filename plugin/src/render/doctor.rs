//! A diagnosis, one line each, hints beneath.

use super::layout::{Line, Tone};
use super::style::Theme;
use crate::doctor::{Check, Diagnosis, Outcome};

/// Icon and word.
const MARK: usize = 7;
const NAME: usize = 13;
/// With fewer columns than this behind the name, what is said stands beneath it.
const LEAST: usize = 30;
const INDENT: usize = 2;

/// Everything that was looked at, and the count of what is wrong.
pub fn lines(diagnosis: &Diagnosis, theme: &Theme) -> Vec<Line> {
    let checks = diagnosis.checks.iter();
    checks.flat_map(|check| of(check, theme)).collect()
}

/// The outcome of all in one sentence.
pub fn summary(diagnosis: &Diagnosis) -> String {
    let (failed, warned) = (
        diagnosis.count(Outcome::Fail),
        diagnosis.count(Outcome::Warn),
    );
    let skipped = diagnosis.count(Outcome::Skipped);
    let unseen = match skipped {
        0 => String::new(),
        _ => format!(", {skipped} not visible to you"),
    };
    match (failed, warned) {
        (0, 0) => format!("nothing is wrong{unseen}"),
        (0, warned) => format!("nothing failed, {warned} to look at{unseen}"),
        (failed, warned) => format!("{failed} failed, {warned} to look at{unseen}"),
    }
}

fn of(check: &Check, theme: &Theme) -> Vec<Line> {
    let (icon, tone) = match check.outcome {
        Outcome::Ok => (theme.glyphs.good, Tone::Good),
        Outcome::Skipped => (theme.glyphs.neutral, Tone::Label),
        Outcome::Warn => (theme.glyphs.waiting, Tone::Busy),
        Outcome::Fail => (theme.glyphs.bad, Tone::Bad),
    };
    let head = Line::new()
        .with(tone, format!("{icon} {}", check.outcome.word()))
        .padded(MARK)
        .with(Tone::Strong, check.name)
        .padded(MARK + NAME);
    let beside = theme.columns().saturating_sub(MARK + NAME);
    let (width, indent) = if beside >= LEAST {
        (beside, MARK + NAME)
    } else {
        (theme.columns().saturating_sub(INDENT), INDENT)
    };
    // A pipe is read by programs, which want a line for each check.
    let said = |text: &str, tone| {
        let line = Line::new().with(tone, text);
        match theme.width {
            Some(_) => line.wrapped(width),
            None => vec![line],
        }
    };
    let mut texts = said(&check.message, Tone::Plain);
    if let Some(hint) = &check.hint {
        texts.extend(said(&format!("hint: {hint}"), Tone::Label));
    }
    let indented = |line: Line| Line::plain(" ".repeat(indent)).joined(line);
    if indent == INDENT {
        let rest = texts.into_iter().map(indented);
        return std::iter::once(head).chain(rest).collect();
    }
    let mut texts = texts.into_iter();
    let first = head.joined(texts.next().unwrap_or_default());
    std::iter::once(first).chain(texts.map(indented)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        Diagnosis::new(vec![
            Check::ok("kubernetes", "v1.36.3 at https://10.0.0.1:6443"),
            Check::warn(
                "server",
                "0.1.0, 1 of 2 replicas ready in namespace canary-system",
            )
            .hint("kubectl -n canary-system describe deployment/canary-webhook"),
            Check::fail(
                "webhook",
                "did not answer when the API server asked it in namespace test",
            )
            .hint("see the server's logs and the network policy → port 8443"),
            Check::skipped("certificate", "User \"bob\" cannot get resource"),
        ])
    }

    fn draw(theme: &Theme) -> String {
        let text = theme.paint(&lines(&diagnosis(), theme)) + &summary(&diagnosis());
        text.replace('\u{1b}', "␛")
    }

    #[test]
    fn a_diagnosis_on_a_terminal() {
        insta::assert_snapshot!(draw(&Theme::new(false, true, Some(80))));
        insta::assert_snapshot!("in_colour", draw(&Theme::new(true, true, Some(80))));
    }

    #[test]
    fn a_diagnosis_on_a_narrow_terminal_is_not_cut() {
        let theme = Theme::new(false, true, Some(40));
        for line in theme.paint(&lines(&diagnosis(), &theme)).lines() {
            assert!(line.chars().count() <= 40, "{line}");
            assert!(!line.ends_with('…'), "{line}");
        }
        insta::assert_snapshot!(draw(&theme));
    }

    #[test]
    fn a_diagnosis_in_ascii() {
        let drawn = draw(&Theme::new(false, false, Some(80)));
        assert!(drawn.is_ascii());
        insta::assert_snapshot!(drawn);
    }

    #[test]
    fn a_diagnosis_in_a_pipe_has_a_line_for_each_check_and_each_hint() {
        insta::assert_snapshot!(draw(&Theme::new(false, true, None)));
    }
}
