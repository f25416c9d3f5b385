//! What is read is what `kubectl` reads, and each line is where an editor shows it.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

fn only(text: &str) -> Document {
    let source = read(text);
    assert_eq!(source.faults, []);
    assert_eq!(source.documents.len(), 1, "{:?}", source.documents);
    source.documents.into_iter().next().unwrap()
}

const CANARY: &str = "\
# a comment
kind: Canary
spec:
  # what it is about
  analysis:
    stepWeights: [10,
      20]
    metrics:
      - name: one
        thresholdRange: {min: 99}

      - name: two
  text: |
    several
    lines
  after: 'x'
";

#[test]
fn each_field_has_the_line_of_its_key_and_each_item_that_of_its_begin() {
    let document = only(CANARY);
    for (path, line) in [
        ("kind", 2),
        ("spec", 3),
        ("spec.analysis", 5),
        ("spec.analysis.stepWeights[0]", 6),
        ("spec.analysis.stepWeights[1]", 7),
        ("spec.analysis.metrics", 8),
        ("spec.analysis.metrics[0]", 9),
        ("spec.analysis.metrics[0].thresholdRange.min", 10),
        ("spec.analysis.metrics[1]", 12),
        ("spec.analysis.metrics[two].name", 12),
        ("spec.text", 13),
        ("spec.after", 16),
    ] {
        assert_eq!(document.line(path), line, "{path}");
    }
    assert_eq!(document.first_line(), 2);
}

#[test]
fn what_is_not_there_has_the_line_of_what_is_around_it() {
    let document = only(CANARY);
    assert_eq!(document.line("spec.analysis.threshold"), 5);
    assert_eq!(document.line("spec.analysis.metrics[7].name"), 8);
    assert_eq!(document.line("metadata.name"), 2);
    assert_eq!(document.line("spec.text.more"), 13);
    assert_eq!(document.line("spec[analysis]"), 5);
    assert_eq!(document.line("spec[unclosed"), 3);
}

#[test]
fn each_document_counts_the_lines_of_the_file() {
    let source = read("a: 1\n---\n# nothing\n---\n\nb: 2\n...\n---\nc: 3\n");
    let lines: Vec<_> = source
        .documents
        .iter()
        .map(|it| (it.value.clone(), it.first_line()))
        .collect();
    assert_eq!(
        lines,
        [
            (json!({"a": 1}), 1),
            (json!({"b": 2}), 6),
            (json!({"c": 3}), 9)
        ]
    );
}

#[test]
fn the_items_of_a_list_are_objects_of_their_own() {
    let source = read("kind: List\nitems:\n- kind: A\n- kind: B\n  x: 1\n");
    let lines: Vec<_> = source.documents.iter().map(|it| it.line("x")).collect();
    assert_eq!(lines, [3, 5]);
    // Something else that has a field of this name is not taken apart.
    assert_eq!(only("kind: Menu\nitems: [1]").value["kind"], "Menu");
}

#[test]
fn scalars_are_what_kubectl_makes_of_them() {
    let document = only(
        "[1, -2, +3, 0x10, 0o17, 1.5, 1e3, ., 1.2.3, '1', !!str 1, yes, Off, ~, null, inf, .nan, 08:30, 10s]",
    );
    assert_eq!(
        document.value,
        json!([
            1, -2, 3, 16, 15, 1.5, 1000.0, ".", "1.2.3", "1", "1", true, false, null, null, "inf",
            ".nan", "08:30", "10s"
        ])
    );
}

#[test]
fn what_has_no_value_is_null() {
    assert_eq!(only("a:\nb: [c]\n").value, json!({"a": null, "b": ["c"]}));
}

#[test]
fn json_is_yaml() {
    let document = only("{\n  \"kind\": \"Canary\",\n  \"spec\": {\n    \"a\": [true]\n  }\n}\n");
    assert_eq!(
        document.value,
        json!({"kind": "Canary", "spec": {"a": [true]}})
    );
    assert_eq!(document.line("spec.a"), 4);
}

#[test]
fn aliases_and_merge_keys_give_what_they_name() {
    let document = only("base: &base {a: 1, b: 2}\none:\n  <<: *base\n  b: 3\ntwo: *base\n");
    assert_eq!(document.value["one"], json!({"a": 1, "b": 3}));
    assert_eq!(document.value["two"], json!({"a": 1, "b": 2}));
    assert_eq!(document.line("two"), 5);
    assert_eq!(document.line("one.b"), 4);
}

#[test]
fn a_key_that_is_given_twice_is_found_where_it_is_given_again() {
    let source = read("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n");
    assert_eq!(
        source.faults,
        [Fault {
            line: 5,
            message: "key \"c\" is given twice: keep one".to_owned(),
            kind: FaultKind::DuplicateKey,
        }]
    );
    assert_eq!(source.documents[0].value["b"]["c"], 3);
}

#[test]
fn what_is_no_yaml_is_said_with_its_line_and_what_came_before_it_is_kept() {
    let source = read("a: 1\n---\nb: [1, 2\nc: 3\n");
    assert_eq!(source.documents.len(), 1);
    assert_eq!(source.faults.len(), 1, "{:?}", source.faults);
    assert_eq!(source.faults[0].kind, FaultKind::Syntax);
    assert!(source.faults[0].line >= 3, "{:?}", source.faults);
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let all = vec![alias; 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{all}]").unwrap();
    }
    let source = read(&text);
    assert!(
        source.faults[0].message.contains("aliases"),
        "{:?}",
        source.faults
    );
    let deep = read(&"[".repeat(100_000));
    assert_eq!((deep.documents.len(), deep.faults.len()), (0, 1));
}
