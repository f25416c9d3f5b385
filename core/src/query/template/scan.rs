//! A template cut into text and `{{ … }}`, and those into words: one pass over the bytes, each looked at once.

use std::borrow::Cow;

use super::{Problem, What, short};

/// Words, texts and signs in one `{{ … }}`.
const TOKENS: usize = 64;
/// What Go takes for white space.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Action { line: usize, tokens: Vec<Token<'a>> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, with the key behind its dot.
    Word(&'a str),
    /// What stood in quotes.
    Text(Cow<'a, str>),
    Number(i64),
    Bar,
    Open,
    Close,
}

pub(super) struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    /// The last `}}` takes away the white space behind it.
    trims: bool,
}

// === impl Scanner ===

impl<'a> Iterator for Scanner<'a> {
    type Item = Result<Piece<'a>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            if !self.rest.starts_with("{{") {
                let text = self.text();
                if !text.is_empty() {
                    return Some(Ok(Piece::Text(text)));
                }
                continue;
            }
            match self.action() {
                Ok(Some(action)) => return Some(Ok(action)),
                // A comment.
                Ok(None) => {}
                Err(problem) => return Some(Err(problem)),
            }
        }
        None
    }
}

impl<'a> Scanner<'a> {
    pub fn new(rest: &'a str) -> Self {
        Self {
            rest,
            line: 1,
            trims: false,
        }
    }

