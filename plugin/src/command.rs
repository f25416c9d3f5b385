//! The verbs.

mod can_i;
pub mod complete;
mod completion;
mod dashboard;
mod doctor;
mod explain;
mod history;
mod init;
mod install;
mod lint;
mod policy;
pub mod request;
mod set;
mod started;
mod status;
mod undo;
mod uninstall;
mod version;
mod wait;

use canary_core::request::Verb;

use self::request::Ask;
use crate::args::policy::{CanI, CanIArgs};
use crate::args::set::{SetArgs, SetVerb};
use crate::args::{Cli, Command};
use crate::client::Cluster;
use crate::env::Env;
use crate::exit::Error;
use crate::output::Output;

/// Runs the verb; an exit code other than 0 that is no error comes back as a value.
pub async fn run(cli: Cli, env: &Env) -> Result<u8, Error> {
    let output = Output::new(cli.global.color, env);
    let connect = || Cluster::connect(&cli.global, env);
    let (ask, request): (Ask, _) = match cli.command {
        Command::Completion(args) => return completion::run(&args, &output),
        Command::Version(args) => return version::run(&args, &cli.global, env, &output).await,
        Command::Install(args) => return install::run(&args, &cli.global, env, &output).await,
        Command::Upgrade(args) => return install::upgrade(&args, &cli.global, env, &output).await,
        Command::Uninstall(args) => {
            return Box::pin(uninstall::run(&args, &cli.global, env, &output)).await;
        }
        Command::Doctor(args) => {
            return Box::pin(doctor::run(&args, &connect().await?, &output)).await;
        }
        Command::Init(args) => {
            return Box::pin(init::run(&args, &cli.global, env, &output)).await;
        }
        Command::Lint(args) => {
            return Box::pin(lint::run(&args, &cli.global, env, &output)).await;
        }
        Command::Policy(args) => {
            return Box::pin(policy::run(&args, &cli.global, env, &output)).await;
        }
        Command::CanI(CanIArgs {
            what: CanI::Release(args),
        }) => return Box::pin(can_i::release(&args, &connect().await?, &output)).await,
        Command::Dashboard(args) => {
            return Box::pin(dashboard::run(&args, connect().await?, &output)).await;
        }
        Command::Status(args) => return status::run(&args, connect().await?, &output).await,
        Command::Set(SetArgs {
            what: SetVerb::Image(args),
        }) => return Box::pin(set::image(&args, &connect().await?, &output)).await,
        Command::Wait(args) => {
            return Box::pin(wait::run(&args, &connect().await?, &output)).await;
        }
        Command::History(args) => return history::run(&args, &connect().await?, &output).await,
        Command::Explain(args) => {
            return Box::pin(explain::run(&args, &connect().await?, &output)).await;
        }
        Command::Rollback(args) if args.to.is_some() => {
            return Box::pin(undo::run(&args, &connect().await?, &output)).await;
        }
        Command::Promote(args) if args.full => (Verb::PromoteFull.into(), args.request),
        Command::Promote(args) => (Verb::Promote.into(), args.request),
        Command::Rollback(args) => (Verb::Rollback.into(), args.request),
        Command::Pause(args) => (Ask::pause(args.length), args.request),
        Command::Resume(args) => (Verb::Resume.into(), args),
        Command::Retry(args) => (Verb::Retry.into(), args),
    };
    Box::pin(request::run(ask, &request, connect().await?, &output)).await
}
