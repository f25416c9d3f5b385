//! The cluster's side of the installation.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::Value;
use x509_parser::pem::Pem;

use super::Check;
use crate::render::duration;

/// A leader renews every three seconds, and is replaced after ten.
const STALE_SECONDS: i64 = 30;
/// A certificate is renewed at two thirds of its life.
const SOON_SECONDS: i64 = 7 * 24 * 3600;

/// Kubernetes itself. The policies that hold while the server is down came with 1.30.
pub fn kubernetes(version: &str, server: &str) -> Check {
    let name = "kubernetes";
    let message = format!("{version} at {server}");
    match minor_of(version) {
        Some(minor) if minor < 28 => {
            Check::fail(name, message).hint("kubectl-canary needs Kubernetes 1.28, and 1.30 for its policies")
        }
        Some(28 | 29) => Check::warn(name, message)
            .hint("before 1.30 there are no admission policies: nothing guards requests while the server is down"),
        _ => Check::ok(name, message),
    }
}

/// The minor of `v1.30.2`; of another major none.
fn minor_of(version: &str) -> Option<u32> {
    let rest = version.trim_start_matches('v').strip_prefix("1.")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The definitions that this version installs, beside those that are there: name, and the live object.
pub fn definitions(wanted: &[Value], live: &[(String, Option<Value>)]) -> Check {
    let name = "crds";
    let upgrade = "`kubectl canary install` or `upgrade` applies them";
    let missing: Vec<&str> = live
        .iter()
        .filter(|(_, live)| live.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        return Check::fail(name, format!("not installed: {}", missing.join(", "))).hint(upgrade);
    }
    for (definition, live) in live
        .iter()
        .filter_map(|(name, it)| Some((name, it.as_ref()?)))
    {
        let ours = wanted
            .iter()
            .find(|it| it["metadata"]["name"] == definition.as_str());
        let versions = ours.map(served).unwrap_or_default();
        let there = served(live);
        let lacking = versions.iter().find(|version| !there.contains(version));
        if let Some(version) = lacking {
            return Check::fail(name, format!("{definition} does not serve {version}"))
                .hint(upgrade);
        }
        let established = live["status"]["conditions"].as_array().is_some_and(|all| {
            all.iter()
                .any(|it| it["type"] == "Established" && it["status"] == "True")
        });
        if !established {
            return Check::fail(name, format!("{definition} is not established"))
                .hint(format!("kubectl describe crd {definition}"));
        }
        if definition == "canaries.flagger.app" && !live.to_string().contains("\"lastRequest\"") {
            return Check::fail(
                name,
                "canaries.flagger.app is Flagger's own: it drops what kubectl-canary keeps in status",
            )
            .hint(upgrade);
        }
    }
    let groups = live.iter().map(|(name, _)| name.as_str());
    Check::ok(name, groups.collect::<Vec<_>>().join(", "))
}

fn served(definition: &Value) -> Vec<String> {
    let versions = definition["spec"]["versions"].as_array();
    let served = versions
        .into_iter()
        .flatten()
        .filter(|it| it["served"] == true);
    served
        .filter_map(|it| it["name"].as_str().map(str::to_owned))
        .collect()
}

/// The server's Deployment, and how far its version is from this program's.
pub fn deployment(live: Option<&Value>, version: Option<&str>, plugin: &str) -> Check {
    let name = "server";
    let Some(live) = live else {
        return Check::warn(name, "no Deployment of canary-webhook in this cluster")
            .hint("`kubectl canary install` installs it; one that runs outside is not seen here");
    };
    let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
    let deployment = live["metadata"]["name"].as_str().unwrap_or_default();
    let wanted = live["spec"]["replicas"].as_i64().unwrap_or(1);
    let ready = live["status"]["readyReplicas"].as_i64().unwrap_or(0);
    let version = version.unwrap_or("unknown");
    let message = format!("{version}, {ready} of {wanted} replicas ready in namespace {namespace}");
    let look = format!("kubectl -n {namespace} describe deployment/{deployment}");
    if ready == 0 {
        return Check::fail(name, message).hint(look);
    }
    if ready < wanted {
        return Check::warn(name, message).hint(look);
    }
    let apart = minors(plugin)
        .zip(minors(version))
        .is_some_and(|(ours, theirs)| ours.abs_diff(theirs) > 1);
    if apart {
        return Check::warn(name, format!("{message}; this plugin is {plugin}"))
            .hint("bring the older one of the two to the other's version");
    }
    Check::ok(name, message)
}

/// Majors count as many minors.
pub fn minors(version: &str) -> Option<u32> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    Some(numbers.next()?.ok()? * 1000 + numbers.next()?.ok()?)
}

