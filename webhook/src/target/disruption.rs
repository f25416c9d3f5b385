//! `<pdb>-primary`: the target's `PodDisruptionBudget`, for the primary's pods.
//!
//! ```text
//!  matches the target's pods   the primary's    ─► the primary has
//!  one                         none             a copy of it, with the primary's label in its selector
//!  one                         itself, another  none: with two, no pod could be evicted
//!  several                     –                none, and a warning: nobody knows which counts
//! ```

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{Labels, Selector, matches};
use serde_json::{Value, json};

use crate::target::config::own_copy;
use crate::target::generated::{is_generated, is_marked, own};
use crate::target::untracked;

/// What the name of an object may have at most.
const LONGEST_NAME: usize = 253;

/// The budget that the primary is to have beside those of the user.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Nothing,
    Copy(Box<Value>),
    /// The target's pods are covered, and the primary's cannot be: why, and what helps.
    Impossible(String),
}

/// What the budgets of the namespace come to. `target` and `primary` are the labels of the two sides' pods.
pub fn wanted(
    canary: &Canary,
    selector: &Selector,
    target: &Labels,
    primary: &Labels,
    all: &[&Value],
) -> Wanted {
    let of = |budget: &Value, pods: &Labels| matches(&budget["spec"]["selector"], pods);
    // What other Canaries were given is theirs, and counts where it finds our pods.
    let own = |budget: &&&Value| !is_generated(budget, canary);
    if all.iter().filter(own).any(|budget| of(budget, primary)) {
        return Wanted::Nothing;
    }
    let sources = all.iter().filter(own);
    let sources: Vec<&Value> = sources
        .filter(|budget| !is_marked(budget) && of(budget, target))
        .copied()
        .collect();
    match sources.as_slice() {
        [] => Wanted::Nothing,
        [source] => copy(canary, selector, (target, primary), source),
        several => Wanted::Impossible(format!(
            "PodDisruptionBudgets {} all cover the pods of {}, of which then none can be evicted, and {} has none: keep one of them",
            names_of(several),
            canary.target_name(),
            canary.primary_name(),
        )),
    }
}

fn names_of(budgets: &[&Value]) -> String {
    let mut names: Vec<&str> = budgets.iter().filter_map(|it| name_of(it)).collect();
    names.sort_unstable();
    names.join(", ")
}

fn name_of(budget: &Value) -> Option<&str> {
    budget["metadata"]["name"].as_str()
}

fn copy(
    canary: &Canary,
    selector: &Selector,
    (target, primary): (&Labels, &Labels),
    source: &Value,
) -> Wanted {
    let name = name_of(source).unwrap_or_default();
    let copied = names::primary_of(name);
    let mut spec = source["spec"].clone();
    for (key, of_target, of_primary) in selector.differing() {
        rewrite(&mut spec["selector"], key, of_target, of_primary);
    }
    let found = matches(&spec["selector"], primary) && !matches(&spec["selector"], target);
    if !found || copied.len() > LONGEST_NAME {
        let why = if found {
            format!("a copy of it would have too long a name, {copied}")
        } else {
            format!(
                "only {} in matchLabels and in operator In can be made to speak of the primary",
                selector.key()
            )
        };
        return Wanted::Impossible(format!(
            "PodDisruptionBudget {name} covers the pods of {} and not those of {}, and no copy can be made of it: {why}. Make one that selects {}",
            canary.target_name(),
            canary.primary_name(),
            canary_core::selector::shown(selector.primary()),
        ));
    }
    let object = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": copied,
            "namespace": canary.metadata.namespace,
            "labels": untracked(source["metadata"]["labels"].as_object()),
            "annotations": untracked(source["metadata"]["annotations"].as_object()),
        },
        "spec": spec,
    });
    Wanted::Copy(Box::new(own(object, canary)))
}

/// The same copy where the usual name is another Canary's. A name that is too long stays as it was, and is refused.
pub fn with_own_name(canary: &Canary, copy: &Value) -> Value {
    let mut apart = copy.clone();
    let usual = name_of(copy).unwrap_or_default();
    let source = usual.strip_suffix(names::PRIMARY_SUFFIX).unwrap_or(usual);
    let own = own_copy(canary, source);
    if own.len() <= LONGEST_NAME {
        apart["metadata"]["name"] = json!(own);
    }
    apart
}

/// Where the selector asks for the target's value of the label it asks for the primary's.
fn rewrite(selector: &mut Value, key: &str, target: &str, primary: &str) {
    let labels = selector
        .get_mut("matchLabels")
        .and_then(Value::as_object_mut);
    if let Some(value) = labels.and_then(|labels| labels.get_mut(key))
        && *value == target
    {
        *value = json!(primary);
    }
    let expressions = selector
        .get_mut("matchExpressions")
        .and_then(Value::as_array_mut);
    for expression in expressions.into_iter().flatten() {
        let listed = expression["values"].as_array();
        let lists = listed.is_some_and(|values| values.iter().any(|value| value == target));
        if expression["key"] == key && expression["operator"] == "In" && lists {
            // The others are other applications, whose pods the first budget covers.
            expression["values"] = json!([primary]);
        }
    }
}

#[cfg(test)]
mod tests;