    /// What comes before the next `{{`, without the white space that `{{-` and `-}}` take away.
    fn text(&mut self) -> &'a str {
        let end = self.rest.find("{{").unwrap_or(self.rest.len());
        let mut text = self.take(end);
        if std::mem::take(&mut self.trims) {
            text = text.trim_start_matches(SPACE);
        }
        if self.trims_before() {
            text = text.trim_end_matches(SPACE);
        }
        text
    }

    /// Whether `{{-` comes next: the dash counts only before white space, or it belongs to a number.
    fn trims_before(&self) -> bool {
        let behind = self.rest.strip_prefix("{{-");
        behind.is_some_and(|behind| behind.starts_with(SPACE))
    }

    /// Everything from `{{` to its `}}`; none if it is a comment.
    fn action(&mut self) -> Result<Option<Piece<'a>>, Problem> {
        self.trims = false;
        let line = self.line;
        let dash = self.trims_before();
        self.take(if dash { 4 } else { 2 });
        if self.rest.starts_with("/*") {
            self.comment()?;
            return Ok(None);
        }
        let mut tokens = Vec::new();
        let mut gap = dash;
        loop {
            gap |= self.spaces();
            if self.ends(gap) {
                return Ok(Some(Piece::Action { line, tokens }));
            }
            if self.rest.is_empty() {
                return Err(syntax(line, "{{ is not closed by }}"));
            }
            if tokens.len() == TOKENS {
                let what = format!("more than {TOKENS} words between {{{{ and }}}}");
                return Err(syntax(line, &what));
            }
            tokens.push(self.token()?);
            gap = false;
        }
    }

    /// Takes `}}`, or `-}}` behind white space.
    fn ends(&mut self, gap: bool) -> bool {
        if gap && self.rest.starts_with("-}}") {
            self.take(3);
            self.trims = true;
            return true;
        }
        let ends = self.rest.starts_with("}}");
        if ends {
            self.take(2);
        }
        ends
    }

    fn comment(&mut self) -> Result<(), Problem> {
        let line = self.line;
        let Some(end) = self.rest.find("*/") else {
            return Err(syntax(line, "the comment is not closed by */}}"));
        };
        self.take(end + 2);
        let gap = self.rest.starts_with(SPACE);
        // One space, as Go has it.
        if gap && self.rest.get(1..).is_some_and(|it| it.starts_with("-}}")) {
            self.take(1);
        }
        if self.ends(gap) {
            return Ok(());
        }
        Err(syntax(self.line, "a comment ends with */}} or */ -}}"))
    }

    fn token(&mut self) -> Result<Token<'a>, Problem> {
        let mut chars = self.rest.chars();
        let (first, second) = (chars.next(), chars.next());
        let sign = |token, this: &mut Self| {
            this.take(1);
            Ok(token)
        };
        match first {
            Some('|') => sign(Token::Bar, self),
            Some('(') => sign(Token::Open, self),
            Some(')') => sign(Token::Close, self),
            Some('"') => self.quoted(),
            Some('`') => self.raw(),
            Some(c) if c.is_ascii_digit() => self.number(),
            Some('-' | '+') if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            Some(c) if is_letter(c) => self.word(),
            Some('.') => Err(self.wrong("a name has no dot in front: write {{ namespace }}")),
            Some('$') => Err(self.wrong("$ names a variable of the template, which a query has not: write the value where it is needed")),
            Some(c) => Err(self.wrong(&format!("{c:?} is not understood between {{{{ and }}}}"))),
            None => Err(self.wrong("{{ is not closed by }}")),
        }
    }

    fn word(&mut self) -> Result<Token<'a>, Problem> {
        let word = self.while_in(|c| is_letter(c) || c == '.');
        if word.starts_with("variables.") && self.rest.starts_with('-') && !self.ends_behind() {
            let what = "a key with - in it is written as: index variables \"KEY\"";
            return Err(self.wrong(what));
        }
        self.ended(Token::Word(word))
    }

    fn number(&mut self) -> Result<Token<'a>, Problem> {
        let text = self.while_in(|c| is_letter(c) || matches!(c, '.' | '-' | '+'));
        match text.parse() {
            Ok(number) => self.ended(Token::Number(number)),
            Err(_) => Err(self.wrong(&format!("{:?} is no whole number", short(text)))),
        }
    }

    fn ends_behind(&self) -> bool {
        self.rest.starts_with("-}}")
    }

    /// A word ends where something else begins: `a~b` is not two words.
    fn ended(&self, token: Token<'a>) -> Result<Token<'a>, Problem> {
        match self.rest.chars().next() {
            Some(c) if !SPACE.contains(&c) && !['|', ')', '}'].contains(&c) => {
                Err(self.wrong(&format!("{c:?} is not understood between {{{{ and }}}}")))
            }
            _ => Ok(token),
        }
    }

    fn raw(&mut self) -> Result<Token<'a>, Problem> {
        let line = self.line;
        self.take(1);
        let Some(end) = self.rest.find('`') else {
            return Err(syntax(line, "a text in ` is not closed"));
        };
        let text = self.take(end);
        self.take(1);
        Ok(Token::Text(text.into()))
    }

    /// A text in double quotes, with Go's escapes.
    fn quoted(&mut self) -> Result<Token<'a>, Problem> {
        self.take(1);
        let plain = self.while_in(|c| !matches!(c, '"' | '\\' | '\n'));
        if self.rest.starts_with('"') {
            self.take(1);
            return Ok(Token::Text(plain.into()));
        }
        let mut text = plain.to_owned();
        loop {
            text.push_str(self.while_in(|c| !matches!(c, '"' | '\\' | '\n')));
            if self.rest.starts_with('"') {
                self.take(1);
                return Ok(Token::Text(text.into()));
            }
            if !self.rest.starts_with('\\') {
                return Err(self.wrong("a text in quotes is not closed on its line"));
            }
            self.take(1);
            text.push(self.escaped()?);
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, Problem> {
        let Some(c) = self.rest.chars().next() else {
            return Err(self.wrong("a text in quotes is not closed"));
        };
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let found = match c {
            '"' | '\\' => Some(c),
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            // A byte of its own can only be ASCII: the query is text.
            _ => self
                .rest
                .get(1..=digits)
                .filter(|hex| digits > 0 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .filter(|code| digits > 2 || *code < 0x80)
                .and_then(char::from_u32),
        };
        let found = found
            .ok_or_else(|| self.wrong(&format!("\\{} is no escape of Go's", c.escape_default())))?;
        self.take(1 + digits);
        Ok(found)
    }

    fn spaces(&mut self) -> bool {
        !self.while_in(|c| SPACE.contains(&c)).is_empty()
    }

    fn while_in(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Goes on by so many bytes; to the end if there is no character's border.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        taken
    }

    fn wrong(&self, what: &str) -> Problem {
        syntax(self.line, what)
    }
}

fn syntax(line: usize, what: &str) -> Problem {
    What::Syntax(what.to_owned()).at(line)
}

fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