/// Whether somebody leads, and has lately said so.
pub fn lease(live: Option<&Value>, namespace: &str, now: Timestamp) -> Check {
    let name = "controller";
    let logs = format!("kubectl -n {namespace} logs deployment/canary-webhook");
    let Some(live) = live else {
        return Check::fail(
            name,
            format!("no Lease in namespace {namespace}: no controller has ever led"),
        )
        .hint(logs);
    };
    let holder = live["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let renewed: Option<Timestamp> = live["spec"]["renewTime"]
        .as_str()
        .and_then(|text| text.parse().ok());
    let age = renewed.map(|renewed| now.duration_since(renewed).as_secs());
    match age {
        Some(age) if holder.is_empty() || age > STALE_SECONDS => {
            let who = if holder.is_empty() { "nobody" } else { holder };
            let ago = duration(age);
            Check::fail(
                name,
                format!("nobody leads: the Lease was last renewed {ago} ago, held by {who}"),
            )
            .hint(logs)
        }
        Some(_) => Check::ok(name, format!("{holder} leads")),
        None => Check::fail(name, "the Lease has never been renewed").hint(logs),
    }
}

/// One of the two webhook configurations: that it is there, and that its certificate authority is.
pub fn registration(kind: &str, live: Option<&Value>, now: Timestamp) -> Check {
    let name = "certificate";
    let Some(live) = live else {
        return Check::fail(name, format!("no {kind} named canary-webhook"))
            .hint("`kubectl canary upgrade` registers it again");
    };
    let webhooks = live["webhooks"].as_array();
    let bundles: Vec<Option<Timestamp>> = webhooks
        .into_iter()
        .flatten()
        .map(|webhook| {
            expiry(
                webhook["clientConfig"]["caBundle"]
                    .as_str()
                    .unwrap_or_default(),
            )
        })
        .collect();
    // The first that ends: a webhook behind it is not asked any more.
    let first = bundles.iter().copied().collect::<Option<Vec<_>>>();
    let Some(end) = first.and_then(|all| all.into_iter().min()) else {
        return Check::fail(
            name,
            format!("{kind} canary-webhook has no certificate authority"),
        )
        .hint("the controller writes it: see its logs");
    };
    let left = end.duration_since(now).as_secs();
    let until = format!("the authority in {kind}");
    if left <= 0 {
        Check::fail(name, format!("{until} expired {} ago", duration(-left)))
            .hint("the leader renews it: see its logs")
    } else if left < SOON_SECONDS {
        Check::warn(name, format!("{until} expires in {}", duration(left)))
            .hint("the leader renews it long before: see its logs")
    } else {
        Check::ok(name, format!("{until} is valid for {}", duration(left)))
    }
}

/// When the last certificate of a bundle ends: during a rotation it holds the old one and the new one.
fn expiry(bundle: &str) -> Option<Timestamp> {
    let pem = base64::engine::general_purpose::STANDARD
        .decode(bundle)
        .ok()?;
    let certificates = Pem::iter_from_buffer(&pem).filter_map(Result::ok);
    certificates
        .filter_map(|pem| {
            let end = pem.parse_x509().ok()?.validity().not_after.timestamp();
            Timestamp::from_second(end).ok()
        })
        .max()
}

/// What became of a Canary that only the webhook refuses: none if the API server took it.
pub fn answered(denied: Option<&str>, namespace: &str) -> Check {
    let name = "webhook";
    match denied {
        Some(said) if said.contains("is not supported yet") => {
            Check::ok(name, "answers when the API server asks it")
        }
        Some(said) if said.contains("failed calling webhook") => {
            Check::fail(name, said).hint("is the server up, and does a network policy let the API server reach it?")
        }
        Some(said) => Check::skipped(name, format!("somebody else refused the trial in namespace {namespace}: {said}")),
        None => Check::fail(name, format!("did not answer when the API server asked it in namespace {namespace}"))
            .hint("releases start all the same, but nobody is told why something is refused; see the server's logs and the network policy"),
    }
}

/// Policies and their bindings by name: those that this version installs, and those that are there.
pub fn policies(wanted: &[String], live: &[String]) -> Check {
    let name = "policies";
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|name| !live.contains(name))
        .map(String::as_str)
        .collect();
    match missing.as_slice() {
        [] => Check::ok(
            name,
            format!("{} admission policies and bindings", wanted.len()),
        ),
        [first, ..] => Check::fail(
            name,
            format!(
                "{} of {} are missing, such as {first}",
                missing.len(),
                wanted.len()
            ),
        )
        .hint("`kubectl canary upgrade` applies them again"),
    }
}

/// What the server's `ServiceAccount` may do in the namespace.
pub fn its_rights(account: &str, namespace: &str, rights: &[(&'static str, bool)]) -> Check {
    let name = "its rights";
    let lacking = lacking(rights);
    if lacking.is_empty() {
        let said = format!("ServiceAccount {account} may run releases in namespace {namespace}");
        return Check::ok(name, said);
    }
    let said = format!("ServiceAccount {account} may not {lacking} in namespace {namespace}");
    Check::fail(name, said)
        .hint("no release goes on or back without it; `kubectl canary install` renews all rights")
}

fn lacking(rights: &[(&'static str, bool)]) -> String {
    let lacking = rights.iter().filter(|(_, held)| !held);
    lacking
        .map(|(right, _)| *right)
        .collect::<Vec<_>>()
        .join(", ")
}

/// What this user may do in the namespace.
pub fn rights(namespace: &str, rights: &[(&'static str, bool)]) -> Check {
    let name = "your rights";
    let lacking = lacking(rights);
    if lacking.is_empty() {
        return Check::ok(
            name,
            format!("read, change, promote and roll back in namespace {namespace}"),
        );
    }
    Check::warn(
        name,
        format!("you may not {lacking} in namespace {namespace}"),
    )
    .hint("ClusterRoles canary-viewer, canary-editor and canary-operator hold these rights")
}

#[cfg(test)]
mod tests;
