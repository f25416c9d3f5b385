//! `version`: the plugin's, and what the cluster shows of its side.

use canary_core::names;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde::Serialize;

use crate::args::{Global, VersionArgs};
use crate::client::Cluster;
use crate::doctor::server::minors;
use crate::env::Env;
use crate::exit::{Error, code};
use crate::output::Output;

const CLIENT: &str = env!("CARGO_PKG_VERSION");
const CRD: &str = "canaries.flagger.app";
const CONTROLLER: &str = "app.kubernetes.io/name=canary-webhook";

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
    /// Something that a person should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    kubernetes: String,
    crd: Crd,
    /// None where it is not in the cluster, or not visible to this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
enum Crd {
    #[default]
    Unknown,
    Missing,
    /// Without the fields that releases and requests need.
    Flagger,
    Installed,
}

pub async fn run(
    args: &VersionArgs,
    flags: &Global,
    env: &Env,
    output: &Output,
) -> Result<u8, Error> {
    let mut versions = Versions {
        client: CLIENT.to_owned(),
        ..Versions::default()
    };
    let asked = if args.client {
        Ok(None)
    } else {
        server(flags, env).await.map(Some)
    };
    let failed = match asked {
        Ok(server) => {
            versions.warning = server.as_ref().and_then(|server| warning(CLIENT, server));
            versions.server = server;
            None
        }
        Err(error) => Some(error),
    };
    match &args.output {
        Some(format) => output.machine(format, &versions)?,
        None => output.print(&text(&versions))?,
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(code::OK),
    }
}

async fn server(flags: &Global, env: &Env) -> Result<Server, Error> {
    let cluster = Cluster::connect(flags, env).await?;
    let kubernetes = cluster.server_version().await?;
    let (crd, controller) = futures::future::join(crd(&cluster), controller(&cluster)).await;
    Ok(Server {
        kubernetes,
        crd,
        controller,
    })
}

async fn crd(cluster: &Cluster) -> Crd {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    match cluster.find(None, CRD, &ApiResource::from_gvk(&kind)).await {
        Ok(None) => Crd::Missing,
        Ok(Some(crd)) if crd.data.to_string().contains("\"lastRequest\"") => Crd::Installed,
        Ok(Some(_)) => Crd::Flagger,
        // Reading definitions is a right of its own; the resource itself tells as much.
        Err(_) => match cluster.canaries(Some(&cluster.namespace)).await {
            Err(Error::NoCrd) => Crd::Missing,
            _ => Crd::Unknown,
        },
    }
}

/// By the image's tag of the Deployment that our manifests install.
async fn controller(cluster: &Cluster) -> Option<String> {
    let found = cluster
        .list_labelled(CONTROLLER, &crate::client::deployment())
        .await
        .ok()?;
    let containers = found
        .first()?
        .data
        .pointer("/spec/template/spec/containers")?
        .as_array()?;
    let image = containers
        .iter()
        .find_map(|container| container.get("image")?.as_str())?;
    Some(tag(image))
}

/// The version in an image's name.
pub fn tag(image: &str) -> String {
    let tag = image
        .split('@')
        .next()
        .and_then(|image| image.rsplit_once(':'))
        .map(|(_, tag)| tag)
        .filter(|tag| !tag.contains('/'));
    tag.unwrap_or("unknown").trim_start_matches('v').to_owned()
}

fn warning(client: &str, server: &Server) -> Option<String> {
    match server.crd {
        Crd::Missing => Some("the Canary CRD is not installed".to_owned()),
        Crd::Flagger => Some(format!(
            "the CRD is Flagger's own: it drops what {} keeps in status; apply kubectl-canary's CRDs",
            names::FIELD_MANAGER
        )),
        Crd::Unknown | Crd::Installed => {
            let controller = server.controller.as_deref()?;
            let skew = minors(client)?.abs_diff(minors(controller)?);
            (skew > 1).then(|| format!("plugin {client} and controller {controller} are more than one minor version apart"))
        }
    }
}

fn text(versions: &Versions) -> String {
    let mut rows = vec![("plugin", versions.client.as_str())];
    if let Some(server) = &versions.server {
        let crd = match server.crd {
            Crd::Unknown => "not visible to this user",
            Crd::Missing => "not installed",
            Crd::Flagger => "flagger.app/v1beta1 (Flagger's own)",
            Crd::Installed => "flagger.app/v1beta1",
        };
        let controller = server
            .controller
            .as_deref()
            .unwrap_or("not found in the cluster");
        rows.extend([
            ("controller", controller),
            ("crd", crd),
            ("kubernetes", &server.kubernetes),
        ]);
    }
    rows.extend(
        versions
            .warning
            .as_deref()
            .map(|warning| ("warning", warning)),
    );
    rows.into_iter().fold(String::new(), |text, (what, said)| {
        text + &format!("{what:<12} {said}\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_minor_version_apart_is_worth_a_warning() {
        let server = |version: &str| Server {
            crd: Crd::Installed,
            controller: Some(version.into()),
            ..Server::default()
        };
        for (client, controller, warned) in [
            ("0.1.0", "0.1.9", false),
            ("0.1.0", "0.2.0", false),
            ("0.1.0", "0.3.0", true),
            ("1.0.0", "2.0.0", true),
            ("0.1.0", "latest", false),
        ] {
            assert_eq!(
                warning(client, &server(controller)).is_some(),
                warned,
                "{client} {controller}"
            );
        }
    }

    #[test]
    fn the_cluster_s_side_is_shown_as_far_as_it_is_visible() {
        let server = Server {
            kubernetes: "v1.36.3".into(),
            crd: Crd::Flagger,
            controller: None,
        };
        let warning = warning("0.1.0", &server);
        let text = text(&Versions {
            client: "0.1.0".into(),
            server: Some(server),
            warning,
        });
        insta::assert_snapshot!(text, @r"
        plugin       0.1.0
        controller   not found in the cluster
        crd          flagger.app/v1beta1 (Flagger's own)
        kubernetes   v1.36.3
        warning      the CRD is Flagger's own: it drops what kubectl-canary keeps in status; apply kubectl-canary's CRDs
        ");
    }
}
