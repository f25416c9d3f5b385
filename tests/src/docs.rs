//! The commands of a page of the documentation, and whether what they printed is what the page says. Pure.
//!
//! ```text
//!  page ─► blocks ```console ─► Command { text, expected }
//!                                            └─► difference(expected, printed)
//! ```
//!
//! In a block with lines that begin with `$ ` these are the commands, and what follows each is what it prints:
//! `…` stands for any part of a line, and alone for any lines. In a block without, every line is a command, and
//! what it prints is not told. A command goes on after a `\` at the end of a line, and through a here-document.

use std::collections::VecDeque;

#[cfg(test)]
mod tests;

/// Stands for anything.
const ANYTHING: char = '…';

/// What a person types, and sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Line of the page, from 1.
    pub line: usize,
    /// The heading (`## …`) that it stands under; empty before the first.
    pub section: String,
    pub text: String,
    /// None where the page does not tell.
    pub expected: Option<Vec<String>>,
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    section: &'a str,
    /// Each with its number.
    lines: VecDeque<(usize, &'a str)>,
}

/// Languages of blocks in which nothing is to be typed.
const SHOWN: [&str; 3] = ["yaml", "json", "text"];

/// The commands of a page, from top to bottom; or what is wrong with the page, with its line.
pub fn commands(page: &str) -> Result<Vec<Command>, String> {
    let mut all = Vec::new();
    for block in blocks(page)? {
        let line = block.lines.front().map_or(0, |(line, _)| *line);
        match block.language {
            "console" if block.lines.iter().any(|(_, text)| prompted(text).is_some()) => {
                all.extend(session(block)?);
            }
            "console" => all.extend(script(block)?),
            shown if SHOWN.contains(&shown) => {}
            other => {
                return Err(format!(
                    "line {line}: a block of language {other:?}: commands stand in ```console, and other text in one of {SHOWN:?}"
                ));
            }
        }
    }
    Ok(all)
}

/// What differs between what a page says and what was printed; none if nothing does.
pub fn difference(expected: &[String], printed: &str) -> Option<String> {
    let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
    let expected: Vec<&str> = expected.iter().map(|line| line.trim_end()).collect();
    let furthest = furthest(&expected, &printed)?;
    let missing = expected.get(furthest).map_or_else(
        || "nothing more is expected".to_owned(),
        |line| format!("not found: {line}"),
    );
    Some(format!("{missing}\nprinted:\n{}", printed.join("\n")))
}

/// A command that names one namespace (`-n shown`), for another one.
pub fn in_namespace(text: &str, shown: &str, real: &str) -> String {
    let flag = format!("-n {shown}");
    let mut parts = text.split(&flag);
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_whole = part.is_empty() || part.starts_with(char::is_whitespace);
        let name = if is_whole { real } else { shown };
        said.extend(["-n ", name, part]);
    }
    said
}

/// What stands in sentences and tables as a command of that program (`program verb NAME`): its words after the
/// program's name, with something in the places of placeholders.
pub fn mentions(page: &str, program: &str) -> Vec<Vec<String>> {
    let fences = page.split("\n```").step_by(2);
    let spans = fences.flat_map(|text| text.split('`').skip(1).step_by(2));
    let one_line = |span: &str| span.split_whitespace().collect::<Vec<_>>().join(" ");
    spans
        .map(|span| one_line(&span.replace("\\|", "|")))
        .filter_map(|span| Some(words_of(span.strip_prefix(program)?.strip_prefix(' ')?)))
        .filter(|words| !words.is_empty())
        .collect()
}

/// Up to a redirection, or to what is no word.
fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace()
        .take_while(|word| !word.starts_with(['>', '|', '<', '…']))
        .map(|word| {
            let word = word.trim_matches(['[', ']']);
            let first = word.split('|').next().unwrap_or_default();
            let parts = first.split_inclusive(['/', '=']);
            parts.map(filled_in).collect()
        })
        .collect()
}

/// `NAME` becomes a name, `N` a number.
fn filled_in(part: &str) -> String {
    let end = part.trim_start_matches(|c: char| c.is_ascii_uppercase());
    match part.strip_suffix(end).unwrap_or_default() {
        "" => part.to_owned(),
        "N" | "M" => format!("1{end}"),
        "SHELL" => format!("bash{end}"),
        _ if end.is_empty() || end.starts_with(['/', '=']) => format!("x{end}"),
        _ => part.to_owned(),
    }
}

