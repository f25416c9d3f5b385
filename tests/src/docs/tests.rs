use super::*;

fn texts(page: &str) -> Vec<(String, Option<Vec<String>>)> {
    let all = commands(page).unwrap().into_iter();
    all.map(|it| (it.text, it.expected)).collect()
}

fn told(text: &str, lines: &[&str]) -> (String, Option<Vec<String>>) {
    let lines = lines.iter().map(|&line| line.to_owned()).collect();
    (text.to_owned(), Some(lines))
}

fn differs(expected: &[&str], printed: &str) -> Option<String> {
    let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
    difference(&expected, printed)
}

#[test]
fn what_follows_a_prompt_is_a_command_and_then_what_it_prints() {
    let page = "# A\n\n```console\n$ one\nout\n\nmore\n$ two   # why\n$ three\nend\n```\n";
    assert_eq!(
        texts(page),
        [
            told("one", &["out", "", "more"]),
            told("two   # why", &[]),
            told("three", &["end"]),
        ]
    );
}

#[test]
fn without_a_prompt_every_line_is_a_command_and_nothing_is_told_of_its_output() {
    let page = "```console\none\n\n# a comment\ntwo | three\n```\n";
    assert_eq!(
        texts(page),
        [("one".to_owned(), None), ("two | three".to_owned(), None)]
    );
}

#[test]
fn a_command_goes_on_after_a_backslash_and_through_a_here_document() {
    let page = "```console\n$ one \\\n  --two\nout\n$ cat <<'EOF' | tee a\nb: <<c\n$ d\nEOF\nb: <<c\n```\n\
                ```console\ncat <<-END > x\ny\nEND\nlast\n```\n";
    assert_eq!(
        texts(page),
        [
            told("one \\\n  --two", &["out"]),
            told("cat <<'EOF' | tee a\nb: <<c\n$ d\nEOF", &["b: <<c"]),
            ("cat <<-END > x\ny\nEND".to_owned(), None),
            ("last".to_owned(), None),
        ]
    );
}

#[test]
fn a_command_knows_its_line_and_its_heading() {
    let page = "```console\na\n```\n## First\n### Deeper\n```yaml\n## no heading\n```\n```console\nb\n```\n## Second\n```console\n$ c\n```\n";
    let all = commands(page).unwrap();
    let places: Vec<_> = all
        .iter()
        .map(|it| (it.line, it.section.as_str()))
        .collect();
    assert_eq!(places, [(2, ""), (10, "First"), (14, "Second")]);
}

#[test]
fn no_command_hides_in_a_block_of_another_language() {
    for language in ["sh", "bash", "shell", ""] {
        let page = format!("```{language}\nrm a\n```\n");
        let error = commands(&page).unwrap_err();
        assert!(error.starts_with("line 2: a block of language"), "{error}");
    }
    assert_eq!(
        texts("```yaml\na: b\n```\n```json\n{}\n```\n```text\na\n```\n"),
        []
    );
    assert!(commands("- a\n  ```console\n  rm a\n  ```\n").is_err());
}

#[test]
fn a_page_that_cannot_be_read_is_an_error() {
    for (page, error) in [
        ("```console\na\n", "the last block has no end"),
        (
            "```console\nout\n$ a\n```\n",
            "line 2: printed before the first command: out",
        ),
        (
            "```console\na \\\n```\n",
            "line 2: the block ends within a command",
        ),
        (
            "```console\ncat <<EOF\na\n```\n",
            "line 2: the block ends within a here-document",
        ),
    ] {
        assert_eq!(commands(page).unwrap_err(), error);
    }
}

#[test]
fn what_is_printed_as_told_does_not_differ() {
    assert_eq!(differs(&[], ""), None);
    assert_eq!(differs(&["a", "", "b "], "a  \n\nb\n\n"), None);
}

#[test]
fn an_ellipsis_stands_for_any_part_of_a_line() {
    let fits = |pattern, text| differs(&[pattern], text).is_none();
    assert!(fits("started … ago by …", "started 5s ago by alice"));
    assert!(fits("…end", "the end"));
    assert!(fits("a…a", "a a"));
    assert!(!fits("a…a", "a"));
    assert!(!fits("a…", "b a"));
    assert!(!fits("…a", "a b"));
    assert!(!fits("a", "a b"));
}

#[test]
fn an_ellipsis_alone_stands_for_any_lines() {
    assert_eq!(differs(&["…"], ""), None);
    assert_eq!(differs(&["…"], "a\nb"), None);
    assert_eq!(differs(&["a", "…", "b", "…"], "a\n1\nb\n2\nb"), None);
    // The first `b` is not the one that `c` follows.
    assert_eq!(differs(&["…", "b", "c"], "b\nb\nc"), None);
    assert!(differs(&["…", "b"], "a").is_some());
}

#[test]
fn what_differs_is_told_with_the_line_that_was_not_found() {
    let told = differs(&["a", "b", "c"], "a\nb\nd\n").unwrap();
    assert_eq!(told, "not found: c\nprinted:\na\nb\nd");
    let told = differs(&["a"], "a\nb").unwrap();
    assert_eq!(told, "nothing more is expected\nprinted:\na\nb");
    let told = differs(&[], "surprise").unwrap();
    assert_eq!(told, "nothing more is expected\nprinted:\nsurprise");
}

#[test]
fn a_command_is_typed_in_the_namespace_that_there_is() {
    let typed = |text| in_namespace(text, "test", "page-0");
    assert_eq!(
        typed("kubectl -n test get pods"),
        "kubectl -n page-0 get pods"
    );
    assert_eq!(typed("a -n test\nb -n test"), "a -n page-0\nb -n page-0");
    assert_eq!(
        typed("a -n testing b.test -n other"),
        "a -n testing b.test -n other"
    );
}

#[test]
fn a_command_in_a_sentence_is_read_with_its_placeholders_filled_in() {
    let page = "Try `p status [NAME] [-w]`, `p set image deployment/NAME A=B`,\n`p\nlint -f FILE\\|DIR\\|-`.\n\
                | `p a > b` | `p diff NAME N M` | `other` | `p` | `p-q` | `p c -A` |\n\
                ```console\n`p no`\n```\n`p <Tab>` and `p last`\n";
    let found: Vec<String> = mentions(page, "p").iter().map(|it| it.join(" ")).collect();
    assert_eq!(
        found,
        [
            "status x -w",
            "set image deployment/x x=x",
            "lint -f x",
            "a",
            "diff x 1 1",
            "c -A",
            "last"
        ]
    );
}
