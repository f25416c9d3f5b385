//! `-o`: what a verb writes instead of a picture.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use crate::jsonpath::Template;

/// What programs read.
#[derive(Clone, Debug)]
pub enum Machine {
    Json,
    Yaml,
    /// Parts of it, as `kubectl -o jsonpath` has them.
    JsonPath(Template),
}

/// A format of a list.
#[derive(Clone, Debug)]
pub enum ListFormat {
    Wide,
    Name,
    Machine(Machine),
}

/// A format of `history`.
#[derive(Clone, Debug)]
pub enum HistoryFormat {
    Wide,
    Machine(Machine),
}

/// Reads the formats that a verb has: its own ones, and those of programs.
#[derive(Clone)]
pub struct Formats<T: 'static> {
    own: &'static [(&'static str, &'static str, T)],
    /// The kind of object that programs get.
    kind: &'static str,
}

const PREFIX: &str = "jsonpath=";

pub const fn machine(kind: &'static str) -> Formats<Machine> {
    Formats { own: &[], kind }
}

pub const STATUS: Formats<ListFormat> = Formats {
    own: &[
        (
            "wide",
            "More columns, or all of one Canary: history, revisions, every pod",
            ListFormat::Wide,
        ),
        ("name", "canary.flagger.app/NAME", ListFormat::Name),
    ],
    kind: "`kind: CanaryReport`; one object a line with --watch",
};

pub const POLICIES: Formats<ListFormat> = Formats {
    own: &[
        ("wide", "More columns", ListFormat::Wide),
        (
            "name",
            "canarypolicy.policy.kubectl-canary.dev/NAME",
            ListFormat::Name,
        ),
    ],
    kind: "`kind: CanaryPolicyReportList`",
};

pub const HISTORY: Formats<HistoryFormat> = Formats {
    own: &[("wide", "With revisions", HistoryFormat::Wide)],
    kind: "`kind: CanaryHistory`",
};

// === impl ListFormat ===

impl From<Machine> for ListFormat {
    fn from(machine: Machine) -> Self {
        Self::Machine(machine)
    }
}

// === impl HistoryFormat ===

impl From<Machine> for HistoryFormat {
    fn from(machine: Machine) -> Self {
        Self::Machine(machine)
    }
}

// === impl Formats ===

impl<T: Clone + From<Machine>> Formats<T> {
    fn read(&self, text: &str) -> Option<Result<T, String>> {
        if let Some((.., format)) = self.own.iter().find(|(name, ..)| *name == text) {
            return Some(Ok(format.clone()));
        }
        let machine = match text {
            "json" => Ok(Machine::Json),
            "yaml" => Ok(Machine::Yaml),
            _ => text.strip_prefix(PREFIX)?.parse().map(Machine::JsonPath),
        };
        Some(machine.map(T::from))
    }

    fn names(&self) -> Vec<String> {
        let own = self.own.iter().map(|(name, ..)| *name);
        own.chain(["json", "yaml", "jsonpath=TEMPLATE"])
            .map(str::to_owned)
            .collect()
    }
}

impl<T: Clone + From<Machine> + Send + Sync + 'static> TypedValueParser for Formats<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        let text = value.to_string_lossy();
        match self.read(&text) {
            Some(Ok(format)) => Ok(format),
            Some(Err(why)) => {
                Err(Error::raw(ErrorKind::ValueValidation, format!("{why}\n")).with_cmd(command))
            }
            None => {
                let mut error = Error::new(ErrorKind::InvalidValue).with_cmd(command);
                let argument = argument.map_or_else(|| "--output".to_owned(), Arg::to_string);
                error.insert(ContextKind::InvalidArg, ContextValue::String(argument));
                error.insert(
                    ContextKind::InvalidValue,
                    ContextValue::String(text.into_owned()),
                );
                error.insert(ContextKind::ValidValue, ContextValue::Strings(self.names()));
                Err(error)
            }
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let own = self
            .own
            .iter()
            .map(|(name, help, _)| PossibleValue::new(*name).help(*help));
        let machine = [
            PossibleValue::new("json").help(self.kind),
            PossibleValue::new("yaml").help(self.kind),
            PossibleValue::new("jsonpath=TEMPLATE")
                .help("Parts of it, as kubectl has it: jsonpath='{.phase}'"),
        ];
        Some(Box::new(own.chain(machine)))
    }
}
