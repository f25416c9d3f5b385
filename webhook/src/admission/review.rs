//! An `AdmissionReview` from bytes, without what nobody here asks for.
//!
//! Most of a review is `managedFields`, twice; they are passed over unread. And the objects are read as
//! they come, key by key: kube's own type looks for its fields by `flatten`, for which serde first keeps
//! the whole review in memory, and each object in it once more.

use std::fmt;

use kube::core::admission::{AdmissionRequest, Operation};
use kube::core::{DynamicObject, GroupVersionKind, GroupVersionResource, ObjectMeta, TypeMeta};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess,
    Visitor,
};
use serde_json::{Map, Value};

use super::Request;

/// The one version that the registration names.
const API_VERSION: &str = "admission.k8s.io/v1";
const PASSED_OVER: &str = "managedFields";

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Option<Call>,
}

/// The fields of an [`AdmissionRequest`] that decisions rest on.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    uid: String,
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    operation: Operation,
    user_info: k8s_openapi::api::authentication::v1::UserInfo,
    object: Option<Object>,
    old_object: Option<Object>,
    #[serde(default)]
    dry_run: bool,
}

struct Object(DynamicObject);

struct Metadata(ObjectMeta);

/// The entries of a map but [`PASSED_OVER`].
struct Rest<A>(A);

/// Reads a review; an error says what is wrong with it.
pub fn read(body: &[u8]) -> Result<Request, String> {
    let review: Review = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    // Of another version the fields may mean something else, and so would those of our answer.
    if review.api_version != API_VERSION || review.kind != "AdmissionReview" {
        return Err(format!(
            "it is of another kind or version than {API_VERSION}"
        ));
    }
    let call = review.request.ok_or("it has no request")?;
    let object = |object: Option<Object>| object.map(|object| object.0);
    Ok(AdmissionRequest {
        types: TypeMeta {
            api_version: review.api_version,
            kind: review.kind,
        },
        uid: call.uid,
        kind: call.kind,
        resource: call.resource,
        sub_resource: call.sub_resource,
        request_kind: None,
        request_resource: None,
        request_sub_resource: None,
        name: call.name,
        namespace: call.namespace,
        operation: call.operation,
        user_info: call.user_info,
        object: object(call.object),
        old_object: object(call.old_object),
        dry_run: call.dry_run,
        options: None,
    })
}

// === impl Object ===

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of Kubernetes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let (mut api_version, mut kind) = (None, None);
                let (mut metadata, mut data) = (None, Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "apiVersion" => api_version = Some(map.next_value()?),
                        "kind" => kind = Some(map.next_value()?),
                        "metadata" => metadata = Some(map.next_value::<Metadata>()?.0),
                        _ => {
                            data.insert(key, map.next_value()?);
                        }
                    }
                }
                let types = api_version
                    .zip(kind)
                    .map(|(api_version, kind)| TypeMeta { api_version, kind });
                Ok(Object(DynamicObject {
                    types,
                    metadata: metadata.unwrap_or_default(),
                    data: Value::Object(data),
                }))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

// === impl Metadata ===

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the metadata of an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Metadata, A::Error> {
                ObjectMeta::deserialize(MapAccessDeserializer::new(Rest(map))).map(Metadata)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

// === impl Rest ===

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if key == PASSED_OVER {
                self.0.next_value::<IgnoredAny>()?;
                continue;
            }
            let key: StringDeserializer<A::Error> = key.into_deserializer();
            return seed.deserialize(key).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::admission::AdmissionReview;
    use serde_json::json;

    use super::*;

    fn review() -> Value {
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "r1",
                "kind": { "group": "apps", "version": "v1", "kind": "Deployment" },
                "resource": { "group": "apps", "version": "v1", "resource": "deployments" },
                "name": "podinfo",
                "namespace": "test",
                "operation": "UPDATE",
                "userInfo": { "username": "alice", "groups": ["people"] },
                "object": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {
                        "name": "podinfo",
                        "labels": { "app": "podinfo" },
                        "creationTimestamp": "2026-01-01T00:00:00Z",
                    },
                    "spec": { "template": { "spec": { "containers": [{ "image": "podinfo:2" }] } } },
                    "status": { "replicas": 1 },
                },
                "oldObject": { "metadata": { "name": "podinfo" } },
                "dryRun": true,
            },
        })
    }

    #[test]
    fn a_review_reads_as_by_the_type_of_kube_but_for_managed_fields() {
        let theirs: AdmissionReview<DynamicObject> = serde_json::from_value(review()).unwrap();
        let theirs: Request = theirs.try_into().unwrap();
        let mut managed = review();
        managed["request"]["object"]["metadata"]["managedFields"] =
            json!([{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }]);
        let ours = read(managed.to_string().as_bytes()).unwrap();
        let text = |request: &Request| serde_json::to_value(request).unwrap();
        assert_eq!(text(&ours), text(&theirs));
        assert_eq!(ours.types, theirs.types);
    }

    #[test]
    fn what_is_no_object_is_refused_with_the_reason() {
        let mut wrong = review();
        wrong["request"]["object"] = json!("podinfo");
        let error = read(wrong.to_string().as_bytes()).unwrap_err();
        assert!(error.contains("an object of Kubernetes"), "{error}");
    }
}
