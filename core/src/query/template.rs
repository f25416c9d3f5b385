//! The template language of queries: as much of Go's as published `MetricTemplate`s use.
//!
//! ```text
//!  text ─► scan ─► pieces ─► Template ─┬─► missing()  keys that no templateVariables has
//!          (one pass, slices)          └─► fill()     the query, as it is sent
//! ```
//!
//! The text comes from whoever may write a `MetricTemplate` or a Canary, so nothing in here calls itself,
//! repeats, or grows with anything but the length of the text, and every length has a bound. There is no
//! expression: a value goes into each place of a format once.

mod format;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use format::{Format, Operand};
use scan::{Piece, Scanner, Token};

use super::{QueryError, QueryModel};

/// Bytes of a template. The longest that is published has some 1,500.
pub const MAX_TEMPLATE: usize = 8 * 1024;
/// Bytes of a query that is filled in.
pub const MAX_QUERY: usize = 16 * 1024;
/// `{{ … }}` in one template.
const ACTIONS: usize = 256;
/// Commands of one pipeline.
const STAGES: usize = 8;
/// Problems that one error tells.
const TOLD: usize = 5;

type Getter = fn(&QueryModel) -> &str;

/// What a template can name, and where it is found.
const NAMES: [(&str, Getter); 7] = [
    ("name", |model| &model.name),
    ("namespace", |model| &model.namespace),
    ("target", |model| &model.target),
    ("service", |model| &model.service),
    ("ingress", |model| &model.ingress),
    ("route", |model| &model.route),
    ("interval", |model| &model.interval),
];

/// Words of Go's templates that may stand alone and are no name.
const WORDS: [&str; 7] = ["end", "else", "break", "continue", "if", "range", "with"];

/// A template that was read.
#[derive(Debug)]
pub struct Template<'a>(Vec<Part<'a>>);

#[derive(Debug)]
enum Part<'a> {
    Text(&'a str),
    /// The commands of a pipeline; each is given what the one before it made.
    Action {
        line: usize,
        stages: Vec<Format<'a>>,
    },
}

/// Something in a template that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A name that the model does not have.
    Unknown(String),
    /// A function of Go's templates that we do not have.
    Function(String),
    Syntax(String),
}

/// Text that cannot become longer than a query may be.
#[derive(Default)]
struct Bounded(String);

// === impl Template ===

impl<'a> Template<'a> {
    /// Everything that is not understood is told at once, up to the first place where the reading ends.
    pub fn read(text: &'a str) -> Result<Self, QueryError> {
        if text.len() > MAX_TEMPLATE {
            return Err(QueryError::TooLong { bytes: text.len() });
        }
        let (mut parts, mut problems, mut actions) = (Vec::new(), Vec::new(), 0);
        for piece in Scanner::new(text) {
            match piece {
                Ok(Piece::Text(text)) => parts.push(Part::Text(text)),
                Ok(Piece::Action { line, .. }) if actions == ACTIONS => {
                    let what = format!("there are more than {ACTIONS} {{{{ … }}}}");
                    problems.push(What::Syntax(what).at(line));
                    break;
                }
                Ok(Piece::Action { line, tokens }) => {
                    actions += 1;
                    match pipeline(&tokens) {
                        Ok(stages) => parts.push(Part::Action { line, stages }),
                        Err(what) => problems.push(what.at(line)),
                    }
                }
                Err(problem) => {
                    problems.push(problem);
                    break;
                }
            }
        }
        if problems.is_empty() {
            Ok(Self(parts))
        } else {
            Err(QueryError::of(&problems))
        }
    }

    /// An error if the template names a variable that is not among these.
    pub fn missing(&self, variables: &BTreeMap<String, String>) -> Result<(), QueryError> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for part in &self.0 {
            let Part::Action { line, stages } = part else {
                continue;
            };
            for key in stages.iter().flat_map(Format::variables) {
                if !variables.contains_key(key) && seen.insert(key) {
                    let name = format!("variables.{}", short(key));
                    problems.push(What::Unknown(name).at(*line));
                }
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(QueryError::of(&problems))
        }
    }

    /// The query. Text outside of `{{ … }}` is kept byte for byte.
    pub fn fill(&self, model: &QueryModel) -> Result<String, QueryError> {
        self.missing(&model.variables)?;
        let mut query = Bounded::default();
        for part in &self.0 {
            match part {
                Part::Text(text) => query.push(text)?,
                Part::Action { stages, .. } => {
                    let mut piped = String::new();
                    for stage in stages {
                        let mut made = Bounded::default();
                        stage.write(model, &piped, &mut made)?;
                        piped = made.0;
                    }
                    query.push(&piped)?;
                }
            }
        }
        Ok(query.0)
    }
}

/// The commands between the bars.
fn pipeline<'a>(tokens: &[Token<'a>]) -> Result<Vec<Format<'a>>, What> {
    let mut stages: Vec<Format<'a>> = Vec::new();
    for words in tokens.split(|token| *token == Token::Bar) {
        if stages.len() == STAGES {
            let what = format!("a pipeline has at most {STAGES} commands");
            return Err(What::Syntax(what));
        }
        let piped = stages.last().map(Format::is_number);
        stages.push(command(words, piped)?);
    }
    Ok(stages)
}

