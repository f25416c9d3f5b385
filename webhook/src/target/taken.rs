//! A Service of the user's own that leads to the primary for as long as there is a Canary.
//!
//! ```text
//!  theirs ─► taken over: the primary's selector, ports that it lacks ─► given back: what is ours goes, and what
//!            an annotation notes what was theirs, and what is ours       is theirs stays, whenever it came
//! ```
//! What the user applies meanwhile is theirs too: a port, or another selector. All of it pure.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{Labels, Selector, selects};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::target::applied::Applied;
use crate::target::ports::{self, is_same};
use crate::target::service::{leads_to_primary, ports as ports_of};
use crate::target::view::strings;
use crate::target::{generated, untracked, whole};

/// What the annotation of such a Service says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// To be put back.
    selector: Value,
    /// To be put back; an older version did not touch any.
    annotations: Map<String, Value>,
    /// Numbers and protocols of the ports that we added.
    added: Vec<Value>,
    /// Names that we gave to ports of theirs, because several ports need names.
    named: Vec<String>,
    /// An older version noted the ports that were there instead of those that it added.
    #[serde(skip_serializing)]
    ports: Option<Vec<Value>>,
}

/// What a Service is to become.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The apex as it would be if it were ours.
    pub desired: &'a Value,
    pub selector: &'a Selector,
    /// Labels of the target's pods.
    pub pods: &'a Labels,
}

// === impl Note ===

impl Note {
    fn of(live: &Value) -> Option<Self> {
        let annotations = live.pointer("/metadata/annotations")?;
        let text = annotations.get(names::ORIGINAL_SERVICE)?.as_str()?;
        Some(serde_json::from_str(text).unwrap_or_default())
    }

    /// Of a Service that nobody has taken over yet.
    fn new(live: &Value) -> Self {
        let annotation = |(key, _): (&str, &str)| {
            let before = live["metadata"]["annotations"][key].clone();
            (key.to_owned(), before)
        };
        let told = [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION];
        Self {
            selector: live["spec"]["selector"].clone(),
            annotations: told.map(annotation).into_iter().collect(),
            ..Self::default()
        }
    }

    /// What an older version took over: of what came since, a port that the Canary asks for is ours, or one that
    /// has a name of ours.
    fn brought_up_to_date(mut self, live: &Value, wanted: &[Value]) -> Self {
        let Some(before) = self.ports.take() else {
            return self;
        };
        let has = |all: &[Value], port: &Value| all.iter().any(|it| is_same(it, port));
        let ours = |port: &&Value| {
            let name = port["name"].as_str().unwrap_or_default();
            !has(&before, port) && (has(wanted, port) || name == name_beside(port))
        };
        self.added = ports_of(live).iter().filter(ours).map(key).collect();
        let unnamed = before.iter().enumerate();
        let unnamed = unnamed.filter(|(_, port)| port["name"].as_str().is_none_or(str::is_empty));
        self.named = unnamed.map(|(index, _)| name_of(index)).collect();
        self
    }

    /// Whether a port of the Service is ours. One that its owner applies since is not any more.
    fn added(&self, live: &Value, port: &Value) -> bool {
        let applied = Applied::of(live).unwrap_or_default();
        let added = self.added.iter().any(|ours| is_same(ours, port));
        added && !applied.ports().iter().any(|it| is_same(it, port))
    }
}

/// The ports that are ours, of a Service of the user's.
pub fn with_ports_of_ours(live: &Value, desired: &Value) -> Value {
    let note = Note::of(live).map(|note| note.brought_up_to_date(live, ports_of(desired)));
    let note = note.unwrap_or_default();
    let mut ours = live.clone();
    if let Some(ports) = ours["spec"]["ports"].as_array_mut() {
        ports.retain(|port| note.added(live, port));
    }
    ours
}

/// A user's own apex Service, taken over: its selector becomes the primary's, a port that it lacks is added, one of
/// ours that nobody asks for goes, and what it was is kept to be put back one day. None if it is so already.
pub fn takeover_patch(live: &Value, wanted: Wanted<'_>) -> Option<Value> {
    let noted = Note::of(live);
    let mut note = noted.clone().unwrap_or_else(|| Note::new(live));
    note = note.brought_up_to_date(live, ports_of(wanted.desired));
    if noted.is_some() && !leads_to_primary(live, wanted.selector) {
        let theirs = Applied::selector_of(live);
        if selects(&strings(Some(&theirs)), wanted.pods) {
            note.selector = theirs;
        }
    }
    let ports = all_ports(live, ports_of(wanted.desired), &mut note);
    let to = &wanted.desired["spec"]["selector"];
    let spec_is_so = live["spec"]["selector"] == *to && are_the_same(&ports, ports_of(live));
    // One that was never ours, and is as it should be, is left alone.
    if spec_is_so && noted.is_none_or(|noted| noted == note) {
        return None;
    }
    let mut patch = json!({ "metadata": remembering(live, &note), "spec": {} });
    if !spec_is_so {
        patch["spec"]["selector"] = replaced(&live["spec"]["selector"], to);
        patch["spec"]["ports"] = json!(ports);
    }
    Some(patch)
}

