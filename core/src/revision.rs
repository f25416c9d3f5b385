//! The revision of a pod template: a name for what runs.
//!
//! It is taken from the raw JSON that the API server stores, with sorted keys. Types of a client
//! library would drop the fields that they do not know, and an upgrade of the library would then
//! look like a release of every workload.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::status::ImageChange;

/// Names the way in which the revision is computed. Another way gets another prefix, so that
/// revisions of two ways are never compared.
const PREFIX: &str = "v1-";
const REVISION_DIGITS: usize = 12;
const CHECKSUM_DIGITS: usize = 16;

/// Revision of a pod template.
pub fn revision(template: &Value) -> String {
    format!("{PREFIX}{}", digest(template, REVISION_DIGITS))
}

/// Whether a revision was computed by us, and not by Flagger.
pub fn is_ours(revision: &str) -> bool {
    revision.strip_prefix(PREFIX).is_some_and(|digits| {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        digits.len() == REVISION_DIGITS && digits.bytes().all(hex)
    })
}

/// Checksum of the data of a `ConfigMap` or `Secret`.
pub fn checksum(data: &Value) -> String {
    digest(data, CHECKSUM_DIGITS)
}

/// The image of each container and init container, by name.
pub fn images(template: &Value) -> BTreeMap<String, String> {
    ["initContainers", "containers"]
        .iter()
        .filter_map(|list| template["spec"][list].as_array())
        .flatten()
        .filter_map(|container| {
            let name = container["name"].as_str()?;
            Some((name.to_owned(), container["image"].as_str()?.to_owned()))
        })
        .collect()
}

/// The containers whose image differs, by name. Without an old template, all of them.
pub fn image_changes(old: Option<&Value>, new: &Value) -> Vec<ImageChange> {
    changed_images(old.map(images).unwrap_or_default(), images(new))
}

/// The same, of images that are known already.
pub fn changed_images(
    mut from: BTreeMap<String, String>,
    to: BTreeMap<String, String>,
) -> Vec<ImageChange> {
    let mut changes: Vec<ImageChange> = to
        .into_iter()
        .map(|(container, image)| {
            let from = from.remove(&container);
            ImageChange {
                container,
                from,
                to: Some(image),
            }
        })
        .filter(|change| change.from != change.to)
        .collect();
    // What is left was dropped.
    changes.extend(from.into_iter().map(|(container, image)| ImageChange {
        container,
        from: Some(image),
        to: None,
    }));
    changes.sort_by(|a, b| a.container.cmp(&b.container));
    changes
}

fn digest(value: &Value, digits: usize) -> String {
    let mut canonical = Vec::new();
    write_canonical(value, &mut canonical);
    let hash = Sha256::digest(&canonical);
    let mut hex = String::with_capacity(digits);
    for byte in hash.iter().take(digits / 2) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Sorts keys by itself: `serde_json` does so only while no crate of the build turns on its
/// `preserve_order`, and a revision must not depend on that.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                // Nor can writing to a Vec, here and below.
                let _ = serde_json::to_writer(&mut *out, key);
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(value, out);
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = serde_json::to_writer(out, value);
        }
    }
}

#[cfg(test)]
mod tests;
