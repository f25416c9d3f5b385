//! Completion, as kubectl asks for it: `kubectl_complete-canary WORDS…`, or `kubectl-canary __complete WORDS…`.
//!
//! Somebody waits for a key to have its effect: nothing is asked of a person, nothing is complained about, and
//! what the cluster has not said within the budget is left out.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use canary_core::canary::Canary;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;

use crate::client::{self, Cluster};
use crate::complete::{self, Candidate, Filter, Typed, Wanted};
use crate::env::Env;
use crate::exit::{Error, code};
use crate::kubeconfig;
use crate::report::Observed;

/// Less than the second after which a shell feels dead, the start of the process included.
const BUDGET: Duration = Duration::from_millis(800);
/// The name that kubectl looks for.
const PROGRAM: &str = "kubectl_complete-canary";
const VERB: &str = "__complete";

/// The words to complete, if that is what this program was called for.
pub fn asked(words: &[OsString]) -> Option<Vec<String>> {
    let text = |words: &[OsString]| -> Vec<String> {
        let words = words.iter().map(|word| word.to_string_lossy().into_owned());
        words.collect()
    };
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_stem() == Some(OsStr::new(PROGRAM)) {
        return Some(text(rest));
    }
    let (verb, rest) = rest.split_first()?;
    (verb == VERB).then(|| text(rest))
}

/// Prints the candidates; it always succeeds.
pub fn run(words: &[String], env: &Env) -> ExitCode {
    let typed = complete::read(words);
    let candidates = match &typed.wanted {
        Wanted::Fixed(candidates) => candidates.clone(),
        Wanted::Files => Vec::new(),
        Wanted::Contexts => kubeconfig::contexts(&typed.global, env)
            .into_iter()
            .map(|name| Candidate::new(name, None::<&str>))
            .collect(),
        Wanted::Canaries(_) | Wanted::Deployments | Wanted::Namespaces => {
            within_budget(&typed, env)
        }
    };
    // A shell that is gone needs no answer.
    let _ = crate::output::write(&complete::answer(&typed, &candidates));
    ExitCode::from(code::OK)
}

/// On a thread of its own: a credential plugin or a name server may hold it for as long as they like.
fn within_budget(typed: &Typed, env: &Env) -> Vec<Candidate> {
    let (sender, receiver) = mpsc::channel();
    let (flags, wanted, env) = (typed.global.clone(), typed.wanted.clone(), env.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            let names = runtime.block_on(async {
                let cluster = Cluster::connect_unattended(&flags, &env).await?;
                names(&cluster, &wanted).await
            });
            let _ = sender.send(names.unwrap_or_default());
        }
    });
    receiver.recv_timeout(BUDGET).unwrap_or_default()
}

async fn names(cluster: &Cluster, wanted: &Wanted) -> Result<Vec<Candidate>, Error> {
    match wanted {
        Wanted::Canaries(filter) => canaries(cluster, *filter).await,
        Wanted::Deployments => deployments(cluster).await,
        Wanted::Namespaces => {
            let kind = GroupVersionKind::gvk("", "v1", "Namespace");
            let found = cluster
                .look_at_all(None, &ApiResource::from_gvk(&kind))
                .await?;
            let names = found
                .into_iter()
                .flatten()
                .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()));
            Ok(names
                .map(|name| Candidate::new(name, None::<&str>))
                .collect())
        }
        Wanted::Fixed(_) | Wanted::Contexts | Wanted::Files => Ok(Vec::new()),
    }
}

async fn canaries(cluster: &Cluster, filter: Filter) -> Result<Vec<Candidate>, Error> {
    let all = cluster.canaries(Some(&cluster.namespace)).await?;
    let reports = all
        .into_iter()
        .filter_map(|guarded| guarded.0.ok())
        .map(|canary| Observed::alone(canary).report());
    let mut found: Vec<_> = reports
        .filter_map(|report| complete::canary(&report, filter))
        .collect();
    found.sort();
    Ok(found)
}

/// Those first that a Canary releases; generated ones are nobody's to change.
async fn deployments(cluster: &Cluster) -> Result<Vec<Candidate>, Error> {
    let canaries = cluster.canaries(Some(&cluster.namespace)).await?;
    let canaries: Vec<_> = canaries
        .into_iter()
        .filter_map(|guarded| guarded.0.ok())
        .collect();
    let generated: BTreeSet<String> = canaries.iter().map(Canary::primary_name).collect();
    let found = cluster
        .look_at_all(Some(&cluster.namespace), &client::deployment())
        .await?;
    let mut names: Vec<_> = found
        .into_iter()
        .flatten()
        .filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()))
        .filter(|name| !generated.contains(name))
        .map(|name| {
            let canary = canaries.iter().find(|it| it.target_name() == name);
            let about = canary.map(|it| format!("released by Canary {}", it.id()));
            Candidate::new(format!("deployment/{name}"), about)
        })
        .collect();
    names.sort_by_key(|it| (it.about.is_empty(), it.text.clone()));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<Vec<String>> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        asked(&words)
    }

    #[test]
    fn kubectl_asks_by_the_name_of_the_program_and_shells_by_a_verb() {
        let words = Some(vec!["pause".to_owned(), String::new()]);
        assert_eq!(
            of(&["/usr/bin/kubectl_complete-canary", "pause", ""]),
            words
        );
        assert_eq!(of(&["kubectl_complete-canary.exe", "pause", ""]), words);
        assert_eq!(of(&["kubectl-canary", "__complete", "pause", ""]), words);
        assert_eq!(of(&["kubectl-canary", "pause", "__complete"]), None);
        assert_eq!(of(&["kubectl-canary"]), None);
        assert_eq!(of(&[]), None);
    }
}
