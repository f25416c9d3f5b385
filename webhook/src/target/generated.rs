//! What tells a generated object from every other: the mark, a label that a policy of the API server lets
//! nobody but us set, change or drop, together with an owner reference to the Canary.
//!
//! ```text
//!  own / share ─► an object that we make       mark + reference, both or neither
//!  marking     ─► one of a generated name that names the Canary as owner: Flagger's, or an older version's
//!  Generated   ─► the proof; without it nothing is deleted, and nothing is believed
//! ```
//! A reference alone proves nothing: whoever may edit an object may write one.

use canary_core::canary::Canary;
use canary_core::names::{ADOPT, APPLIED, GENERATED};
use serde_json::{Map, Value, json};

/// An object that this Canary generated, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generated<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    pub version: &'a str,
}

// === impl Generated ===

impl<'a> Generated<'a> {
    /// None if it is not, whatever it says of its owner.
    pub fn of(object: &'a Value, canary: &Canary) -> Option<Self> {
        let ours = mark_of(object) == Some(uid(canary)) && names_as_owner(object, canary);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        ours.then(|| Self {
            name: text("name"),
            uid: text("uid"),
            version: text("resourceVersion"),
        })
    }
}

pub fn is_generated(object: &Value, canary: &Canary) -> bool {
    Generated::of(object, canary).is_some()
}

/// Whether it has the mark of any Canary.
pub fn is_marked(object: &Value) -> bool {
    mark_of(object).is_some()
}

/// Names any Canary as an owner, whoever wrote that.
pub fn has_canary(object: &Value) -> bool {
    owners(object).iter().any(|owner| owner["kind"] == "Canary")
}

/// Uids of the Canaries that it was made for, as its mark says, or names as owners.
pub fn canaries(object: &Value) -> impl Iterator<Item = &str> {
    let owners = owners(object).iter();
    let named = owners.filter(|owner| owner["kind"] == "Canary");
    let named = named.filter_map(|owner| owner["uid"].as_str());
    mark_of(object).into_iter().chain(named)
}

fn names_as_owner(object: &Value, canary: &Canary) -> bool {
    let uid = uid(canary);
    let mut owners = owners(object).iter();
    !uid.is_empty() && owners.any(|owner| owner["kind"] == "Canary" && owner["uid"] == uid)
}

/// Names this Canary as an owner, whoever wrote that, or has its mark and names no Canary (a backup tool may have
/// dropped the owner). Good enough to write to an object of a generated name (it is what Flagger left, or an
/// older version of us), and for nothing else.
pub fn is_of(object: &Value, canary: &Canary) -> bool {
    let marked = mark_of(object).is_some_and(|mark| !mark.is_empty() && mark == uid(canary));
    names_as_owner(object, canary) || marked && !has_canary(object)
}

/// May be written: it names this Canary as owner, or its owner hands it over with an annotation.
pub fn may_take(object: &Value, canary: &Canary) -> bool {
    let adopt = object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(ADOPT));
    is_of(object, canary) || adopt.and_then(Value::as_str) == Some("true")
}

/// The Canary of this name that was there before, if the object was generated for that one: mark and owner say
/// so.
pub fn earlier(object: &Value, canary: &Canary) -> Option<Canary> {
    let before = mark_of(object).filter(|mark| *mark != uid(canary))?;
    let name = canary.metadata.name.as_deref();
    let named = owners(object).iter().any(|owner| {
        owner["kind"] == "Canary" && owner["uid"] == before && owner["name"].as_str() == name
    });
    named.then(|| {
        let mut earlier = canary.clone();
        earlier.metadata.uid = Some(before.to_owned());
        earlier
    })
}

/// The uid of a Canary that left the object behind, if that one is gone: it has another one's mark, which nobody
/// but us writes, and names no Canary as its owner.
pub fn left_by<'a>(object: &'a Value, canary: &Canary) -> Option<&'a str> {
    mark_of(object).filter(|mark| *mark != uid(canary) && !has_canary(object))
}

/// `object` with the mark, and under the control of this Canary. Whoever owned it before still does, but
/// controls it no more.
pub fn own(mut object: Value, canary: &Canary) -> Value {
    if !names_as_owner(&object, canary) {
        object["metadata"]["ownerReferences"] = owned(&object, canary);
    }
    put_mark(&mut object, canary);
    object
}

