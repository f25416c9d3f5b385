//! `printf`: texts, and the places of values between them. Each value has one place.

use std::borrow::Cow;

use super::{Bounded, What};
use crate::query::{QueryError, QueryModel};

/// Values of one `printf`.
const VALUES: usize = 16;

/// What one command makes.
#[derive(Debug)]
pub(super) struct Format<'a>(Vec<Part<'a>>);

#[derive(Debug)]
enum Part<'a> {
    Text(String),
    Plain(Operand<'a>),
    /// In double quotes, as `%q` has it.
    Quoted(Operand<'a>),
}

#[derive(Clone, Debug)]
pub(super) enum Operand<'a> {
    Name(fn(&QueryModel) -> &str),
    Variable(Cow<'a, str>),
    Text(Cow<'a, str>),
    Number(i64),
    /// What the command before it made.
    Piped {
        number: bool,
    },
}

// === impl Format ===

impl<'a> Format<'a> {
    pub fn of(operand: Operand<'a>) -> Self {
        Self(vec![Part::Plain(operand)])
    }

    /// Go prints a mistake into the text, as `%!s(MISSING)`; here it is told before anything is asked.
    pub fn printf(format: &str, values: Vec<Operand<'a>>) -> Result<Self, What> {
        let given = values.len();
        if given > VALUES {
            return Err(wrong(format!("printf takes at most {VALUES} values")));
        }
        let mut values = values.into_iter();
        let (mut parts, mut text, mut places) = (Vec::new(), String::new(), 0);
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let verb = match chars.next() {
                Some('%') => {
                    text.push('%');
                    continue;
                }
                Some(verb @ ('s' | 'v' | 'q' | 'd')) => verb,
                Some(other) => {
                    let other = other.escape_default();
                    return Err(wrong(format!(
                        "printf has no %{other}: use %s, %v, %q, %d or %%"
                    )));
                }
                None => return Err(wrong("printf: a % at the end is written as %%".to_owned())),
            };
            places += 1;
            let Some(value) = values.next() else { continue };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(part(verb, value)?);
        }
        if places != given {
            let what = format!("printf has {places} places for {given} values");
            return Err(wrong(what));
        }
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    pub fn is_number(&self) -> bool {
        matches!(self.0.as_slice(), [Part::Plain(operand)] if operand.is_number())
    }

    /// The keys of `templateVariables` that it uses.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Plain(Operand::Variable(key)) | Part::Quoted(Operand::Variable(key)) => {
                Some(key.as_ref())
            }
            _ => None,
        })
    }

    pub fn write(
        &self,
        model: &QueryModel,
        piped: &str,
        out: &mut Bounded,
    ) -> Result<(), QueryError> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push(text)?,
                Part::Plain(operand) => out.push(&operand.value(model, piped))?,
                Part::Quoted(operand) => quote(&operand.value(model, piped), out)?,
            }
        }
        Ok(())
    }
}

fn part(verb: char, value: Operand<'_>) -> Result<Part<'_>, What> {
    match (verb, value.is_number()) {
        ('v', _) | ('s', false) | ('d', true) => Ok(Part::Plain(value)),
        ('q', false) => Ok(Part::Quoted(value)),
        (_, true) => Err(wrong(format!("printf: %{verb} is for texts: use %d"))),
        (_, false) => Err(wrong(format!("printf: %{verb} is for numbers: use %s"))),
    }
}

fn wrong(what: String) -> What {
    What::Syntax(what)
}

/// As Go quotes a text: what is printed stays, the rest is escaped.
fn quote(text: &str, out: &mut Bounded) -> Result<(), QueryError> {
    out.push("\"")?;
    for c in text.chars() {
        match c {
            '"' => out.push("\\\"")?,
            '\\' => out.push("\\\\")?,
            '\n' => out.push("\\n")?,
            '\t' => out.push("\\t")?,
            '\r' => out.push("\\r")?,
            '\u{7}' => out.push("\\a")?,
            '\u{8}' => out.push("\\b")?,
            '\u{c}' => out.push("\\f")?,
            '\u{b}' => out.push("\\v")?,
            ' ' => out.push(" ")?,
            c if c.is_ascii_control() => out.push(&format!("\\x{:02x}", u32::from(c)))?,
            c if c.is_control() || c.is_whitespace() => {
                out.push(&format!("\\u{:04x}", u32::from(c)))?;
            }
            c => out.push(c.encode_utf8(&mut [0; 4]))?,
        }
    }
    out.push("\"")
}

// === impl Operand ===

impl Operand<'_> {
    fn is_number(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Piped { number: true })
    }

    /// Empty for a variable that is missing: [`super::Template::missing`] has been asked before.
    fn value<'v>(&'v self, model: &'v QueryModel, piped: &'v str) -> Cow<'v, str> {
        match self {
            Self::Name(of) => of(model).into(),
            Self::Variable(key) => model
                .variables
                .get(key.as_ref())
                .map_or("", String::as_str)
                .into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Piped { .. } => piped.into(),
        }
    }
}
