//! What may follow the words that were typed. Pure: the command line is clap's own description of it.
//!
//! ```text
//!  words ─► Typed ─► Wanted ─┬─ Fixed    verbs, flags, values
//!                            └─ Names    to be asked of the cluster ─► command::complete
//!  candidates ─► text: kubectl's protocol, a line each, `:4` last
//! ```

use clap::{Arg, Command, CommandFactory as _, Parser as _};

use crate::args::{Cli, Global};
use crate::exit::one_line;
use crate::report::CanaryReport;
use canary_core::status::Phase;

/// What kubectl does besides showing the candidates.
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// Something that may be typed, and what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub text: String,
    pub about: String,
}

/// What is to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Fixed(Vec<Candidate>),
    Canaries(Filter),
    Deployments,
    Namespaces,
    Contexts,
    Files,
}

/// Which Canaries a verb can do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    All,
    /// A release is under way.
    Running,
    /// One that is not paused.
    Pausable,
    Paused,
    /// The last release failed.
    Failed,
}

/// A command line that is not finished.
pub struct Typed {
    pub wanted: Wanted,
    /// The word so far.
    pub word: String,
    /// In front of each candidate: `--namespace=`.
    pub prefix: String,
    /// The flags that say which cluster.
    pub global: Global,
}

struct Walk {
    command: Command,
    /// Of the verb and its own verb: `policy test`.
    path: Vec<String>,
    positionals: usize,
    flags: Vec<(Arg, String)>,
    /// A flag that waits for its value.
    open: Option<Arg>,
}

/// Reads the words; the last one is to be completed.
pub fn read(words: &[String]) -> Typed {
    let (word, before) = words
        .split_last()
        .map_or(("", words), |(word, before)| (word.as_str(), before));
    let mut root = Cli::command();
    root.build();
    let mut walk = Walk {
        command: root,
        path: Vec::new(),
        positionals: 0,
        flags: Vec::new(),
        open: None,
    };
    for word in before {
        walk.take(word);
    }
    let (wanted, prefix, word) = walk.wanted(word);
    Typed {
        wanted,
        word,
        prefix,
        global: walk.global(),
    }
}

/// The answer in kubectl's form: only what begins with the word.
pub fn answer(typed: &Typed, candidates: &[Candidate]) -> String {
    let mut lines: Vec<String> = candidates
        .iter()
        .filter(|it| it.text.starts_with(&typed.word))
        .map(|it| {
            let about = one_line(&it.about);
            if about.is_empty() {
                format!("{}{}", typed.prefix, it.text)
            } else {
                format!("{}{}\t{about}", typed.prefix, it.text)
            }
        })
        .collect();
    let files = typed.wanted == Wanted::Files;
    lines.push(if files { FILES } else { NO_FILES }.to_owned());
    lines.join("\n") + "\n"
}

/// Whether the verb could do something with this Canary, and what is to be said of it.
pub fn canary(report: &CanaryReport, filter: Filter) -> Option<Candidate> {
    let paused = report.paused().is_some();
    let fits = match filter {
        Filter::All => true,
        Filter::Running => report.running,
        Filter::Pausable => report.running && !paused,
        Filter::Paused => paused,
        Filter::Failed => report.phase == Phase::Failed,
    };
    fits.then(|| Candidate {
        text: report.metadata.name.clone(),
        about: if paused {
            "Paused".to_owned()
        } else if report.running {
            format!("{:?}, canary {} %", report.phase, report.traffic.canary)
        } else {
            format!("{:?}", report.phase)
        },
    })
}

// === impl Walk ===

impl Walk {
    fn take(&mut self, word: &str) {
        if let Some(flag) = self.open.take() {
            self.flags.push((flag, word.to_owned()));
            return;
        }
        if word.len() > 1 && word.starts_with('-') {
            if let Some((flag, value)) = self.flag(word) {
                match value {
                    Some(value) => self.flags.push((flag, value)),
                    None if takes_value(&flag) => self.open = Some(flag),
                    None => {}
                }
            }
            return;
        }
        match self.command.find_subcommand(word).cloned() {
            Some(command) => {
                self.path.push(command.get_name().to_owned());
                self.command = command;
            }
            None => self.positionals += 1,
        }
    }

