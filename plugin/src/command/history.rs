//! `history`, `history diff`.

use canary_core::canary::Canary;
use serde_json::Value;

use crate::args::format::HistoryFormat;
use crate::args::verbs::{DiffArgs, HistoryArgs, HistoryVerb};
use crate::client::Cluster;
use crate::env::now;
use crate::exit::{Error, code};
use crate::output::Output;
use crate::render::history;
use crate::report::history::{Diff, History, Past};

pub async fn run(args: &HistoryArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    if let Some(HistoryVerb::Diff(args)) = &args.verb {
        return diff(args, cluster, output).await;
    }
    let Some(name) = &args.name else {
        return Err(Error::Usage("name a Canary".to_owned()));
    };
    let canary = cluster.canary(&cluster.namespace, &name.0).await?;
    let found = History::of(&canary);
    match &args.output {
        Some(HistoryFormat::Machine(format)) => output.machine(format, &found)?,
        Some(HistoryFormat::Wide) | None if found.releases.is_empty() => {
            anstream::eprintln!("No releases of {} yet.", canary.id());
        }
        Some(HistoryFormat::Wide) | None => {
            let theme = output.theme();
            let wide = args.output.is_some();
            output.print(&theme.paint(&history::lines(&found, &theme, now(), wide)))?;
        }
    }
    Ok(code::OK)
}

async fn diff(args: &DiffArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let canary = cluster.canary(&cluster.namespace, &args.name.0).await?;
    let found = History::of(&canary);
    let (from, to) = (release(&found, args.from)?, release(&found, args.to)?);
    let templates = (
        template(cluster, &canary, &from.revision).await?,
        template(cluster, &canary, &to.revision).await?,
    );
    let diff = Diff::between(&found, (from, to), (&templates.0, &templates.1));
    if let Some(format) = &args.output {
        output.machine(format, &diff)?;
    } else {
        let theme = output.theme();
        output.print(&theme.paint(&history::diff(&diff, &theme)))?;
    }
    Ok(code::OK)
}

pub(super) fn release(history: &History, number: i64) -> Result<&Past, Error> {
    let id = format!("{}.{}", history.metadata.name, history.metadata.namespace);
    let numbers = history.releases.iter().map(|past| past.number.to_string());
    let numbers: Vec<String> = numbers.collect();
    history.release(number).ok_or_else(|| Error::NothingToDo {
        message: format!("release {number} of {id} is not in its history"),
        hint: Some(if numbers.is_empty() {
            "it has had no release yet".to_owned()
        } else {
            format!("there are {}", numbers.join(", "))
        }),
    })
}

/// The template that the controller keeps of a revision, or why there is none.
pub(in crate::command) async fn template(
    cluster: &Cluster,
    canary: &Canary,
    revision: &str,
) -> Result<Result<Value, String>, Error> {
    let name = canary.metadata.name.as_deref().unwrap_or_default();
    let object = format!("{name}-{revision}");
    let kept = match cluster
        .kept_revision(canary.namespace_name(), &object)
        .await
    {
        Ok(kept) => kept,
        Err(Error::ReadForbidden(why)) => return Ok(Err(format!("cannot be read: {why}"))),
        Err(error) => return Err(error),
    };
    let template = kept.and_then(|kept| kept.data?.0.get("template").cloned());
    Ok(template.ok_or_else(|| "is not kept any more".to_owned()))
}
