//! Objects in files.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use crate::exit::Error;
use crate::files::{self, Depth, cannot_read};

/// The objects of all files, in their order; those of lists one by one.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for file in files::read(paths, Depth::Flat)? {
        objects.extend(documents(&file.path, &file.text)?);
    }
    Ok(objects)
}

fn documents(file: &Path, text: &str) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document).map_err(|error| cannot_read(file, error))?;
        match object {
            Value::Null => {}
            Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            Value::Object(_) => objects.push(object),
            _ => return Err(cannot_read(file, "it holds something that is no object")),
        }
    }
    Ok(objects)
}
