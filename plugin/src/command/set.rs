//! `set image`: the change that starts a release, and the release to its end.
//!
//! ```text
//!  Deployment, its Canary ─► change (pure) ─► patch ─► watch until that release has ended
//! ```

use canary_core::canary::Canary;
use serde_json::{Value, json};

use super::started;
use crate::args::set::{NewImage, SetImageArgs};
use crate::args::verbs::DryRun;
use crate::client::{Author, Cluster, explained};
use crate::exit::{Error, code};
use crate::follow::Follower;
use crate::output::Output;
use crate::report::created;

pub async fn image(args: &SetImageArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let (namespace, name) = (cluster.namespace.as_str(), args.target.0.as_str());
    let live = cluster.deployment(name).await?;
    let canary = canary_of(cluster, name).await?;
    let canary_name = canary.metadata.name.as_deref().unwrap_or_default();
    let Some(patch) = change(&live, &args.images)? else {
        output.print(&format!("deployment.apps/{name} unchanged\n"))?;
        return Ok(code::OK);
    };
    let patch = explained(patch, args.reason.as_deref());
    let dry = args.dry_run;
    // Looked at before the change: the release that it starts has another number than the last one now.
    let mut follower = if args.wait && dry == DryRun::None {
        Some(Follower::start(cluster, namespace, canary_name).await?)
    } else {
        None
    };
    let changed = started::change(cluster, (&canary, Author::SetImage), &patch, dry).await;
    changed.map_err(|error| error.of(&canary.id()))?;
    let said = dry.suffix();
    output.print(&format!("deployment.apps/{name} image updated{said}\n"))?;
    match &mut follower {
        Some(follower) => Box::pin(started::follow(follower, cluster, args.timeout, output)).await,
        None => Ok(code::OK),
    }
}

/// The Canary whose target it is; of several the older one acts.
async fn canary_of(cluster: &Cluster, target: &str) -> Result<Canary, Error> {
    let namespace = cluster.namespace.as_str();
    let canaries = cluster.readable_canaries(Some(namespace)).await?;
    let releases = |canary: &Canary| {
        canary.spec.target_ref.kind == "Deployment" && canary.target_name() == target
    };
    let oldest = canaries
        .into_iter()
        .filter(releases)
        .min_by_key(|canary| created(&canary.metadata));
    oldest.ok_or_else(|| Error::NoObject {
        message: format!("no Canary releases deployment {namespace}/{target}"),
        hint: format!("kubectl canary init deployment/{target} -n {namespace}; without a release: kubectl set image"),
    })
}

/// The patch that gives containers their images; none if they have them.
fn change(live: &Value, images: &[NewImage]) -> Result<Option<Value>, Error> {
    let mut patch = json!({});
    let mut there = Vec::new();
    let mut known = vec![false; images.len()];
    let mut changed = false;
    for list in ["containers", "initContainers"] {
        let containers = live["spec"]["template"]["spec"][list].as_array();
        let mut entries = Vec::new();
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            there.push(name);
            for (index, new) in images.iter().enumerate() {
                if new.container != name && new.container != "*" {
                    continue;
                }
                known[index] = true;
                changed |= container["image"] != new.image.as_str();
                entries.push(json!({"name": name, "image": new.image}));
            }
        }
        if !entries.is_empty() {
            patch["spec"]["template"]["spec"][list] = Value::Array(entries);
        }
    }
    if let Some(unknown) = known.iter().position(|known| !known) {
        return Err(Error::Usage(format!(
            "deployment {} has no container {:?}: it has {}",
            live["metadata"]["name"].as_str().unwrap_or_default(),
            images[unknown].container,
            there.join(", ")
        )));
    }
    Ok(changed.then_some(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"template": {"spec": {
            "containers": [{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}],
            "initContainers": [{"name": "setup", "image": "setup:1"}],
        }}}})
    }

    fn patch(images: &[&str]) -> Result<Option<Value>, Error> {
        let images: Vec<NewImage> = images.iter().map(|it| it.parse().unwrap()).collect();
        change(&live(), &images).map(|patch| patch.map(|it| it["spec"]["template"]["spec"].clone()))
    }

    #[test]
    fn the_patch_is_kubectl_s() {
        assert_eq!(
            patch(&["app=app:2"]).unwrap(),
            Some(json!({"containers": [{"name": "app", "image": "app:2"}]}))
        );
        assert_eq!(
            patch(&["setup=setup:2", "proxy=proxy:2"]).unwrap(),
            Some(json!({
                "containers": [{"name": "proxy", "image": "proxy:2"}],
                "initContainers": [{"name": "setup", "image": "setup:2"}],
            }))
        );
        assert_eq!(
            patch(&["*=x:1"]).unwrap().unwrap()["containers"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn an_image_that_is_there_is_no_change_and_an_unknown_container_an_error() {
        assert_eq!(patch(&["app=app:1"]).unwrap(), None);
        let error = patch(&["app=app:2", "web=x:1"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "deployment web has no container \"web\": it has app, proxy, setup"
        );
    }
}
