//! `policy list`, `policy test`.

mod files;
mod judge;
mod list;
mod server;
mod test;

use crate::args::Global;
use crate::args::policy::{PolicyArgs, PolicyVerb};
use crate::client::Cluster;
use crate::env::Env;
use crate::exit::Error;
use crate::output::Output;

pub async fn run(
    args: &PolicyArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    match &args.verb {
        PolicyVerb::List(args) => {
            list::run(args, &Cluster::connect(flags, env).await?, output).await
        }
        PolicyVerb::Test(args) => test::run(args, flags, env, output).await,
    }
}