/// As [`own`], for what several Canaries may share: the newest controls it, the others of `live` keep it
/// alive.
pub fn share(mut object: Value, live: Option<&Value>, canary: &Canary) -> Value {
    let mut all = live.map_or_else(Vec::new, |live| demoted(live, canary));
    all.retain(|owner| owner["kind"] == "Canary");
    all.insert(0, reference(canary));
    object["metadata"]["ownerReferences"] = json!(all);
    put_mark(&mut object, canary);
    object
}

/// What makes mark and owner reference both, where an object of a generated name has one of the two. It is a
/// change of metadata: no pod moves, and no spec is written.
pub fn marking(object: &Value, canary: &Canary) -> Option<Value> {
    let version = &object["metadata"]["resourceVersion"];
    match (is_marked(object), names_as_owner(object, canary)) {
        (false, true) => Some(mark(canary, version.as_str())),
        (true, false) if is_of(object, canary) => Some(json!({ "metadata": {
            "resourceVersion": version, "ownerReferences": owned(object, canary),
        } })),
        _ => None,
    }
}

/// A metadata-only patch that sets the mark, if the object is the one that was read.
pub fn mark(canary: &Canary, version: Option<&str>) -> Value {
    json!({ "metadata": { "resourceVersion": version, "labels": { GENERATED: uid(canary) } } })
}

/// Metadata of a patch that sets an object free: it outlives the Canary, and is whoever's it was besides.
pub fn freed(live: &Value, canary: &Canary) -> Value {
    let uid = uid(canary);
    let others: Vec<&Value> = owners(live)
        .iter()
        .filter(|owner| owner["uid"] != uid)
        .collect();
    json!({
        "resourceVersion": live["metadata"]["resourceVersion"],
        "labels": { GENERATED: null },
        "annotations": { APPLIED: null },
        "ownerReferences": others,
    })
}

/// Whether a write of `desired` gives the object its owner back. The garbage collector takes it off what is to
/// outlive a Canary: with it again, the object would go with the Canary.
pub fn gains_owner(live: &Value, desired: &Value) -> bool {
    let of_canary = |owner: &&Value| owner["kind"] == "Canary";
    let mut wanted = owners(desired).iter().filter(of_canary);
    let named = |uid: &Value| owners(live).iter().any(|owner| owner["uid"] == *uid);
    is_marked(live) && wanted.any(|owner| !named(&owner["uid"]))
}

fn reference(canary: &Canary) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "name": canary.metadata.name,
        "uid": canary.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

fn owned(object: &Value, canary: &Canary) -> Value {
    let mut all = demoted(object, canary);
    all.insert(0, reference(canary));
    json!(all)
}

/// The owners that an object has besides this Canary. Only one may control it.
fn demoted(object: &Value, canary: &Canary) -> Vec<Value> {
    let mut owners = owners(object).to_vec();
    owners.retain(|owner| owner["uid"] != uid(canary));
    for owner in &mut owners {
        owner["controller"] = json!(false);
    }
    owners
}

fn owners(object: &Value) -> &[Value] {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.map(Vec::as_slice).unwrap_or_default()
}

/// The mark of the Canary that generated it.
pub fn mark_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/labels")?.get(GENERATED)?.as_str()
}

fn put_mark(object: &mut Value, canary: &Canary) {
    let metadata = &mut object["metadata"];
    if !metadata["labels"].is_object() {
        metadata["labels"] = Value::Object(Map::new());
    }
    metadata["labels"][GENERATED] = json!(uid(canary));
}

