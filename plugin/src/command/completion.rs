//! `completion`: a script for the user's shell, or the program that kubectl asks.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::args::completion::{Completer, CompletionArgs};
use crate::exit::{Error, code};
use crate::output::Output;

const BASH: &str = include_str!("completion/bash.sh");
const ZSH: &str = include_str!("completion/zsh.zsh");
const FISH: &str = include_str!("completion/fish.fish");
const KUBECTL: &str = include_str!("completion/kubectl.sh");

pub fn run(args: &CompletionArgs, output: &Output) -> Result<u8, Error> {
    let script = match args.shell {
        Completer::Bash => BASH.to_owned(),
        Completer::Zsh => ZSH.to_owned(),
        Completer::Fish => FISH.to_owned(),
        Completer::Kubectl => KUBECTL.to_owned(),
        Completer::Powershell => of_flags(Shell::PowerShell),
        Completer::Elvish => of_flags(Shell::Elvish),
    };
    output.print(&script)?;
    Ok(code::OK)
}

/// Verbs and flags as they are now; names are not asked for.
fn of_flags(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name("kubectl-canary");
    clap_complete::generate(shell, &mut command, "kubectl-canary", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
