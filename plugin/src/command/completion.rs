//! `completion`: a script for the user's shell.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::exit::{Error, code};
use crate::output::Output;

pub fn run(args: &CompletionArgs, output: &Output) -> Result<u8, Error> {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name("kubectl-canary");
    clap_complete::generate(args.shell, &mut command, "kubectl-canary", &mut script);
    output.print(&String::from_utf8_lossy(&script))?;
    Ok(code::OK)
}
