//! `init`: a Canary for a Deployment, written and not applied.

use serde::Deserialize as _;
use serde_json::Value;

use crate::args::Global;
use crate::args::init::InitArgs;
use crate::client::{self, Cluster};
use crate::draft::{self, Around, Wish};
use crate::env::Env;
use crate::exit::{Error, code};
use crate::files::{self, Depth};
use crate::lint::{self, File, Manifest};
use crate::output::Output;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;

const DEFAULT_NAMESPACE: &str = "default";

pub async fn run(args: &InitArgs, flags: &Global, env: &Env, output: &Output) -> Result<u8, Error> {
    let name = args.target.0.as_str();
    let (around, namespace) = if args.files.is_empty() {
        let cluster = Cluster::connect(flags, env).await?;
        (of_cluster(&cluster, name).await?, cluster.namespace)
    } else {
        of_files(args, flags)?
    };
    let wish = Wish {
        namespace,
        provider: args.provider,
        port: args.service,
        target_port: args.target_port,
        route: args.route.clone(),
        metrics_server: args.metrics_server.clone(),
        metric_template: args.metric_template,
    };
    let text = draft::yaml(&around, &wish)?;
    output.print(&text)?;
    for line in consequences(&text, &around)? {
        anstream::eprintln!("{line}");
    }
    Ok(code::OK)
}

/// Read back from what was written: that is what a person applies.
fn consequences(text: &str, around: &Around) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|error| Error::Api(error.to_string()))?;
        if value["kind"] == "Canary" {
            let canary =
                serde_json::from_value(value).map_err(|error| Error::Api(error.to_string()))?;
            lines.extend(draft::consequences(&canary, around));
        }
    }
    Ok(lines)
}

async fn of_cluster(cluster: &Cluster, name: &str) -> Result<Around, Error> {
    let namespace = cluster.namespace.as_str();
    let deployment = cluster.deployment(name).await?;
    let services = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
    let routes = client::apisix_route("apisix.apache.org/v2");
    Ok(Around {
        deployment,
        services: some(cluster.look_at_all(Some(namespace), &services).await)?,
        routes: some(cluster.look_at_all(Some(namespace), &routes).await)?,
    })
}

/// What may not be read is not known, and can be said by a flag.
fn some(found: Result<Option<Vec<Value>>, Error>) -> Result<Vec<Value>, Error> {
    match found {
        Ok(found) => Ok(found.unwrap_or_default()),
        Err(Error::ReadForbidden(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The objects of the files, in the namespace of the Deployment.
fn of_files(args: &InitArgs, flags: &Global) -> Result<(Around, String), Error> {
    let files: Vec<File> = files::read(&args.files, Depth::Recursive)?
        .into_iter()
        .map(File::from)
        .collect();
    let (manifests, faults) = lint::read(&files);
    let name = args.target.0.as_str();
    let wanted = |it: &&Manifest| it.is("apps", "Deployment") && it.name() == name;
    let Some(deployment) = manifests.iter().find(wanted) else {
        // A file that cannot be read may have held it.
        let fault = faults.first();
        let message = fault.map_or(format!("no Deployment {name} is in these files"), |fault| {
            format!("{}:{}: {}", fault.file, fault.line, fault.message)
        });
        return Err(Error::NoObject {
            message,
            hint: "`kubectl canary lint` shows what is in them; without -f the cluster is asked"
                .to_owned(),
        });
    };
    let there = deployment.namespace();
    let namespace = match (there, &flags.namespace) {
        ("", Some(given)) => given.as_str(),
        ("", None) => DEFAULT_NAMESPACE,
        (there, _) => there,
    };
    let all = |group: &str, kind: &str| -> Vec<Value> {
        let fitting = manifests.iter().filter(|it| {
            it.is(group, kind) && (it.namespace() == there || it.namespace().is_empty())
        });
        fitting.map(|it| it.value().clone()).collect()
    };
    let around = Around {
        deployment: deployment.value().clone(),
        services: all("", "Service"),
        routes: all("apisix.apache.org", "ApisixRoute"),
    };
    Ok((around, namespace.to_owned()))
}