pub fn uid(canary: &Canary) -> &str {
    canary.metadata.uid.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
            "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" } },
        }))
        .unwrap()
    }

    fn object(owner: Option<&str>, mark: Option<&str>) -> Value {
        let owners = owner.map(|uid| json!([{ "kind": "Canary", "uid": uid, "controller": true }]));
        let labels = mark.map(|uid| json!({ GENERATED: uid, "app": "a" }));
        json!({ "metadata": {
            "name": "podinfo-primary", "uid": "p", "resourceVersion": "7",
            "ownerReferences": owners, "labels": labels,
        } })
    }

    #[test]
    fn generated_is_what_has_the_mark_and_the_reference_of_this_canary() {
        let (ours, others) = (Some("u1"), Some("u2"));
        for (owner, mark, generated, taken) in [
            (ours, ours, true, true),
            (ours, None, false, true),
            (ours, others, false, true),
            // Nobody but us writes a mark: its owner was dropped, and is put back.
            (None, ours, false, true),
            (others, ours, false, false),
            (others, others, false, false),
            (None, None, false, false),
        ] {
            let object = object(owner, mark);
            let why = format!("{owner:?} {mark:?}");
            assert_eq!(is_generated(&object, &canary()), generated, "{why}");
            assert_eq!(may_take(&object, &canary()), taken, "{why}");
        }
        assert!(!is_generated(&object(None, None), &Canary::default()));
        assert!(!is_generated(
            &object(Some(""), Some("")),
            &Canary::default()
        ));
    }

    #[test]
    fn the_proof_says_which_object_it_was_read_from() {
        let object = object(Some("u1"), Some("u1"));
        let proof = Generated::of(&object, &canary()).unwrap();
        let same = Generated {
            name: "podinfo-primary",
            uid: "p",
            version: "7",
        };
        assert_eq!(proof, same);
    }

    #[test]
    fn an_object_that_is_handed_over_may_be_taken() {
        let adopt = |value: &str| json!({ "metadata": { "annotations": { ADOPT: value } } });
        assert!(may_take(&adopt("true"), &canary()));
        assert!(!may_take(&adopt("false"), &canary()));
    }

    #[test]
    fn whatever_is_owned_is_generated_and_has_one_controller() {
        for (owner, mark) in [
            (None, None),
            (Some("u1"), None),
            (Some("u2"), Some("u2")),
            (None, Some("u2")),
        ] {
            let owned = own(object(owner, mark), &canary());
            assert!(is_generated(&owned, &canary()), "{owned}");
            let controls = |owner: &&Value| owner["controller"] == true;
            assert_eq!(owners(&owned).iter().filter(controls).count(), 1, "{owned}");
        }
        let labelled = own(object(None, Some("u2")), &canary());
        assert_eq!(labelled["metadata"]["labels"]["app"], "a");
    }

    #[test]
    fn a_shared_object_keeps_its_other_canaries_and_no_other_owner() {
        let mut live = object(Some("u2"), Some("u2"));
        let all = live["metadata"]["ownerReferences"].as_array_mut().unwrap();
        all.push(json!({ "kind": "Deployment", "uid": "d" }));
        let shared = share(json!({ "metadata": {} }), Some(&live), &canary());
        assert!(is_generated(&shared, &canary()));
        let of = |field: &str| -> Vec<Value> {
            owners(&shared).iter().map(|it| it[field].clone()).collect()
        };
        assert_eq!(of("uid"), ["u1", "u2"]);
        assert_eq!(of("controller"), [true, false]);
    }

    #[test]
    fn an_object_is_marked_once_and_nothing_else_of_it_is_written() {
        let canary = canary();
        let mut live = object(Some("u1"), None);
        let patch = marking(&live, &canary).unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "resourceVersion": "7", "labels": { GENERATED: "u1" } } })
        );
        json_patch::merge(&mut live, &patch);
        assert!(is_generated(&live, &canary));
        assert_eq!(marking(&live, &canary), None);
        assert_eq!(marking(&object(None, None), &canary), None, "nobody's");
        let shared = object(Some("u1"), Some("u2"));
        assert_eq!(
            marking(&shared, &canary),
            None,
            "marked by who shares it: no to and fro"
        );
    }

    #[test]
    fn what_was_orphaned_gains_an_owner_and_what_was_never_generated_gains_none_back() {
        let (ours, others) = (Some("u1"), Some("u2"));
        for (owner, mark, gains) in [
            (ours, ours, false),
            (ours, None, false),
            (None, ours, true),
            (others, ours, true),
            (None, None, false),
        ] {
            let live = object(owner, mark);
            let desired = own(live.clone(), &canary());
            assert_eq!(gains_owner(&live, &desired), gains, "{owner:?} {mark:?}");
            let patch = marking(&live, &canary());
            let names_owner = patch.is_some_and(|patch| gains_owner(&live, &patch));
            assert_eq!(names_owner, owner.is_none() && mark == ours);
        }
    }

    #[test]
    fn what_is_set_free_has_neither_mark_nor_reference() {
        let mut live = own(object(Some("u2"), None), &canary());
        let patch = json!({ "metadata": freed(&live, &canary()) });
        json_patch::merge(&mut live, &patch);
        assert!(!is_marked(&live) && !may_take(&live, &canary()));
        assert_eq!(owners(&live).len(), 1, "the other owner stays");
    }
}
