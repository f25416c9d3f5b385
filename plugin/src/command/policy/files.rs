//! Objects in files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use crate::exit::Error;

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The objects of all files, in their order; those of lists one by one.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| cannot_read(path, error))?;
            objects.extend(documents(path, &text)?);
        } else if path.is_dir() {
            for file in files_of(path)? {
                objects.extend(documents(&file, &text_of(&file)?)?);
            }
        } else {
            objects.extend(documents(path, &text_of(path)?)?);
        }
    }
    Ok(objects)
}

fn text_of(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|error| cannot_read(file, error))
}

fn files_of(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(directory).map_err(|error| cannot_read(directory, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| cannot_read(directory, error))?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(cannot_read(directory, "no .yaml, .yml or .json file in it"));
    }
    Ok(files)
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

fn cannot_read(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("cannot read {}: {why}", path.display()))
}
