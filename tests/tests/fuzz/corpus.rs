//! Reviews to begin with.

use std::path::Path;

use canary_tests::tools::folder;
use serde_json::Value;

pub struct Corpus {
    /// What a real API server has sent.
    pub reviews: Vec<Value>,
    /// What was once answered wrongly.
    pub found: Vec<Vec<u8>>,
}

// === impl Corpus ===

impl Corpus {
    pub fn read() -> Self {
        let recorded = files(&folder("tests/corpus/admission"));
        let found = folder("tests/corpus/admission/found");
        assert!(recorded.len() >= 20, "no corpus: `make corpus`");
        let read = |body: Vec<u8>| serde_json::from_slice(&body).unwrap();
        Self {
            reviews: recorded.into_iter().map(read).collect(),
            found: if found.exists() {
                files(&found)
            } else {
                Vec::new()
            },
        }
    }

    /// The last object of that kind which a review brings, with a status if any has one.
    pub fn object(&self, kind: &str) -> Value {
        let objects = self.reviews.iter().map(|review| &review["request"]);
        let of_kind =
            objects.filter(|it| it["kind"]["kind"] == kind && it["subResource"].is_null());
        let mut objects: Vec<&Value> = of_kind
            .flat_map(|request| [&request["object"], &request["oldObject"]])
            .filter(|object| object.is_object())
            .collect();
        objects.sort_by_key(|object| object["status"]["release"].is_object());
        (*objects.last().unwrap()).clone()
    }
}

/// In the order of their names, so that a seed says what a run does.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}
