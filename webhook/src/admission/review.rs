//! An `AdmissionReview` from bytes, without what nobody here asks for.
//!
//! Most of a review is `managedFields`, twice; they are passed over unread, and so is the status of a
//! Deployment. Of the pod template that a Deployment had before we ask whether it is the new one, which its
//! text says, and which images it had: if they are others, only those are kept of it. And the objects are read
//! as they come, key by key: kube's own type looks for its fields by `flatten`, for which serde first keeps the
//! whole review in memory, and each object in it once more.

use std::collections::BTreeMap;
use std::fmt;

use canary_core::revision::image_changes;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::core::admission::{AdmissionRequest, Operation};
use kube::core::{DynamicObject, GroupVersionKind, GroupVersionResource, ObjectMeta, TypeMeta};
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, IntoDeserializer as _,
    MapAccess, Visitor,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Request;

/// The one version that the registration names.
const API_VERSION: &str = "admission.k8s.io/v1";
const PASSED_OVER: &str = "managedFields";

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<Call<'a>>,
}

/// The fields of an [`AdmissionRequest`] that decisions rest on.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
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
    #[serde(borrow)]
    object: Option<Object<'a>>,
    #[serde(borrow)]
    old_object: Option<Object<'a>>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    options: Option<RawExtension>,
}

struct Object<'a> {
    object: DynamicObject,
    /// Of a Deployment, what `object` lacks.
    template: Option<&'a RawValue>,
}

/// What is kept of the pod template before.
#[derive(serde::Deserialize, serde::Serialize)]
struct Images {
    spec: Containers,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Containers {
    #[serde(default)]
    init_containers: Vec<Container>,
    containers: Vec<Container>,
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Container {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
}

struct Metadata(ObjectMeta);

/// The entries of a map but [`PASSED_OVER`].
struct Rest<A>(A);

/// Reads a review; an error says what is wrong with it.
pub fn read(body: &[u8]) -> Result<Request, String> {
    let review: Review<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    // Of another version the fields may mean something else, and so would those of our answer.
    if review.api_version != API_VERSION || review.kind != "AdmissionReview" {
        return Err(format!(
            "it is of another kind or version than {API_VERSION}"
        ));
    }
    let call = review.request.ok_or("it has no request")?;
    let (object, old_object) = both(call.object, call.old_object).map_err(|it| it.to_string())?;
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
        object,
        old_object,
        dry_run: call.dry_run,
        options: call.options,
    })
}

/// The objects with their templates. If only one has a template, all of it is kept.
fn both(
    new: Option<Object<'_>>,
    old: Option<Object<'_>>,
) -> serde_json::Result<(Option<DynamicObject>, Option<DynamicObject>)> {
    let texts = [&new, &old].map(|it| it.as_ref().and_then(|it| it.template));
    let whole = |text: Option<&RawValue>| {
        let text = text.map(RawValue::get);
        text.map(serde_json::from_str::<Value>).transpose()
    };
    let after = whole(texts[0])?;
    let before = match texts {
        [Some(new), Some(old)] if new.get() == old.get() => after.clone(),
        [Some(_), Some(old)] => {
            let images = serde_json::from_str::<Images>(old.get()).and_then(serde_json::to_value);
            // The same in other words is no change: without other images, all of it has to be looked at.
            match (images, &after) {
                (Ok(images), Some(after)) if !image_changes(Some(&images), after).is_empty() => {
                    Some(images)
                }
                _ => whole(Some(old))?,
            }
        }
        [_, old] => whole(old)?,
    };
    Ok((
        new.map(|new| new.with(after)),
        old.map(|old| old.with(before)),
    ))
}

// === impl Object ===

impl Object<'_> {
    fn with(mut self, template: Option<Value>) -> DynamicObject {
        if let Some(template) = template {
            self.object.data["spec"]["template"] = template;
        }
        self.object
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of Kubernetes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let (mut api_version, mut kind) = (None, None::<String>);
                let (mut metadata, mut data, mut template) = (None, Map::new(), None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "apiVersion" => api_version = Some(map.next_value()?),
                        "kind" => kind = Some(map.next_value()?),
                        "metadata" => metadata = Some(map.next_value::<Metadata>()?.0),
                        // Its kind comes before it, from any API server.
                        "status" if kind.as_deref() == Some("Deployment") => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        "spec" if kind.as_deref() == Some("Deployment") => {
                            let spec: Option<BTreeMap<String, &RawValue>> = map.next_value()?;
                            if let Some(mut spec) = spec {
                                template = spec.remove("template");
                                let rest = serde_json::to_value(spec).map_err(A::Error::custom)?;
                                data.insert(key, rest);
                            }
                        }
                        _ => {
                            data.insert(key, map.next_value()?);
                        }
                    }
                }
                let types = api_version
                    .zip(kind)
                    .map(|(api_version, kind)| TypeMeta { api_version, kind });
                Ok(Object {
                    object: DynamicObject {
                        types,
                        metadata: metadata.unwrap_or_default(),
                        data: Value::Object(data),
                    },
                    template,
                })
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
mod tests;
