//! `completion`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// Who completes: a shell, for the program kubectl-canary, or kubectl itself
    #[arg(value_enum)]
    pub shell: Completer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Completer {
    Bash,
    Zsh,
    Fish,
    /// Without names from the cluster
    Powershell,
    /// Without names from the cluster
    Elvish,
    /// The program `kubectl_complete-canary`, which kubectl's own completion looks for in PATH
    Kubectl,
}
