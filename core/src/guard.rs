//! An object of a list or a watch that is read by itself: one that cannot be read is no error of the others.
//!
//! ```text
//!  list ─► [Guard, Guard, Guard] ─► Ok(object)
//!                                └► Err(Unreadable): which one it is, and why it cannot be read
//! ```
//! The text of each object is cut out first. That counts brackets and does not recurse, so that no depth
//! of nesting breaks it. Then it is read with the limit of 128 levels that `serde_json` has. Of a watch event
//! the type comes before the object, as every API server writes it: otherwise there is no text to cut out.

use std::borrow::Cow;

use kube::Resource;
use kube::core::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Of an object that cannot be read: as much of its metadata as tells which one it is.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unreadable {
    /// Name, namespace, uid and resourceVersion, as far as they can be read.
    pub metadata: ObjectMeta,
    pub error: String,
}

/// The object, or why it cannot be read.
#[derive(Clone, Debug)]
pub struct Guard<K>(pub Result<K, Unreadable>);

/// Which object it is. Each part is read by itself: another one that is wrong does not hide it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    uid: Option<&'a RawValue>,
    #[serde(borrow)]
    resource_version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

// === impl Unreadable ===

impl Unreadable {
    fn of(text: &str, error: String) -> Self {
        let outline: Option<Outline<'_>> = serde_json::from_str(text).ok();
        let metadata = outline.and_then(|outline| outline.metadata);
        let identity = metadata.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let metadata = identity.map_or_else(ObjectMeta::default, |it: Identity<'_>| ObjectMeta {
            name: string(it.name),
            namespace: string(it.namespace),
            uid: string(it.uid),
            resource_version: string(it.resource_version),
            ..ObjectMeta::default()
        });
        Self { metadata, error }
    }

    /// Its name and namespace, in the order in which people write them.
    pub fn id(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or("(no name)");
        match self.metadata.namespace.as_deref() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }
}

fn string(raw: Option<&RawValue>) -> Option<String> {
    let text: Option<String> = serde_json::from_str(raw?.get()).ok()?;
    text.filter(|text| !text.is_empty())
}

// === impl Guard ===

impl<K: DeserializeOwned + Resource> Guard<K> {
    fn read(text: &str) -> Self {
        let object: K = match serde_json::from_str(text) {
            Ok(object) => object,
            Err(error) => return Self(Err(Unreadable::of(text, error.to_string()))),
        };
        let name = object.meta().name.as_deref().unwrap_or_default();
        if name.is_empty() {
            let error = "metadata.name is missing".to_owned();
            return Self(Err(Unreadable::of(text, error)));
        }
        Self(Ok(object))
    }
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Guard<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not borrowed: who reads from a stream has nothing to borrow from.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::read(text.get()))
    }
}

impl<K: Resource> Resource for Guard<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(unreadable) => &mut unreadable.metadata,
        }
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }
}

#[cfg(test)]
mod tests;
