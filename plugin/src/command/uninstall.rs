//! `uninstall`: nothing that it leaves behind may block the cluster, and nobody loses a request.
//!
//! ```text
//!  webhook configurations ─► (purge: Canaries reverted by the server, deleted) ─► server, pods gone
//!      ─► policies, rights ─► Canaries left so that they can be deleted, or taken over by Flagger
//!      ─► (purge: definitions, our namespace)
//! ```

mod canaries;
mod purge;
mod selectors;

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use serde_json::{Value, json};

use self::canaries::Left;
use crate::args::Global;
use crate::args::install::{DryRun, UninstallArgs};
use crate::client::Cluster;
use crate::command::install::{found, rollout};
use crate::env::Env;
use crate::exit::{Error, code};
use crate::manifests::{self, DEFAULT_NAMESPACE, Reference, SERVER, Settings};
use crate::output::Output;

/// What is there to be removed.
struct Installed {
    namespace: String,
    /// The server's Deployment; a half-removed installation has none.
    server: Option<Value>,
    canaries: Vec<Left>,
}

pub async fn run(
    args: &UninstallArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    let cluster = Cluster::connect(flags, env).await?;
    let installed = look(&cluster, flags).await?;
    if let Some(live) = &installed.server {
        found::refuse_helm(live, "uninstall")?;
    }
    refuse(args, &installed)?;
    if args.for_flagger && !args.force {
        refuse_selectors(&cluster, &installed).await?;
    }
    let mut order = order(&installed.namespace)?;
    if !args.purge {
        order.rights_of_people.clear();
    }
    output.print(&summary(args, &installed, cluster.server()))?;
    if args.dry_run == DryRun::Client {
        let Order {
            registrations,
            rest,
            rights_of_people,
        } = &order;
        for object in registrations.iter().chain(rest).chain(rights_of_people) {
            output.print(&format!("{} would be deleted\n", Reference(object)))?;
        }
        return Ok(code::OK);
    }
    confirm(args.yes)?;
    let removal = Removal {
        cluster: &cluster,
        output,
        limit: Some(args.timeout).filter(|limit| !limit.is_zero()),
    };
    removal.all(&order.registrations).await?;
    if args.purge {
        removal.revert(&installed.canaries).await?;
    }
    removal.server(&installed.namespace).await?;
    removal.all(&order.rest).await?;
    removal.all(&order.rights_of_people).await?;
    if args.purge {
        removal.definitions(&installed.namespace).await?;
    } else {
        for canary in &installed.canaries {
            removal.leave(canary, args.for_flagger).await?;
        }
    }
    output.print("kubectl-canary is uninstalled\n")?;
    Ok(code::OK)
}

async fn look(cluster: &Cluster, flags: &Global) -> Result<Installed, Error> {
    let server = found::server(cluster).await?;
    let of_server = server
        .as_ref()
        .and_then(|live| live["metadata"]["namespace"].as_str())
        .map(str::to_owned);
    if let (Some(found), Some(wanted)) = (&of_server, &flags.namespace)
        && found != wanted
    {
        return Err(Error::Usage(format!(
            "kubectl-canary is installed in namespace {found}, not in {wanted}"
        )));
    }
    let namespace = of_server.or_else(|| flags.namespace.clone());
    Ok(Installed {
        namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        server,
        canaries: canaries::all(cluster).await?,
    })
}

/// What would leave somebody without an application, before anything has been done.
fn refuse(args: &UninstallArgs, installed: &Installed) -> Result<(), Error> {
    let message = if args.purge && !installed.canaries.is_empty() && !serves(installed) {
        "no replica of canary-webhook is ready, and only the server can revert the Canaries"
            .to_owned()
    } else if args.for_flagger
        && let Some(canary) = installed.canaries.iter().find(|canary| canary.recovers())
    {
        format!(
            "canary {canary} is still served by its failed release; Flagger would end that with an outage"
        )
    } else {
        return Ok(());
    };
    let hint = if args.purge {
        "`kubectl canary upgrade` brings the server back; without --purge nothing has to be reverted"
    } else {
        "wait until its primary is ready; `kubectl canary status` shows it"
    };
    Err(Error::NothingToDo {
        message,
        hint: Some(hint.to_owned()),
    })
}

/// Services that find nobody's pods, or somebody else's, are an outage that Flagger makes within a minute.
async fn refuse_selectors(cluster: &Cluster, installed: &Installed) -> Result<(), Error> {
    let server = installed.server.as_ref();
    let troubles = selectors::troubles(cluster, &installed.canaries, server).await?;
    if troubles.is_empty() {
        return Ok(());
    }
    Err(Error::NothingToDo {
        message: format!("Flagger selects pods by one label alone. {}", troubles.join("; ")),
        hint: Some(
            "set spec.revertOnDeletion: true on these Canaries and delete them first, so that their Deployments serve; or give their Deployments labels of their own; --force goes on all the same"
                .to_owned(),
        ),
    })
}

