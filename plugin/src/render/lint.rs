//! Findings, a line each: `file:line: path: message`, as editors and CI read it.

use super::layout::{Line, Tone};
use crate::lint::{Finding, Report, Severity};

/// A line for each finding. They are not cut to a terminal's width: what is cut off is the cause.
pub fn lines(report: &Report) -> Vec<Line> {
    report.items.iter().map(line).collect()
}

fn line(finding: &Finding) -> Line {
    let place = format!("{}:{}: ", finding.file, finding.line);
    let mut line = Line::new().with(Tone::Strong, place);
    if !finding.path.is_empty() {
        line = line.with(Tone::Plain, format!("{}: ", finding.path));
    }
    let line = match finding.severity {
        Severity::Error => line.with(Tone::Bad, "error: "),
        Severity::Warning => line.with(Tone::Busy, "warning: "),
    };
    line.with(Tone::Plain, &finding.message)
}

/// What was looked at, and what came out, in one sentence.
pub fn summary(report: &Report) -> String {
    let counted =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let found = if report.items.is_empty() {
        "nothing to complain about".to_owned()
    } else {
        let (errors, warnings) = (
            counted(report.errors, "error"),
            counted(report.warnings, "warning"),
        );
        format!("{errors}, {warnings}")
    };
    let others = match report.others {
        0 => String::new(),
        others => format!(" ({others} of other kinds only as references)"),
    };
    format!(
        "{} checked{others}: {found}",
        counted(report.checked, "object")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::Check;
    use crate::render::Theme;

    fn report() -> Report {
        let finding = |line, path: &str, severity, check, message: &str| Finding {
            file: "deploy/app.yaml".to_owned(),
            line,
            path: path.to_owned(),
            severity,
            check,
            message: message.to_owned(),
        };
        let items = vec![
            finding(
                12,
                "spec.analysis.stepWeight",
                Severity::Error,
                Check::CanaryRule,
                "60 is more than maxWeight 50",
            ),
            finding(
                40,
                "spec.targetRef.name",
                Severity::Warning,
                Check::Reference,
                "Deployment é is not in these files",
            ),
            finding(
                61,
                "",
                Severity::Error,
                Check::Syntax,
                "is no YAML: \u{1b}[2J",
            ),
        ];
        Report::new(items, 2, 1)
    }

    fn draw(theme: &Theme) -> String {
        let text = theme.paint(&lines(&report())) + &summary(&report());
        text.replace('\u{1b}', "␛")
    }

    #[test]
    fn findings_are_lines_that_editors_read() {
        insta::assert_snapshot!(draw(&Theme::new(false, true, None)));
    }

    #[test]
    fn findings_in_colour_say_the_same() {
        let coloured = Theme::new(true, true, None).paint(&lines(&report()));
        let plain = Theme::new(false, true, None).paint(&lines(&report()));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
        insta::assert_snapshot!(coloured.replace('\u{1b}', "␛"));
    }

    #[test]
    fn findings_in_ascii() {
        let drawn = Theme::new(false, false, None).paint(&lines(&report()));
        assert!(drawn.is_ascii());
        insta::assert_snapshot!(drawn);
    }

    #[test]
    fn the_end_of_all_is_one_sentence() {
        assert_eq!(
            summary(&report()),
            "2 objects checked (1 of other kinds only as references): 2 errors, 1 warning"
        );
        assert_eq!(
            summary(&Report::new(Vec::new(), 1, 0)),
            "1 object checked: nothing to complain about"
        );
    }
}