/// An apex Service that was made for the Canary, and that somebody has applied since: it is theirs from now on,
/// taken over as any of theirs is.
pub fn claim_patch(live: &Value, canary: &Canary, wanted: Wanted<'_>) -> Value {
    let applied = Applied::of(live).unwrap_or_default();
    let known = Note::of(live).map(|note| note.brought_up_to_date(live, ports_of(wanted.desired)));
    let fresh = known.is_none();
    let mut note = known.unwrap_or_else(|| Note::new(live));
    if fresh || !leads_to_primary(live, wanted.selector) {
        note.selector = Applied::selector_of(live);
    }
    if !selects(&strings(Some(&note.selector)), wanted.pods) {
        note.selector = json!(wanted.selector.target());
    }
    for (key, before) in note.annotations.iter_mut().filter(|_| fresh) {
        *before = applied.annotation(key).cloned().unwrap_or_default();
    }
    // Of a tool that does not say what it applied, all that is there is taken for its own.
    if fresh && !applied.ports().is_empty() {
        let theirs = |port: &&Value| applied.ports().iter().any(|it| is_same(it, port));
        let ours = ports_of(live).iter().filter(|port| !theirs(port));
        note.added = ours.map(key).collect();
    }
    let ports = all_ports(live, ports_of(wanted.desired), &mut note);
    let mut metadata = generated::freed(live, canary);
    let ours = whole::metadata_of_ours(live);
    for label in ours.labels.iter().filter(|key| !applied.has_label(key)) {
        metadata["labels"][label] = Value::Null;
    }
    let told = note.annotations.keys().cloned().collect::<Vec<_>>();
    for annotation in ours.annotations {
        if applied.annotation(&annotation).is_none() && !told.contains(&annotation) {
            metadata["annotations"][annotation] = Value::Null;
        }
    }
    json_patch::merge(&mut metadata, &remembering(&Value::Null, &note));
    metadata["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    json!({ "metadata": metadata, "spec": {
        "selector": replaced(&live["spec"]["selector"], &wanted.desired["spec"]["selector"]),
        "ports": ports,
    } })
}

/// Another Service of the user's, which is to follow the primary: its selector becomes the primary's, and its
/// ports are its own. None if it is so already.
pub fn follow_patch(live: &Value, selector: &Labels) -> Option<Value> {
    let wanted = json!(selector);
    (live["spec"]["selector"] != wanted).then(|| {
        let note = Note::of(live).unwrap_or_else(|| Note::new(live));
        json!({
            "metadata": remembering(live, &note),
            "spec": { "selector": replaced(&live["spec"]["selector"], &wanted) },
        })
    })
}

/// Metadata of a Service that is taken over: what it was, and that Flux and Helm are to leave it alone.
fn remembering(live: &Value, note: &Note) -> Value {
    let mut metadata = json!({ "resourceVersion": live["metadata"]["resourceVersion"] });
    let before = Note::of(live);
    if before.as_ref() == Some(note) {
        return metadata;
    }
    let text = serde_json::to_string(note).unwrap_or_default();
    metadata["annotations"] = json!({ names::ORIGINAL_SERVICE: text });
    if before.is_none() {
        for (key, value) in [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION] {
            metadata["annotations"][key] = json!(value);
        }
    }
    metadata
}

/// A Service of the user's that was pointed at the primary, and remembers what it was.
pub fn is_taken_over(live: &Value) -> bool {
    let annotations = live.pointer("/metadata/annotations");
    annotations.is_some_and(|all| all.get(names::ORIGINAL_SERVICE).is_some())
}

/// A merge patch replaces a map only if it names what is to go.
pub fn replaced(old: &Value, new: &Value) -> Value {
    let mut patch: Map<String, Value> = old
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| (key.clone(), Value::Null))
        .collect();
    for (key, value) in new.as_object().into_iter().flatten() {
        patch.insert(key.clone(), value.clone());
    }
    Value::Object(patch)
}

/// Theirs as they are, and beside them what is wanted and they lack. The note says afterwards which are ours.
fn all_ports(live: &Value, wanted: &[Value], note: &mut Note) -> Vec<Value> {
    let is_ours = |port: &&Value| note.added(live, port);
    let (before, mut all): (Vec<Value>, Vec<Value>) =
        ports_of(live).iter().cloned().partition(|it| is_ours(&it));
    let lacking = wanted
        .iter()
        .filter(|port| !all.iter().any(|it| is_same(it, port)));
    let lacking: Vec<&Value> = lacking.collect();
    note.added = lacking.iter().map(|port| key(port)).collect();
    if lacking.is_empty() {
        return all;
    }
    // Several ports need distinct names, and a single one may have none.
    for (index, port) in all.iter_mut().enumerate() {
        if port["name"].as_str().unwrap_or_default().is_empty() {
            port["name"] = json!(name_of(index));
            note.named.push(name_of(index));
        }
    }
    for port in lacking {
        let mut ours = port.clone();
        if all.iter().any(|it| it["name"] == ours["name"]) {
            ours["name"] = json!(name_beside(port));
        }
        let old = before.iter().find(|old| is_same(old, port));
        if let Some(node) = old.and_then(|old| old.get("nodePort")) {
            ours["nodePort"] = node.clone();
        }
        all.push(ours);
    }
    ports::apart(all)
}