fn serves(installed: &Installed) -> bool {
    let ready = installed
        .server
        .as_ref()
        .and_then(|live| live.pointer("/status/availableReplicas")?.as_i64());
    ready.is_some_and(|ready| ready > 0)
}

fn summary(args: &UninstallArgs, installed: &Installed, server: &str) -> String {
    let (namespace, count) = (&installed.namespace, installed.canaries.len());
    let head = format!("removing kubectl-canary from namespace {namespace} of {server}");
    let all = if count == 1 {
        "1 Canary".to_owned()
    } else {
        format!("{count} Canaries")
    };
    let fate = match (args.purge, args.for_flagger) {
        (true, _) => {
            "first reverted: the target is scaled up and serves, and what was generated goes; then deleted, with the CRDs and everything that they define"
        }
        (_, true) => "left as Flagger takes it over; applications are served on",
        _ => "left as it is; applications are served on, and nothing is released any more",
    };
    let releases = installed.canaries.iter().filter(|_| !args.purge);
    let releases = releases.filter_map(|canary| {
        let release = canary.release()?;
        Some(format!("canary {canary} is in mid-release: {release}"))
    });
    let lines: Vec<String> = [head, format!("{all}: {fate}")]
        .into_iter()
        .chain(releases)
        .collect();
    lines.join("\n") + "\n"
}

/// A terminal is asked; a script has to say so itself.
fn confirm(yes: bool) -> Result<(), Error> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::Usage(
            "nothing is removed without a terminal to ask, or --yes".to_owned(),
        ));
    }
    anstream::eprint!("go on? [y/N] ");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::NothingToDo {
        message: "nothing was removed".to_owned(),
        hint: None,
    })
}

/// What is removed, in the order in which it goes.
struct Order {
    registrations: Vec<Value>,
    rest: Vec<Value>,
    /// Goes with the definitions: without it nobody could read or delete the Canaries that stay.
    rights_of_people: Vec<Value>,
}

fn order(namespace: &str) -> Result<Order, Error> {
    let settings = Settings {
        namespace: namespace.to_owned(),
        ..Settings::default()
    };
    let mut all = manifests::objects(&settings)?;
    all.reverse();
    // What the server makes by itself.
    for (group, kind, name) in [
        ("v1", "Secret", "canary-webhook-tls"),
        ("coordination.k8s.io/v1", "Lease", SERVER),
    ] {
        let metadata = json!({"name": name, "namespace": namespace});
        all.push(json!({"apiVersion": group, "kind": kind, "metadata": metadata}));
    }
    all.retain(|object| object["kind"] != "Namespace");
    let text = |object: &Value, pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (registrations, rest) = all
        .into_iter()
        .partition(|object: &Value| text(object, "/kind").ends_with("WebhookConfiguration"));
    let rest: Vec<Value> = rest;
    let (rights_of_people, rest) = rest.into_iter().partition(|object| {
        object["kind"] == "ClusterRole" && !text(object, "/metadata/name").starts_with(SERVER)
    });
    Ok(Order {
        registrations,
        rest,
        rights_of_people,
    })
}

/// Removes, and says what.
struct Removal<'a> {
    cluster: &'a Cluster,
    output: &'a Output,
    limit: Option<Duration>,
}

// === impl Removal ===

impl Removal<'_> {
    async fn all(&self, objects: &[Value]) -> Result<(), Error> {
        for object in objects {
            self.one(object).await?;
        }
        Ok(())
    }

    async fn one(&self, object: &Value) -> Result<(), Error> {
        if self.cluster.delete(object).await? {
            self.output
                .print(&format!("{} deleted\n", Reference(object)))?;
        }
        Ok(())
    }

    /// Its pods end before its rights do: the leader gives back the lease, and decides nothing more.
    async fn server(&self, namespace: &str) -> Result<(), Error> {
        let metadata = json!({"name": SERVER, "namespace": namespace});
        self.one(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}))
            .await?;
        let gone = PodsGone {
            cluster: self.cluster,
            namespace,
        };
        rollout::within(self.limit, gone).await
    }

    async fn leave(&self, canary: &Left, for_flagger: bool) -> Result<(), Error> {
        if let Some(patch) = canary.without_our_finalizer() {
            self.cluster.merge(canary.object(), None, &patch).await?;
        }
        if for_flagger && let Some(patch) = canary.for_flagger() {
            let object = canary.object();
            self.cluster.merge(object, Some("status"), &patch).await?;
            self.output
                .print(&format!("canary {canary} waits for Flagger\n"))?;
        }
        Ok(())
    }
}

struct PodsGone<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
}

impl rollout::Wait for PodsGone<'_> {
    async fn look(&mut self) -> Result<rollout::Missing, Error> {
        let pods = rollout::pods(self.cluster, self.namespace).await?;
        let names: Vec<&str> = pods
            .iter()
            .filter_map(|pod| pod["metadata"]["name"].as_str())
            .collect();
        Ok((!names.is_empty()).then(|| format!("pods end: {}", names.join(", "))))
    }

    async fn hint(&self) -> String {
        format!(
            "see `kubectl -n {} describe pods`, then run it again",
            self.namespace
        )
    }
}
