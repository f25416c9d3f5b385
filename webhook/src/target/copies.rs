//! Which copies of configuration a primary refers to, and what they said when it was promoted. It is written on the
//! primary together with its template, so that one never speaks of another.
//!
//! ```text
//!  promoted   now ─► before, and what was analysed is now
//!  put back   before ─► now, if the promotion of this release had been written
//! ```

use std::collections::BTreeMap;

use canary_core::names::{COPIES, PREVIOUS_COPIES};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::target::config::ConfigRef;

/// A copy: its name, and the checksum of the data that was promoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub name: String,
    pub checksum: String,
}

/// What one promotion wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The release; 0 is the baseline, and see [`Note::ANEW`].
    pub release: i64,
    /// By source, as `status.trackedConfigs` names it.
    pub copies: BTreeMap<String, Copied>,
}

/// None where nobody knows: an older version made that primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub now: Option<Note>,
    pub before: Option<Note>,
}

// === impl Note ===

impl Note {
    /// In place of a release: the primary was lost, and made anew beside the copies that were there.
    pub const ANEW: i64 = -1;

    pub fn new(
        release: i64,
        names: &BTreeMap<ConfigRef, String>,
        checksums: &BTreeMap<ConfigRef, String>,
    ) -> Self {
        let copied = names.iter().filter_map(|(source, name)| {
            let copied = Copied {
                name: name.clone(),
                checksum: checksums.get(source)?.clone(),
            };
            Some((source.id(), copied))
        });
        Self {
            release,
            copies: copied.collect(),
        }
    }

    /// The copies, by what they are of.
    pub fn names(&self) -> BTreeMap<ConfigRef, String> {
        let copies = self.copies.iter();
        let named = copies.filter_map(|(id, it)| Some((ConfigRef::parse(id)?, it.name.clone())));
        named.collect()
    }

    fn on(object: &Value, annotation: &str) -> Option<Self> {
        let annotations = object.pointer("/metadata/annotations")?;
        serde_json::from_str(annotations.get(annotation)?.as_str()?).ok()
    }
}

// === impl History ===

impl History {
    /// As it is noted on a primary.
    pub fn of(primary: &Value) -> Self {
        Self {
            now: Note::on(primary, COPIES),
            before: Note::on(primary, PREVIOUS_COPIES),
        }
    }

    /// After a promotion. One that is written again is the same one.
    #[must_use]
    pub fn promoted(self, note: Note) -> Self {
        let again = self.now.as_ref().map(|now| now.release) == Some(note.release);
        Self {
            now: Some(note),
            before: if again { self.before } else { self.now },
        }
    }

    /// After it was put back, whether or not it had been given what this release has.
    #[must_use]
    pub fn put_back(self, release: i64) -> Self {
        let given = self.now.as_ref().map(|now| now.release) == Some(release);
        Self {
            now: if given { self.before.clone() } else { self.now },
            before: self.before,
        }
    }

    pub fn annotate(&self, annotations: &mut Map<String, Value>) {
        for (name, note) in [(COPIES, &self.now), (PREVIOUS_COPIES, &self.before)] {
            if let Some(note) = note {
                let text = serde_json::to_string(note).unwrap_or_default();
                annotations.insert(name.to_owned(), json!(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(release: i64, checksum: &str) -> Note {
        let source = ConfigRef::parse("configmap/config").unwrap();
        Note::new(
            release,
            &BTreeMap::from([(source.clone(), "config-primary".to_owned())]),
            &BTreeMap::from([(source, checksum.to_owned())]),
        )
    }

    fn stored(history: &History) -> Value {
        let mut annotations = Map::new();
        history.annotate(&mut annotations);
        json!({ "metadata": { "annotations": annotations } })
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let history = History::default()
            .promoted(note(0, "a"))
            .promoted(note(1, "b"));
        assert_eq!(History::of(&stored(&history)), history);
        assert_eq!(history.now.as_ref().unwrap().names().len(), 1);
        assert_eq!(History::of(&json!({})), History::default());
    }

    #[test]
    fn a_promotion_that_is_put_back_leaves_what_was_before_it_and_is_put_back_once() {
        let promoted = History::default()
            .promoted(note(1, "a"))
            .promoted(note(2, "b"))
            .promoted(note(2, "b"));
        assert_eq!(promoted.before, Some(note(1, "a")));
        let back = promoted.put_back(2);
        assert_eq!(back.now, Some(note(1, "a")));
        assert_eq!(back.clone().put_back(2), back);
        // A release that went back before its promotion had given the primary nothing.
        assert_eq!(back.clone().put_back(3), back);
    }
}