    /// The flag of `--name`, `--name=value`, `-n` or `-nvalue`, and the value if it is there.
    fn flag(&self, word: &str) -> Option<(Arg, Option<String>)> {
        let mut arguments = self.command.get_arguments();
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let flag = arguments.find(|flag| flag.get_long() == Some(name))?;
            return Some((flag.clone(), value));
        }
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let flag = arguments.find(|flag| flag.get_short() == Some(letter))?;
        let rest = letters.as_str().trim_start_matches('=');
        Some((flag.clone(), (!rest.is_empty()).then(|| rest.to_owned())))
    }

    /// What is wanted, what stands before it, and the part of the word that is completed.
    fn wanted(&self, word: &str) -> (Wanted, String, String) {
        if let Some(flag) = &self.open {
            return (values(flag), String::new(), word.to_owned());
        }
        if word.starts_with("--")
            && let Some((name, value)) = word.split_once('=')
            && let Some((flag, _)) = self.flag(word)
        {
            return (values(&flag), format!("{name}="), value.to_owned());
        }
        let wanted = if word.starts_with('-') {
            Wanted::Fixed(self.flags())
        } else if self.command.has_subcommands() {
            Wanted::Fixed(self.verbs())
        } else {
            self.positional()
        };
        // `canary/NAME` is a name too.
        if let Wanted::Canaries(_) = wanted
            && let Some((kind, name)) = word.split_once('/')
        {
            return (wanted, format!("{kind}/"), name.to_owned());
        }
        (wanted, String::new(), word.to_owned())
    }

    fn verbs(&self) -> Vec<Candidate> {
        let visible = self
            .command
            .get_subcommands()
            .filter(|it| !it.is_hide_set());
        visible
            .map(|it| Candidate::new(it.get_name(), it.get_about()))
            .collect()
    }

    fn flags(&self) -> Vec<Candidate> {
        let visible = self.command.get_arguments().filter(|it| !it.is_hide_set());
        visible
            .filter_map(|it| {
                Some(Candidate::new(
                    format!("--{}", it.get_long()?),
                    it.get_help(),
                ))
            })
            .collect()
    }

    fn positional(&self) -> Wanted {
        let arguments: Vec<&Arg> = self.command.get_positionals().collect();
        let argument = arguments.get(self.positionals).copied();
        let Some(argument) = argument else {
            return Wanted::Fixed(Vec::new());
        };
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let filter = match path.as_slice() {
            ["set", "image"] if self.positionals == 0 => return Wanted::Deployments,
            ["init"] => return Wanted::Deployments,
            ["promote" | "rollback"] => Filter::Running,
            ["pause"] => Filter::Pausable,
            ["resume"] => Filter::Paused,
            ["retry"] => Filter::Failed,
            _ if argument.get_id() == "name" => Filter::All,
            _ => return values(argument),
        };
        Wanted::Canaries(filter)
    }

    /// The flags that lead to the cluster, read by clap itself; what is wrong in them says nothing here.
    fn global(&self) -> Global {
        let mut words = vec!["kubectl-canary".to_owned(), "version".to_owned()];
        let known = Cli::command();
        for (flag, value) in &self.flags {
            let Some(long) = flag.get_long() else {
                continue;
            };
            let global = known
                .get_arguments()
                .any(|it| it.get_long() == Some(long) && it.is_global_set());
            if global {
                words.push(format!("--{long}={value}"));
            }
        }
        Cli::try_parse_from(words)
            .map(|cli| cli.global)
            .unwrap_or_default()
    }
}

// === impl Candidate ===

impl Candidate {
    pub fn new(text: impl Into<String>, about: Option<impl ToString>) -> Self {
        Self {
            text: text.into(),
            about: about.map(|about| about.to_string()).unwrap_or_default(),
        }
    }
}

fn takes_value(flag: &Arg) -> bool {
    flag.get_action().takes_values() && !flag.is_require_equals_set()
}

/// What may stand behind a flag, or as an argument.
fn values(argument: &Arg) -> Wanted {
    match argument.get_id().as_str() {
        "namespace" => return Wanted::Namespaces,
        "context" => return Wanted::Contexts,
        "files" | "kubeconfig" | "certificate_authority" | "client_certificate" | "client_key" => {
            return Wanted::Files;
        }
        _ => {}
    }
    let possible = argument.get_possible_values();
    let visible = possible.iter().filter(|value| !value.is_hide_set());
    Wanted::Fixed(
        visible
            .map(|value| {
                // Of `jsonpath=TEMPLATE` the rest is for the person to write.
                let name = value.get_name().split_inclusive('=').next();
                Candidate::new(name.unwrap_or_default(), value.get_help())
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests;
