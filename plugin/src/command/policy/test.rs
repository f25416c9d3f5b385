//! `policy test`: what policies would say.

use canary_core::policy::Policy;
use serde::Serialize;

use super::judge::{Bundle, Judged, Verdict};
use super::{files, server};
use crate::args::Global;
use crate::args::policy::{DryRun, PolicyTestArgs};
use crate::client::Cluster;
use crate::env::{Env, now};
use crate::exit::{Error, code};
use crate::output::Output;
use crate::report::API_VERSION;

const DEFAULT_NAMESPACE: &str = "default";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyTestReport {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<Judged>,
}

pub async fn run(
    args: &PolicyTestArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    let objects = files::read(&args.files)?;
    let here = flags.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let judged = if args.dry_run == DryRun::Server {
        if args.at.is_some() {
            return Err(Error::Usage(
                "the API server judges at its own time: leave out --at or --dry-run=server".into(),
            ));
        }
        let cluster = Cluster::connect(flags, env).await?;
        server::judge(&cluster, objects).await?
    } else {
        offline(args, Bundle::new(objects, here)?, flags, env).await?
    };
    if judged.is_empty() {
        return Err(Error::NothingToDo {
            message: "there is no Deployment and no Canary in these files".into(),
            hint: None,
        });
    }
    let denied = judged
        .iter()
        .any(|judged| judged.verdict == Verdict::Denied);
    let report = |items| PolicyTestReport {
        api_version: API_VERSION,
        kind: "PolicyTestReport",
        items,
    };
    if let Some(format) = &args.output {
        output.machine(format, &report(judged))?;
    } else {
        let lines = judged.iter().flat_map(Judged::lines);
        output.print(&lines.map(|line| line + "\n").collect::<String>())?;
    }
    Ok(if denied { code::FORBIDDEN } else { code::OK })
}

/// By this program; the cluster is asked only for policies that no file has.
async fn offline(
    args: &PolicyTestArgs,
    mut bundle: Bundle,
    flags: &Global,
    env: &Env,
) -> Result<Vec<Judged>, Error> {
    let now = args.at.unwrap_or_else(now);
    let places = bundle.places();
    if bundle.policies.is_empty() {
        let cluster = Cluster::connect(flags, env).await?;
        bundle.policies = cluster.policies().await?;
        for place in &places {
            if !bundle.namespaces.contains_key(place)
                && let Some(labels) = cluster.namespace_labels(place).await?
            {
                bundle.namespaces.insert(place.clone(), labels);
            }
        }
    } else {
        bundle.check_policies(now)?;
    }
    let policies: Vec<Policy> = bundle.policies.iter().map(Policy::read).collect();
    let selective = |policy: &Policy| !policy.spec.namespaces.match_labels.is_empty();
    if policies.iter().any(selective) {
        for place in places
            .iter()
            .filter(|place| !bundle.namespaces.contains_key(*place))
        {
            anstream::eprintln!(
                "note: the labels of namespace {place} are not known, so every policy is taken to apply to it"
            );
        }
    }
    Ok(bundle.judge(&policies, now))
}
