//! What a pod template refers to: its ConfigMaps and Secrets, and whether a pod starts without them.

use std::collections::BTreeSet;

use serde_json::Value;

/// Where a template names configuration: the pointer of the name relative to its holder, and whether it is a Secret.
const VOLUME: [(&str, bool); 2] = [("/configMap/name", false), ("/secret/secretName", true)];
const PROJECTED: [(&str, bool); 2] = [("/configMap/name", false), ("/secret/name", true)];
const ENV: [(&str, bool); 2] = [
    ("/valueFrom/configMapKeyRef/name", false),
    ("/valueFrom/secretKeyRef/name", true),
];
const ENV_FROM: [(&str, bool); 2] = [("/configMapRef/name", false), ("/secretRef/name", true)];

/// One place of a template that names configuration.
pub struct Use<'a> {
    pub name: &'a mut String,
    pub secret: bool,
    /// A pod starts without it.
    pub optional: bool,
}

/// Calls `visit` with each use of configuration in the template.
pub fn visit(template: &mut Value, mut visit: impl FnMut(Use<'_>)) {
    let mut each = |holders: Option<&mut Value>, names: &[(&str, bool)]| {
        let holders = holders.and_then(Value::as_array_mut);
        for holder in holders.into_iter().flatten() {
            for (pointer, secret) in names {
                let beside = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                let beside = holder.pointer(beside);
                let optional = beside.is_some_and(|it| it["optional"] == true);
                if let Some(Value::String(name)) = holder.pointer_mut(pointer) {
                    visit(Use {
                        name,
                        secret: *secret,
                        optional,
                    });
                }
            }
        }
    };
    each(template.pointer_mut("/spec/volumes"), &VOLUME);
    let volumes = template.pointer_mut("/spec/volumes");
    for volume in volumes.and_then(Value::as_array_mut).into_iter().flatten() {
        each(volume.pointer_mut("/projected/sources"), &PROJECTED);
    }
    for containers in ["/spec/containers", "/spec/initContainers"] {
        let containers = template.pointer_mut(containers);
        let containers = containers.and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            each(container.get_mut("env"), &ENV);
            each(container.get_mut("envFrom"), &ENV_FROM);
        }
    }
}

/// Those without which no pod of the template starts: whether it is a Secret, and its name.
pub fn mandatory(template: &Value) -> BTreeSet<(bool, String)> {
    let mut found = BTreeSet::new();
    visit(&mut template.clone(), |it| {
        if !it.optional {
            found.insert((it.secret, it.name.clone()));
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(template: &Value) -> Vec<String> {
        let all = mandatory(template).into_iter();
        all.map(|(secret, name)| format!("{}{name}", if secret { "!" } else { "" }))
            .collect()
    }

    #[test]
    fn a_reference_is_mandatory_if_one_of_its_uses_is() {
        let mut template = json!({ "spec": {
            "volumes": [
                { "configMap": { "name": "files" } }, { "secret": { "secretName": "keys" } },
                { "projected": { "sources": [{ "configMap": { "name": "more" } }, { "secret": { "name": "certs" } }] } },
            ],
            "initContainers": [{ "envFrom": [{ "configMapRef": { "name": "start" } }] }],
            "containers": [{
                "env": [
                    { "valueFrom": { "configMapKeyRef": { "name": "colors", "key": "c" } } },
                    { "valueFrom": { "secretKeyRef": { "name": "token", "key": "t" } } },
                ],
                "envFrom": [{ "secretRef": { "name": "env" } }],
            }],
        } });
        let all = [
            "colors", "files", "more", "start", "!certs", "!env", "!keys", "!token",
        ];
        assert_eq!(names(&template), all);
        for pointer in [
            "/spec/volumes/0/configMap",
            "/spec/volumes/1/secret",
            "/spec/volumes/2/projected/sources/0/configMap",
            "/spec/containers/0/env/0/valueFrom/configMapKeyRef",
            "/spec/containers/0/envFrom/0/secretRef",
        ] {
            template.pointer_mut(pointer).unwrap()["optional"] = json!(true);
        }
        // Another use of the same, which needs it.
        template["spec"]["containers"][0]["env"][1]["valueFrom"]["secretKeyRef"]["name"] =
            json!("keys");
        assert_eq!(names(&template), ["start", "!certs", "!keys"]);
    }
}
