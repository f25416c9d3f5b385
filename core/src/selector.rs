//! By which labels the pods of the two sides are told apart, and found. Pure.
//!
//! ```text
//!  target   {app: web,         component: a}   all labels that the target selects by
//!  primary  {app: web-primary, component: a}   the same with one suffixed, or what the one that exists has
//! ```
//! A Deployment's selector cannot be changed. What was generated yesterday is therefore never computed
//! from the target or the flags of today: a primary that exists says itself by what it is found.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::names;

pub type Labels = BTreeMap<String, String>;

/// Flagger's default of `--selector-labels`, and ours.
pub const ORDER: [&str; 3] = ["app", "name", "app.kubernetes.io/name"];

/// The labels of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    key: String,
    target: Labels,
    primary: Labels,
    serving: Labels,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The target selects by none of the labels that may be suffixed.
    #[error("spec.selector.matchLabels must contain one of [{0}]")]
    Missing(String),
    /// The target would select the pods of the primary that exists, or the primary those of the target.
    #[error("its selector {target} and that of its primary, {primary}, may match the same pods")]
    NotApart { target: String, primary: String },
}

// === impl Selector ===

impl Selector {
    /// Of a target, and of the primary that exists. Without one: of the primary that will be made, of
    /// which the first label of `order` is suffixed.
    pub fn of(
        target: &Labels,
        primary: Option<&Labels>,
        order: &[String],
    ) -> Result<Self, Trouble> {
        match primary {
            Some(primary) => Self::pinned(target, primary),
            None => Self::planned(target, order),
        }
    }

    /// Of a primary whose target is gone: it is found as before, and there is nothing to tell it from.
    pub fn of_primary(primary: &Labels) -> Self {
        Self {
            key: primary.keys().next().cloned().unwrap_or_default(),
            target: Labels::new(),
            primary: primary.clone(),
            serving: primary.clone(),
        }
    }

    fn planned(target: &Labels, order: &[String]) -> Result<Self, Trouble> {
        let key = order.iter().find(|key| target.contains_key(*key));
        let key = key.ok_or_else(|| Trouble::Missing(order.join(" ")))?;
        let mut primary = target.clone();
        if let Some(value) = primary.get_mut(key) {
            *value = names::primary_value(value);
        }
        Ok(Self {
            key: key.clone(),
            target: target.clone(),
            serving: primary.clone(),
            primary,
        })
    }

    fn pinned(target: &Labels, primary: &Labels) -> Result<Self, Trouble> {
        let key = telling_key(target, primary).ok_or_else(|| Trouble::NotApart {
            target: shown(target),
            primary: shown(primary),
        })?;
        Ok(Self {
            key: key.to_owned(),
            target: target.clone(),
            primary: primary.clone(),
            serving: primary.clone(),
        })
    }

    /// The Services of the primary select by all labels if all its pods have them. `pods` are those of
    /// its template, and `all` says whether every pod is of that template.
    #[must_use]
    pub fn serving_by_all(mut self, pods: &Labels, all: bool) -> Self {
        let wide = self.all();
        if all && selects(&wide, pods) {
            self.serving = wide;
        }
        self
    }

    /// The label whose value tells the two sides apart.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the target's pods are found by.
    pub const fn target(&self) -> &Labels {
        &self.target
    }

    /// What the primary selects its pods by.
    pub const fn primary(&self) -> &Labels {
        &self.primary
    }

    /// What the Services of the primary select by.
    pub const fn serving(&self) -> &Labels {
        &self.serving
    }

    /// What the primary's pods would be found by if it had been made today.
    pub fn all(&self) -> Labels {
        let mut all = self.target.clone();
        all.extend(self.primary.clone());
        all
    }

    /// A Service that selects so sends requests to the primary alone: no hand has changed it.
    pub fn is_of_primary(&self, selector: &Labels) -> bool {
        *selector == self.serving || *selector == self.primary || *selector == self.all()
    }

    /// Labels that the two sides have with different values: key, the target's, the primary's.
    pub fn differing(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.primary.iter().filter_map(|(key, primary)| {
            let target = self.target.get(key)?;
            (target != primary).then_some((key.as_str(), target.as_str(), primary.as_str()))
        })
    }
}

/// A label that both have, with different values. As long as there is one, neither finds the other's
/// pods, whatever else these have. The one that was suffixed comes first; flags have no say in it.
fn telling_key<'a>(target: &Labels, primary: &'a Labels) -> Option<&'a str> {
    let rank = |(key, value): &(&String, &String)| {
        let suffixed = target.get(*key).map(|it| names::primary_value(it)).as_ref() == Some(*value);
        (!suffixed, !value.ends_with(names::PRIMARY_SUFFIX))
    };
    let differs = |(key, value): &(&String, &String)| {
        target
            .get(*key)
            .is_some_and(|of_target| of_target != *value)
    };
    let found = primary.iter().filter(differs).min_by_key(rank);
    found.map(|(key, _)| key.as_str())
}

/// Whether a selector finds pods with these labels; an empty one finds none.
pub fn selects(selector: &Labels, pods: &Labels) -> bool {
    let has = |(key, value): (&String, &String)| pods.get(key) == Some(value);
    !selector.is_empty() && selector.iter().all(has)
}

/// The labels that a `LabelSelector` asks for. An expression with one value is one of them; others a
/// Service could not say.
pub fn labels_of(selector: Option<&Value>) -> Labels {
    let strings = selector.and_then(|selector| selector["matchLabels"].as_object());
    let mut labels: Labels = strings
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let expressions = selector.and_then(|selector| selector["matchExpressions"].as_array());
    for expression in expressions.into_iter().flatten() {
        if expression["operator"] == "In"
            && let (Some(key), Some([value])) = (
                expression["key"].as_str(),
                expression["values"].as_array().map(Vec::as_slice),
            )
            && let Some(value) = value.as_str()
        {
            let known = labels.entry(key.to_owned());
            known.or_insert_with(|| value.to_owned());
        }
    }
    labels
}

/// Whether a `LabelSelector` finds pods with these labels. One without anything in it finds all, and none at
/// all finds none.
pub fn matches(selector: &Value, pods: &Labels) -> bool {
    let Some(parts) = selector.as_object() else {
        return false;
    };
    let labels = plain(parts.get("matchLabels"));
    let expressions = parts.get("matchExpressions").and_then(Value::as_array);
    let mut expressions = expressions.into_iter().flatten();
    labels
        .iter()
        .all(|(key, value)| pods.get(key) == Some(value))
        && expressions.all(|expression| holds(expression, pods))
}

fn holds(expression: &Value, pods: &Labels) -> bool {
    let value = pods.get(expression["key"].as_str().unwrap_or_default());
    let listed = || {
        let values = expression["values"].as_array();
        let mut values = values.into_iter().flatten().filter_map(Value::as_str);
        value.is_some_and(|value| values.any(|one| one == value))
    };
    match expression["operator"].as_str() {
        Some("In") => listed(),
        Some("NotIn") => !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => false,
    }
}

fn plain(map: Option<&Value>) -> Labels {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// As kubectl writes a selector: `app=web,tier=front`.
pub fn shown(labels: &Labels) -> String {
    let all: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    all.join(",")
}

#[cfg(test)]
mod tests;