/// In whatever order.
fn are_the_same(ports: &[Value], live: &[Value]) -> bool {
    ports.len() == live.len() && ports.iter().all(|port| live.contains(port))
}

fn key(port: &Value) -> Value {
    json!({ "port": port["port"], "protocol": port["protocol"].as_str().unwrap_or("TCP") })
}

fn name_of(index: usize) -> String {
    format!("port-{index}")
}

/// What a port of ours is called where theirs has its name.
fn name_beside(port: &Value) -> String {
    format!("canary-{}", port["port"])
}

/// What a Service of the user's selected by before it was taken over.
pub fn original_selector(live: &Value) -> Labels {
    Note::of(live).map_or_else(Labels::new, |note| strings(Some(&note.selector)))
}

/// Puts a Service of the user's back: what is ours goes, and what is theirs stays. None if it was not taken over.
pub fn restore_patch(live: &Value) -> Option<Value> {
    let note = Note::of(live)?;
    // What they made of one of ours since is theirs.
    let told = [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION];
    let is_ours = |(key, _): &(&String, &Value)| {
        let now = &live["metadata"]["annotations"][key.as_str()];
        told.iter().any(|(ours, value)| ours == key && now == value)
    };
    let back = note.annotations.iter().filter(is_ours);
    let back = back.map(|(key, before)| (key.clone(), before.clone()));
    let mut annotations: Map<String, Value> = back.collect();
    annotations.insert(names::ORIGINAL_SERVICE.to_owned(), Value::Null);
    let mut patch = json!({
        "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "annotations": annotations,
        },
        "spec": { "selector": replaced(&live["spec"]["selector"], &note.selector) },
    });
    if let Some(ports) = ports_of_theirs(live, &note) {
        patch["spec"]["ports"] = json!(ports);
    }
    Some(patch)
}

/// None if there is nothing of ours among them.
fn ports_of_theirs(live: &Value, note: &Note) -> Option<Vec<Value>> {
    if let Some(before) = &note.ports {
        return Some(before.clone());
    }
    let mut theirs = ports_of(live).to_vec();
    theirs.retain(|port| !note.added(live, port));
    if let [only] = theirs.as_mut_slice() {
        let name = only["name"].as_str().unwrap_or_default();
        if note.named.iter().any(|named| named == name)
            && let Some(only) = only.as_object_mut()
        {
            only.remove("name");
        }
    }
    // A Service has at least one.
    (!theirs.is_empty() && theirs != ports_of(live)).then_some(theirs)
}

/// Gives a Service of the user's back. What it was before is no way back if the target's pods, which have
/// these labels, have others since. None if it was not taken over.
pub fn give_back_patch(live: &Value, selector: &Selector, pods: &Labels) -> Option<Value> {
    let mut patch = restore_patch(live)?;
    let mut restored = strings(patch.pointer("/spec/selector"));
    restored.retain(|key, _| !patch["spec"]["selector"][key].is_null());
    if !restored.is_empty() && !selects(&restored, pods) {
        patch["spec"]["selector"] = replaced(&live["spec"]["selector"], &json!(selector.target()));
    }
    Some(patch)
}

/// The same Service once more, where somebody deleted it: it is still theirs. What the API server allots is
/// allotted anew, and a tool that has given it up does not find it by its marks and delete it again. It has the Canary's mark until it is set free, and never its owner.
pub fn anew(gone: &Value, canary: &Canary) -> Value {
    let metadata = &gone["metadata"];
    let mut spec = gone["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, value| {
            !["clusterIP", "clusterIPs", "healthCheckNodePort"].contains(&field.as_str())
                || *value == "None"
                || *value == json!(["None"])
        });
    }
    let mut labels = untracked(metadata["labels"].as_object());
    let mut annotations = untracked(metadata["annotations"].as_object());
    let told = [names::FLUX_RECONCILE.0, names::FLUX_DRIFT_DETECTION.0];
    for key in told.into_iter().chain([names::ORIGINAL_SERVICE]) {
        if let Some(value) = metadata["annotations"].get(key) {
            annotations.insert(key.to_owned(), value.clone());
        }
    }
    labels.insert(names::GENERATED.to_owned(), json!(generated::uid(canary)));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests;
