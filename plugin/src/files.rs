//! Files as a user names them with `-f`: one, a directory of them, or standard input.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::exit::Error;

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A file and its text.
pub struct Text {
    pub path: PathBuf,
    pub text: String,
    /// Named by the user, and not found in a directory.
    pub named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Only the files of a directory itself.
    Flat,
    /// Those of its directories too, except hidden ones.
    Recursive,
}

/// The texts of all files, in their order; those of a directory by name.
pub fn read(paths: &[PathBuf], depth: Depth) -> Result<Vec<Text>, Error> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| cannot_read(path, error))?;
            texts.push(named(path, text));
        } else if path.is_dir() {
            let mut files = Vec::new();
            walk(path, depth, &mut files)?;
            files.sort();
            if files.is_empty() {
                return Err(cannot_read(path, "no .yaml, .yml or .json file in it"));
            }
            for path in files {
                let text = text_of(&path)?;
                texts.push(Text {
                    path,
                    text,
                    named: false,
                });
            }
        } else {
            texts.push(named(path, text_of(path)?));
        }
    }
    Ok(texts)
}

fn named(path: &Path, text: String) -> Text {
    Text {
        path: path.to_owned(),
        text,
        named: true,
    }
}

fn text_of(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|error| cannot_read(file, error))
}

fn walk(directory: &Path, depth: Depth, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = std::fs::read_dir(directory).map_err(|error| cannot_read(directory, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(directory, error))?;
        let path = entry.path();
        // Not what a link points to: links may go in circles.
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_directory {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if depth == Depth::Recursive && !hidden {
                walk(&path, depth, files)?;
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

pub fn cannot_read(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("cannot read {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_as_deep_as_asked_and_hidden_ones_never() {
        let root = tempfile::tempdir().unwrap();
        for file in ["b.yaml", "a.json", "note.txt", "sub/c.yml", ".git/d.yaml"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let names = |depth| -> Vec<String> {
            let read = read(&[root.path().to_owned()], depth).unwrap();
            assert!(read.iter().all(|text| !text.named));
            read.into_iter().map(|text| text.text).collect()
        };
        assert_eq!(names(Depth::Flat), ["a.json", "b.yaml"]);
        assert_eq!(names(Depth::Recursive), ["a.json", "b.yaml", "sub/c.yml"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let empty = tempfile::tempdir().unwrap();
        for path in [empty.path().to_owned(), PathBuf::from("/nonexistent.yaml")] {
            let Err(error) = read(std::slice::from_ref(&path), Depth::Flat) else {
                panic!("{}", path.display())
            };
            assert!(
                error.to_string().contains(&path.display().to_string()),
                "{error}"
            );
        }
    }
}