/// One command. `piped` is there if another one came before it, and says whether that made a number.
fn command<'a>(words: &[Token<'a>], piped: Option<bool>) -> Result<Format<'a>, What> {
    let syntax = |text: &str| Err(What::Syntax(text.to_owned()));
    match words {
        [] => syntax("a name is missing between {{ and }}, or beside a |"),
        [Token::Word("printf"), Token::Text(format), values @ ..] => {
            let mut values = operands(values)?;
            values.extend(piped.map(|number| Operand::Piped { number }));
            Format::printf(format, values)
        }
        [Token::Word("printf"), ..] => {
            syntax("printf needs a format in quotes: printf \"%s-canary\" target")
        }
        [
            Token::Word("index"),
            Token::Word("variables"),
            Token::Text(key),
        ] if piped.is_none() => Ok(Format::of(Operand::Variable(key.clone()))),
        [Token::Word("index"), ..] => syntax("index is written as: index variables \"KEY\""),
        [Token::Word(word), rest @ ..] if name(word).is_none() && *word != "variables" => {
            let called = !rest.is_empty() || piped.is_some() || WORDS.contains(word);
            Err(if called && !word.contains('.') {
                What::Function(short(word))
            } else {
                What::Unknown(short(word))
            })
        }
        _ => match (<[Operand<'a>; 1]>::try_from(operands(words)?), piped) {
            (Ok([only]), None) => Ok(Format::of(only)),
            _ => syntax("a name or a text takes no value: only printf does"),
        },
    }
}

fn operands<'a>(mut words: &[Token<'a>]) -> Result<Vec<Operand<'a>>, What> {
    let mut found = Vec::new();
    while let [first, rest @ ..] = words {
        words = rest;
        found.push(match first {
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(number) => Operand::Number(*number),
            Token::Word("variables") => {
                let what = "variables needs a key: variables.KEY, or index variables \"KEY\"";
                return Err(What::Syntax(what.to_owned()));
            }
            Token::Word(word) => name(word).ok_or_else(|| What::Unknown(short(word)))?,
            Token::Open => {
                let (operand, behind) = group(rest)?;
                words = behind;
                operand
            }
            Token::Close | Token::Bar => {
                return Err(What::Syntax("a ) has no ( before it".to_owned()));
            }
        });
    }
    Ok(found)
}

/// What stands in parentheses, and what follows them. Nothing nests.
fn group<'a, 't>(words: &'t [Token<'a>]) -> Result<(Operand<'a>, &'t [Token<'a>]), What> {
    match words {
        [
            Token::Word("index"),
            Token::Word("variables"),
            Token::Text(key),
            Token::Close,
            rest @ ..,
        ] => Ok((Operand::Variable(key.clone()), rest)),
        [Token::Word(word), ..] if name(word).is_none() && !["index", "printf"].contains(word) => {
            Err(What::Function(short(word)))
        }
        _ => Err(What::Syntax(
            "parentheses hold nothing but: index variables \"KEY\"".to_owned(),
        )),
    }
}

fn name(word: &str) -> Option<Operand<'_>> {
    if let Some((_, of)) = NAMES.iter().find(|(name, _)| *name == word) {
        return Some(Operand::Name(*of));
    }
    let key = word.strip_prefix("variables.")?;
    let plain = !key.is_empty() && !key.contains('.');
    plain.then(|| Operand::Variable(key.into()))
}

/// The beginning of a word, for an error.
fn short(word: &str) -> String {
    const SHOWN: usize = 40;
    let shown: String = word.chars().take(SHOWN).collect();
    let more = if shown.len() < word.len() { "…" } else { "" };
    shown + more
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.what {
            What::Unknown(name) => write!(f, "unknown variable {name}"),
            What::Function(name) => write!(f, "function {name:?} is not supported"),
            What::Syntax(text) => f.write_str(text),
        }
    }
}

// === impl What ===

impl What {
    fn at(self, line: usize) -> Problem {
        Problem { line, what: self }
    }
}

// === impl QueryError ===

impl QueryError {
    fn of(problems: &[Problem]) -> Self {
        let left = problems.len().saturating_sub(TOLD);
        let about_names = problems
            .iter()
            .any(|problem| !matches!(problem.what, What::Syntax(_)));
        let told = problems.iter().take(TOLD).map(ToString::to_string);
        let mut told: Vec<String> = told.collect();
        if left > 0 {
            told.push(format!("and {left} more"));
        }
        if about_names {
            told.push(super::HINT.to_owned());
        }
        Self::Template(told.join("; "))
    }
}

// === impl Bounded ===

impl Bounded {
    fn push(&mut self, text: &str) -> Result<(), QueryError> {
        if text.len() > MAX_QUERY.saturating_sub(self.0.len()) {
            return Err(QueryError::Filled);
        }
        self.0.push_str(text);
        Ok(())
    }
}