fn blocks(page: &str) -> Result<Vec<Block<'_>>, String> {
    let mut all = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut section = "";
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(""), Some(block)) => all.push(block),
            (_, Some(mut block)) => {
                block.lines.push_back((index + 1, line));
                open = Some(block);
            }
            (Some(language), None) => {
                open = Some(Block {
                    language,
                    section,
                    lines: VecDeque::new(),
                });
            }
            (None, None) if line.trim_start().starts_with("```") => {
                return Err(format!("line {}: an indented block is not read", index + 1));
            }
            (None, None) => section = line.strip_prefix("## ").unwrap_or(section),
        }
    }
    match open {
        Some(_) => Err("the last block has no end".to_owned()),
        None => Ok(all),
    }
}

fn prompted(line: &str) -> Option<&str> {
    line.strip_prefix("$ ")
}

/// Commands with what they print.
fn session(mut block: Block<'_>) -> Result<Vec<Command>, String> {
    let mut all = Vec::new();
    while let Some((line, text)) = block.lines.pop_front() {
        let first = prompted(text)
            .ok_or_else(|| format!("line {line}: printed before the first command: {text}"))?;
        let text = whole(first, line, &mut block.lines)?;
        let mut expected = Vec::new();
        while let Some((_, printed)) = block.lines.front()
            && prompted(printed).is_none()
        {
            expected.push((*printed).to_owned());
            block.lines.pop_front();
        }
        all.push(Command {
            line,
            section: block.section.to_owned(),
            text,
            expected: Some(expected),
        });
    }
    Ok(all)
}

/// Commands alone.
fn script(mut block: Block<'_>) -> Result<Vec<Command>, String> {
    let mut all = Vec::new();
    while let Some((line, text)) = block.lines.pop_front() {
        let first = text.trim();
        if first.is_empty() || first.starts_with('#') {
            continue;
        }
        all.push(Command {
            line,
            section: block.section.to_owned(),
            text: whole(first, line, &mut block.lines)?,
            expected: None,
        });
    }
    Ok(all)
}

/// A command with the lines that belong to it.
fn whole(first: &str, line: usize, rest: &mut VecDeque<(usize, &str)>) -> Result<String, String> {
    let mut text = first.to_owned();
    let ends = |what: &str| format!("line {line}: the block ends within {what}");
    while text.ends_with('\\') {
        let (_, more) = rest.pop_front().ok_or_else(|| ends("a command"))?;
        text.push('\n');
        text.push_str(more);
    }
    let Some(end) = here_document(&text) else {
        return Ok(text);
    };
    loop {
        let (_, more) = rest.pop_front().ok_or_else(|| ends("a here-document"))?;
        text.push('\n');
        text.push_str(more);
        if more == end {
            return Ok(text);
        }
    }
}

/// The line that ends the here-document which a command begins.
fn here_document(text: &str) -> Option<String> {
    let (_, after) = text.split_once("<<")?;
    let word = after.trim_start_matches('-').trim_start();
    let quote = |c: char| c == '\'' || c == '"';
    let word = word.trim_start_matches(quote);
    let end: String = word
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    (!end.is_empty()).then_some(end)
}

/// None if the lines are as expected; else how many of the expected ones were found at most.
fn furthest(expected: &[&str], printed: &[&str]) -> Option<usize> {
    // The printed lines that may come next, after as many expected ones as were looked at.
    let mut starts = vec![0];
    for (index, line) in expected.iter().enumerate() {
        let mut next: Vec<usize> = if is_any_lines(line) {
            starts
                .first()
                .map_or(Vec::new(), |first| (*first..=printed.len()).collect())
        } else {
            let found = |at: &&usize| printed.get(**at).is_some_and(|it| fits(line, it));
            starts.iter().filter(found).map(|at| at + 1).collect()
        };
        next.dedup();
        if next.is_empty() {
            return Some(index);
        }
        starts = next;
    }
    (!starts.contains(&printed.len())).then_some(expected.len())
}

fn is_any_lines(line: &str) -> bool {
    line.trim().chars().eq([ANYTHING])
}

fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}
