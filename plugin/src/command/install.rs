//! `install`, `upgrade`: the manifests of this version, applied and waited for.
//!
//! ```text
//!  settings ─► objects ─┬─► YAML                        --dry-run=client
//!                       └─► definitions established ─► the rest ─► deployment ready
//! ```

pub mod found;
pub mod rollout;

use std::time::Duration;

use canary_core::names;
use serde_json::{Value, json};

use crate::args::Global;
use crate::args::install::{ApplyArgs, DryRun, InstallArgs, SettingsArgs, UpgradeArgs};
use crate::client::Cluster;
use crate::env::Env;
use crate::exit::{Error, code};
use crate::manifests::{self, DEFAULT_NAMESPACE, Reference, Settings};
use crate::output::Output;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// On a namespace that `install` made, and `uninstall --purge` may therefore remove.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", names::FIELD_MANAGER);
/// Between two looks at something that takes a moment.
pub const LOOK: Duration = Duration::from_millis(500);

pub async fn run(
    args: &InstallArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    let mut settings = Settings {
        namespace: flags
            .namespace
            .clone()
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        ..Settings::default()
    };
    choose(&mut settings, &args.settings);
    if args.apply.dry_run == DryRun::Client {
        return print(&settings, output);
    }
    let cluster = Cluster::connect(flags, env).await?;
    if let Some(live) = found::server(&cluster).await? {
        return Err(Error::NothingToDo {
            message: format!(
                "kubectl-canary is installed already: {}",
                found::text(&live)
            ),
            hint: Some("`kubectl canary upgrade` changes it".to_owned()),
        });
    }
    if !args.beside_flagger {
        refuse_flagger(&cluster).await?;
    }
    say(
        output,
        &format!("installing kubectl-canary {VERSION}"),
        &settings,
        &cluster,
    )?;
    Box::pin(apply(&cluster, &settings, &args.apply, output)).await
}

pub async fn upgrade(
    args: &UpgradeArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    let cluster = Cluster::connect(flags, env).await?;
    let Some(live) = found::server(&cluster).await? else {
        if !args.install {
            return Err(Error::NothingToDo {
                message: "kubectl-canary is not installed".to_owned(),
                hint: Some("`kubectl canary install`, or `upgrade --install`".to_owned()),
            });
        }
        let args = InstallArgs {
            settings: args.settings.clone(),
            apply: args.apply,
            beside_flagger: false,
        };
        return Box::pin(run(&args, flags, env, output)).await;
    };
    found::refuse_helm(&live, "upgrade")?;
    let mut settings = found::settings(&live, &manifests::image()?);
    if let Some(wanted) = &flags.namespace
        && *wanted != settings.namespace
    {
        return Err(Error::Usage(format!(
            "kubectl-canary is installed in namespace {}, and cannot move: leave --namespace out, or uninstall it first",
            settings.namespace
        )));
    }
    choose(&mut settings, &args.settings);
    if args.apply.dry_run == DryRun::Client {
        return print(&settings, output);
    }
    let what = format!("upgrading {} to {VERSION}", found::text(&live));
    say(output, &what, &settings, &cluster)?;
    Box::pin(apply(&cluster, &settings, &args.apply, output)).await
}

fn choose(settings: &mut Settings, args: &SettingsArgs) {
    if let Some(image) = &args.image {
        settings.image = Some(image.clone());
    }
    if let Some(replicas) = args.replicas {
        settings.replicas = Some(replicas.into());
    }
    let named = [
        ("mesh-provider", &args.mesh_provider),
        ("metrics-server", &args.metrics_server),
    ];
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)));
    settings.set(named.chain(args.server_flags.iter().cloned()));
}

fn say(output: &Output, what: &str, settings: &Settings, cluster: &Cluster) -> Result<(), Error> {
    let (namespace, server) = (&settings.namespace, cluster.server());
    output.print(&format!("{what} in namespace {namespace} of {server}\n"))
}

fn print(settings: &Settings, output: &Output) -> Result<u8, Error> {
    let mut all = manifests::definitions()?;
    all.extend(objects(settings)?);
    for object in &all {
        output.print("---\n")?;
        output.yaml(object)?;
    }
    Ok(code::OK)
}

fn objects(settings: &Settings) -> Result<Vec<Value>, Error> {
    let mut all = manifests::objects(settings)?;
    for namespace in all
        .iter_mut()
        .filter(|object| object["kind"] == "Namespace")
    {
        namespace["metadata"]["labels"][MANAGED_BY.0] = json!(MANAGED_BY.1);
    }
    Ok(all)
}

/// Two controllers that write one status and one route would undo each other's work for ever.
async fn refuse_flagger(cluster: &Cluster) -> Result<(), Error> {
    let Some((namespace, name)) = found::flagger(cluster).await? else {
        return Ok(());
    };
    Err(Error::NothingToDo {
        message: format!(
            "Flagger runs (deployment {namespace}/{name}), and two controllers must not act on one Canary"
        ),
        hint: Some(format!(
            "kubectl -n {namespace} scale deployment/{name} --replicas=0; --beside-flagger if it watches other namespaces"
        )),
    })
}

async fn apply(
    cluster: &Cluster,
    settings: &Settings,
    args: &ApplyArgs,
    output: &Output,
) -> Result<u8, Error> {
    let definitions = manifests::definitions()?;
    for definition in &definitions {
        // Flagger's own, or those of an older version: ours are a superset under the same names.
        cluster.apply(definition, true).await?;
        applied(output, definition)?;
    }
    let limit = Some(args.timeout).filter(|limit| !limit.is_zero());
    rollout::within(limit, rollout::established(cluster, &definitions)).await?;
    for object in objects(settings)? {
        if object["kind"] == "Namespace" && !may_apply(cluster, &object).await? {
            continue;
        }
        match cluster.apply(&object, args.force_conflicts).await {
            Ok(()) => applied(output, &object)?,
            Err(Error::NoCrd) => skipped(&object)?,
            Err(error) => return Err(error),
        }
    }
    if args.no_wait {
        return Ok(code::OK);
    }
    rollout::within(limit, rollout::ready(cluster, &settings.namespace)).await?;
    output.print("kubectl-canary is ready; `kubectl canary status -A` shows all Canaries\n")?;
    Ok(code::OK)
}

/// A namespace that somebody else made stays as it is.
async fn may_apply(cluster: &Cluster, namespace: &Value) -> Result<bool, Error> {
    let live = cluster.current(namespace).await?;
    Ok(live.is_none_or(|live| found::is_ours(&live)))
}

fn applied(output: &Output, object: &Value) -> Result<(), Error> {
    output.print(&format!("{} serverside-applied\n", Reference(object)))
}

/// Policies came with Kubernetes 1.30; without them admission asks for the rights of people itself.
fn skipped(object: &Value) -> Result<(), Error> {
    let kind = object["kind"].as_str().unwrap_or_default();
    if !kind.starts_with("ValidatingAdmissionPolicy") {
        return Err(Error::Api(format!("this API server has no {kind}")));
    }
    anstream::eprintln!(
        "warning: {} is left out: this API server has no {kind} (Kubernetes 1.30)",
        Reference(object)
    );
    Ok(())
}
