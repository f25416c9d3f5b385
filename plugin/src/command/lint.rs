//! `lint`: what is wrong with manifests, before anybody applies them.
//!
//! ```text
//!  files ─► lint (pure) ─┬─► lines, JSON, SARIF ─► exit code
//!  API server ─► server ─┘   --dry-run=server
//! ```

mod server;

use crate::args::Global;
use crate::args::lint::{LintArgs, LintOutput};
use crate::args::policy::DryRun;
use crate::client::Cluster;
use crate::env::{Env, now};
use crate::exit::{Error, code};
use crate::files::{self, Depth};
use crate::lint::{self, Context, File, Report, sarif};
use crate::output::Output;
use crate::render::{self, Theme};

pub async fn run(args: &LintArgs, flags: &Global, env: &Env, output: &Output) -> Result<u8, Error> {
    let files = files::read(&args.files, Depth::Recursive)?;
    let files: Vec<File> = files.into_iter().map(File::from).collect();
    let context = Context {
        provider: &args.mesh_provider,
        now: now(),
    };
    let mut report = lint::lint(&files, &context);
    if report.checked == 0 && report.items.is_empty() {
        return Err(Error::NothingToDo {
            message: "there is nothing to check in these files: no Canary, MetricTemplate, AlertProvider or CanaryPolicy".into(),
            hint: None,
        });
    }
    if args.dry_run == DryRun::Server {
        let cluster = Cluster::connect(flags, env).await?;
        let (manifests, _) = lint::read(&files);
        report = server::add(report, &manifests, &cluster).await?;
    }
    show(&report, args, output)?;
    let bad = report.errors > 0 || args.strict && report.warnings > 0;
    Ok(if bad { code::FINDINGS } else { code::OK })
}

fn show(report: &Report, args: &LintArgs, output: &Output) -> Result<(), Error> {
    match args.output {
        Some(LintOutput::Json) => output.json(report),
        Some(LintOutput::Sarif) => output.json(&sarif::log(report)),
        None => {
            let theme = Theme {
                width: None,
                ..output.theme()
            };
            output.print(&theme.paint(&render::lint::lines(report)))?;
            anstream::eprintln!("{}", render::lint::summary(report));
            Ok(())
        }
    }
}
