//! Whether the primary runs what was promoted. The server gives it a template when it promotes and compares none
//! afterwards, so a change by hand is served by everybody, was never analysed, and is gone with the next promotion.
//! Pure.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::status::Phase;
use serde_json::Value;

use super::Check;

/// What of a pod's spec is compared: all else is made to fit the primary.
const COMPARED: [&str; 3] = ["containers", "initContainers", "volumes"];

/// The revision that the primary should run, where it is at rest.
pub fn expected<'a>(canary: &'a Canary, primary: &Value) -> Option<&'a str> {
    let status = canary.status.as_ref()?;
    let release = status.release.as_ref();
    let recovering = release.is_some_and(|release| release.recovering);
    let at_rest = matches!(
        status.phase,
        Phase::Initialized | Phase::Succeeded | Phase::Failed
    );
    let promoted = status.last_promoted_spec.as_deref()?;
    let annotations = primary.pointer("/metadata/annotations");
    let has = annotations.and_then(|all| all.get(names::REVISION)?.as_str());
    (at_rest && !recovering && has == Some(promoted)).then_some(promoted)
}

/// A primary whose template somebody changed. `kept` is the template that was promoted.
pub fn edited(canary: &Canary, primary: &Value, kept: &Value) -> Option<Check> {
    let live = &primary["spec"]["template"]["spec"];
    let mut found = COMPARED.iter().filter_map(|field| {
        let none = Value::Array(Vec::new());
        let of = |spec: &Value| spec.get(*field).cloned().unwrap_or_else(|| none.clone());
        difference(field, &of(live), &of(&kept["spec"]))
    });
    let what = found.next()?;
    let (name, namespace) = (canary.primary_name(), canary.namespace_name());
    let said = format!(
        "Deployment {name} does not run what was promoted: {what}. It serves everybody and was never analysed"
    );
    let hint = format!(
        "if it was the last change: kubectl rollout undo deployment/{name} -n {namespace}. To keep it, make the same change on Deployment {}: it is a release then, and a promotion overwrites the primary in any case. Who wrote it: kubectl get deployment {name} -n {namespace} -o yaml --show-managed-fields",
        canary.target_name()
    );
    Some(Check::warn("promoted", said).hint(hint))
}

/// The first difference: its place, what is there, and what was promoted.
fn difference(place: &str, live: &Value, kept: &Value) -> Option<String> {
    match (live, kept) {
        (Value::Object(now), Value::Object(then)) => {
            let lost = then.iter().find_map(|(key, then)| {
                let now = now.get(key).unwrap_or(&Value::Null);
                difference(&format!("{place}.{key}"), now, then)
            });
            // A default that the API server has begun to add is nobody's change.
            let added = now
                .iter()
                .filter(|(key, _)| !then.contains_key(key.as_str()));
            let mut added = added.filter(|(_, value)| holds_anything(value));
            lost.or_else(|| added.next().map(|(key, _)| format!("{place}.{key} is new")))
        }
        (Value::Array(now), Value::Array(then)) if now.len() != then.len() => Some(format!(
            "{place} has {} entries, and {} were promoted",
            now.len(),
            then.len()
        )),
        (Value::Array(now), Value::Array(then)) => {
            let mut both = now.iter().zip(then).enumerate();
            both.find_map(|(index, (now, then))| {
                let name = then["name"].as_str().map(str::to_owned);
                let entry = name.unwrap_or_else(|| index.to_string());
                difference(&format!("{place}[{entry}]"), now, then)
            })
        }
        // It has copies of configuration of its own.
        (Value::String(now), Value::String(then))
            if now.starts_with(then.as_str()) && now.ends_with(names::PRIMARY_SUFFIX) =>
        {
            None
        }
        _ if live == kept => None,
        _ => Some(format!("{place} is {live}, and {kept} was promoted")),
    }
}

fn holds_anything(value: &Value) -> bool {
    match value {
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canary(phase: &str) -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": {"name": "podinfo", "namespace": "test"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}},
            "status": {"phase": phase, "lastPromotedSpec": "v2-a"},
        }))
        .unwrap()
    }

    fn kept() -> Value {
        json!({"spec": {
            "containers": [{
                "name": "app", "image": "app:1", "resources": {},
                "envFrom": [{"configMapRef": {"name": "settings"}}],
            }],
            "volumes": [{"name": "keys", "secret": {"secretName": "keys"}}],
        }})
    }

    fn primary(change: impl FnOnce(&mut Value)) -> Value {
        let mut template = kept();
        template["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] =
            json!("settings-primary");
        template["spec"]["containers"][0]["terminationMessagePolicy"] = json!("File");
        template["spec"]["affinity"] = json!({"podAntiAffinity": {}});
        change(&mut template["spec"]);
        json!({
            "metadata": {"annotations": {names::REVISION: "v2-a"}}, "spec": {"template": template},
        })
    }

    #[test]
    fn a_primary_that_somebody_edited_is_told_with_what_differs_and_how_it_goes_back() {
        let canary = canary("Succeeded");
        assert_eq!(edited(&canary, &primary(|_| ()), &kept()), None);
        let image = primary(|spec| spec["containers"][0]["image"] = json!("app:2"));
        let check = edited(&canary, &image, &kept()).unwrap();
        assert!(
            check
                .message
                .contains("containers[app].image is \"app:2\", and \"app:1\" was promoted"),
            "{}",
            check.message
        );
        let hint = check.hint.unwrap();
        assert!(
            hint.contains("kubectl rollout undo deployment/podinfo-primary -n test"),
            "{hint}"
        );
        let env = primary(|spec| spec["containers"][0]["env"] = json!([{"name": "A"}]));
        let said = edited(&canary, &env, &kept()).unwrap().message;
        assert!(said.contains("containers[app].env is new"), "{said}");
        let more = primary(|spec| spec["initContainers"] = json!([{"name": "x"}]));
        let said = edited(&canary, &more, &kept()).unwrap().message;
        assert!(said.contains("initContainers has 1 entries"), "{said}");
    }

    #[test]
    fn only_a_primary_at_rest_is_compared_and_with_what_it_was_given() {
        let live = primary(|_| ());
        assert_eq!(expected(&canary("Succeeded"), &live), Some("v2-a"));
        assert_eq!(expected(&canary("Promoting"), &live), None);
        let mut other = live;
        other["metadata"]["annotations"][names::REVISION] = json!("v2-b");
        assert_eq!(expected(&canary("Succeeded"), &other), None);
    }
}
