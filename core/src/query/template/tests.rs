use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::query::{check, check_variables, render};

fn model() -> QueryModel {
    let variables = [("code", "404"), ("my-key", "dash"), ("match", "a\"b\\c\nd")];
    QueryModel {
        name: "podinfo".into(),
        namespace: "test".into(),
        target: "backend".into(),
        service: "web".into(),
        ingress: "public".into(),
        route: "edge".into(),
        interval: "1m".into(),
        variables: variables
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

fn error(template: &str) -> String {
    render(template, &model()).unwrap_err().to_string()
}

#[test]
fn a_template_says_what_go_says() {
    let table = [
        ("{{namespace}}", "test"),
        ("{{ namespace }}_{{\n\tservice\r\n}}", "test_web"),
        ("{{ variables.code }}", "404"),
        (r#"{{ index variables "my-key" }}"#, "dash"),
        ("{{ index variables `my-key` }}", "dash"),
        // The one that Flagger's guide for Skipper has.
        (
            r#"route=~"{{ printf "kube(ew)?_%s__%s_canary__.*__%s_canary(_[0-9]+)?" namespace ingress service }}","#,
            r#"route=~"kube(ew)?_test__public_canary__.*__web_canary(_[0-9]+)?","#,
        ),
        (
            r#"{{ printf "%s:%v" target variables.code }}"#,
            "backend:404",
        ),
        (
            r#"{{ printf "%s-%s" target (index variables "my-key") }}"#,
            "backend-dash",
        ),
        (r#"{{ printf "%s %d%%" target 5 }}"#, "backend 5%"),
        (r#"{{ printf "%v" -3 }}"#, "-3"),
        (r#"{{ printf "%q" variables.match }}"#, r#""a\"b\\c\nd""#),
        (r#"{{ printf "%q" "\x01\u00a0é" }}"#, r#""\x01\u00a0é""#),
        (r#"{{ printf "none" }}"#, "none"),
        (r#"{{ namespace | printf "%s" }}"#, "test"),
        (r#"{{ service | printf "%s.%s" name }}"#, "podinfo.web"),
        (
            r#"{{ name | printf "a%s" | printf "b%s" | printf "%q" }}"#,
            r#""bapodinfo""#,
        ),
        ("{{ 5 | printf \"%d\" }}", "5"),
        (r#"{{ "a }} b\t\"\\" }}"#, "a }} b\t\"\\"),
        ("{{ `raw \\n }}` }}", "raw \\n }}"),
        ("{{ 12 }}", "12"),
        // Trim marks take spaces and newlines, on their side alone.
        ("a \n\t{{- namespace }} b", "atest b"),
        ("a {{ namespace -}} \n b", "a testb"),
        ("a {{- namespace -}} b", "atestb"),
        ("a {{- /* why */ -}} b", "ab"),
        ("a {{/* why */}} b", "a  b"),
        ("a {{/* }} {{ toUpper */}}b", "a b"),
        ("{{- name -}}\n{{- name -}}", "podinfopodinfo"),
        // What is not between {{ and }} is text.
        ("x{#} {%.+%} }} { { $a .b", "x{#} {%.+%} }} { { $a .b"),
        ("", ""),
    ];
    for (template, expected) in table {
        assert_eq!(
            render(template, &model()).as_deref(),
            Ok(expected),
            "{template}"
        );
    }
}

/// Template, what is said of it, and whether what can be used is said too.
const NOT_UNDERSTOOD: &[(&str, &str, bool)] = &[
    (
        "\n\n{{ toUpper namespace }}",
        r#"line 3: function "toUpper" is not supported"#,
        true,
    ),
    (
        "{{ namespace | toUpper }}",
        r#"line 1: function "toUpper" is not supported"#,
        true,
    ),
    (
        r#"{{ if eq namespace "a" }}x{{ end }}"#,
        r#"line 1: function "if" is not supported; line 1: function "end" is not supported"#,
        true,
    ),
    (
        r#"{{ printf "%s" (toUpper name) }}"#,
        r#"line 1: function "toUpper" is not supported"#,
        true,
    ),
    ("{{ nmespace }}", "line 1: unknown variable nmespace", true),
    (
        "{{ b }}\n{{ name.a }}",
        "line 1: unknown variable b; line 2: unknown variable name.a",
        true,
    ),
    (
        "{{ variables.kode }}\n{{ variables.code }}\n{{ index variables \"k-k\" }}",
        "line 1: unknown variable variables.kode; line 3: unknown variable variables.k-k",
        true,
    ),
    (
        "{{ .namespace }}",
        "line 1: a name has no dot in front: write {{ namespace }}",
        false,
    ),
    (
        "{{ $x := name }}",
        "line 1: $ names a variable of the template, which a query has not: write the value where it is needed",
        false,
    ),
    (
        "{{ variables.my-key }}",
        "line 1: a key with - in it is written as: index variables \"KEY\"",
        false,
    ),
    (
        "{{ variables }}",
        "line 1: variables needs a key: variables.KEY, or index variables \"KEY\"",
        false,
    ),
    (
        "{{ index variables name }}",
        "line 1: index is written as: index variables \"KEY\"",
        false,
    ),
    (
        "{{ name target }}",
        "line 1: a name or a text takes no value: only printf does",
        false,
    ),
    (
        "{{ name | target }}",
        "line 1: a name or a text takes no value: only printf does",
        false,
    ),
    (
        "{{ printf name }}",
        "line 1: printf needs a format in quotes: printf \"%s-canary\" target",
        false,
    ),
    (
        "{{ printf \"%s-%s\" name }}",
        "line 1: printf has 2 places for 1 values",
        false,
    ),
    (
        "{{ printf \"x\" name }}",
        "line 1: printf has 0 places for 1 values",
        false,
    ),
    (
        "{{ printf \"%5s\" name }}",
        "line 1: printf has no %5: use %s, %v, %q, %d or %%",
        false,
    ),
    (
        "{{ printf \"%[1]s\" name }}",
        "line 1: printf has no %[: use %s, %v, %q, %d or %%",
        false,
    ),
    (
        "{{ printf \"%\" }}",
        "line 1: printf: a % at the end is written as %%",
        false,
    ),
    (
        "{{ printf \"%d\" name }}",
        "line 1: printf: %d is for numbers: use %s",
        false,
    ),
    (
        "{{ printf \"%s\" 5 }}",
        "line 1: printf: %s is for texts: use %d",
        false,
    ),
    (
        "{{ printf \"%s\" ((name)) }}",
        "line 1: parentheses hold nothing but: index variables \"KEY\"",
        false,
    ),
    (
        "{{ printf \"%s\" name) }}",
        "line 1: a ) has no ( before it",
        false,
    ),
    (
        "{{ }}",
        "line 1: a name is missing between {{ and }}, or beside a |",
        false,
    ),
    (
        "{{ | name }}",
        "line 1: a name is missing between {{ and }}, or beside a |",
        false,
    ),
    ("a\n{{ namespace", "line 2: {{ is not closed by }}", false),
    (
        "{{ \"a",
        "line 1: a text in quotes is not closed on its line",
        false,
    ),
    ("{{ \"\\z\" }}", "line 1: \\z is no escape of Go's", false),
    ("{{ `a", "line 1: a text in ` is not closed", false),
    ("{{/* a", "line 1: the comment is not closed by */}}", false),
    (
        "{{/* a */ }}",
        "line 1: a comment ends with */}} or */ -}}",
        false,
    ),
    ("{{ 1.5 }}", "line 1: \"1.5\" is no whole number", false),
    (
        "{{ 1~1 }}",
        "line 1: '~' is not understood between {{ and }}",
        false,
    ),
    (
        "{{ \"a\" * 99999999 }}",
        "line 1: '*' is not understood between {{ and }}",
        false,
    ),
    (
        "{{-name-}}",
        "line 1: '-' is not understood between {{ and }}",
        false,
    ),
];

#[test]
fn what_is_not_understood_is_named_with_its_line() {
    let hint = "; a query can use name, namespace, target, service, ingress, route, interval, \
                variables.KEY with a key of templateVariables, index and printf";
    for (template, expected, hinted) in NOT_UNDERSTOOD {
        let hint = if *hinted { hint } else { "" };
        assert_eq!(error(template), format!("{expected}{hint}"), "{template}");
    }
}

#[test]
fn several_problems_are_told_at_once_and_many_are_counted() {
    let text = error(&"{{ a }}\n".repeat(9));
    assert!(
        text.starts_with("line 1: unknown variable a; line 2: "),
        "{text}"
    );
    assert!(
        text.contains("line 5: unknown variable a; and 4 more; a query can use"),
        "{text}"
    );
    let text = error(&format!("{{{{ {} }}}}", "x".repeat(5000)));
    assert!(text.len() < 400, "{text}");
}

#[test]
fn the_keys_of_variables_are_those_of_the_canary_and_asked_for_apart() {
    let template = "{{ variables.other }}";
    assert_eq!(check(template), Ok(()));
    assert!(check_variables(template, &model().variables).is_err());
    // What cannot be read is told by `check`.
    assert_eq!(
        check_variables("{{ toUpper name }}", &BTreeMap::new()),
        Ok(())
    );
}

/// Each was a crash of every replica, or hundreds of megabytes, with a parser of expressions.
fn attacks() -> Vec<String> {
    let mut found = Vec::new();
    for size in [4 * 1024, 8 * 1024, 16 * 1024, 32 * 1024, 1024 * 1024] {
        found.push(format!("{{{{ {} 1 }}}}", "not ".repeat(size / 4)));
        found.push(format!("{{{{ {}1 }}}}", "1~".repeat(size / 2)));
        found.push(format!(
            "{{{{ {}1{} }}}}",
            "(".repeat(size / 2),
            ")".repeat(size / 2)
        ));
        found.push(format!("{{{{ {}1 }}}}", "-".repeat(size)));
        found.push(format!("{{{{ name{} }}}}", "|name".repeat(size / 5)));
        found.push(format!(
            "{{{{ name{} }}}}",
            "| printf \"%s%s\"".repeat(size / 15)
        ));
        found.push(format!("{{{{ {} }}}}", "[".repeat(size)));
        found.push(format!("{{{{ a{} }}}}", ".a".repeat(size / 2)));
        found.push("{{".repeat(size / 2));
        found.push("{{}}".repeat(size / 4));
        found.push("{{/*".repeat(size / 4));
        found.push("{{`".repeat(size / 3));
        found.push("{{- ".repeat(size / 4));
    }
    found.push("{{".repeat(100_000));
    found.push("{{ \"a\" * 99999999 }}".to_owned());
    found.push("{{ printf \"%99999999s\" name }}".to_owned());
    found
}

#[test]
fn what_crashed_a_parser_is_a_short_error() {
    for attack in attacks() {
        let text = error(&attack);
        assert!(text.len() < 1000, "{text}");
        let shown: String = attack.chars().take(60).collect();
        assert!(check(&attack).is_err(), "{shown}");
    }
}

#[test]
fn a_template_is_read_up_to_its_bound_and_not_beyond() {
    let long = "x".repeat(MAX_TEMPLATE);
    assert_eq!(render(&long, &model()).as_deref(), Ok(long.as_str()));
    assert_eq!(
        error(&format!("{long}x")),
        "the query has 8193 bytes: at most 8192 are read"
    );
    let many = |count| "{{name}}".repeat(count);
    assert_eq!(
        render(&many(ACTIONS), &model()).unwrap(),
        "podinfo".repeat(ACTIONS)
    );
    assert_eq!(
        error(&many(ACTIONS + 1)),
        "line 1: there are more than 256 {{ … }}"
    );
    let values = |count| {
        let (places, names) = ("%s".repeat(count), " name".repeat(count));
        format!("{{{{ printf \"{places}\"{names} }}}}")
    };
    assert!(render(&values(16), &model()).is_ok());
    assert_eq!(error(&values(17)), "line 1: printf takes at most 16 values");
    let stages = |count| format!("{{{{ name{} }}}}", "|printf \"%s\"".repeat(count));
    assert!(render(&stages(7), &model()).is_ok());
    assert_eq!(
        error(&stages(8)),
        "line 1: a pipeline has at most 8 commands"
    );
}

#[test]
fn a_long_variable_cannot_make_the_query_longer_than_its_bound() {
    let filled = |template: &str, length: usize| {
        let mut model = model();
        model
            .variables
            .insert("long".into(), "é".repeat(length / 2));
        render(template, &model).map(|text| text.len())
    };
    assert_eq!(filled("{{ variables.long }}", MAX_QUERY), Ok(MAX_QUERY));
    assert_eq!(
        filled("x{{ variables.long }}", MAX_QUERY),
        Err(QueryError::Filled)
    );
    assert_eq!(
        filled("{{ variables.long }}", 1 << 20),
        Err(QueryError::Filled)
    );
    let twice = "{{ variables.long }}{{ variables.long | printf \"%s%s\" variables.long }}";
    assert_eq!(filled(twice, MAX_QUERY / 2), Err(QueryError::Filled));
    assert_eq!(
        filled("{{ printf \"%q\" variables.long }}", MAX_QUERY),
        Err(QueryError::Filled)
    );
}

/// A piece of a template: sound, broken, or only a sign of the language.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{/*",
        "*/}}",
        "*/ -}}",
        "name",
        "namespace",
        "variables",
        "variables.code",
        ".code",
        "index",
        "printf",
        "\"%s\"",
        "\"%q %d %%\"",
        "`a`",
        "\"my-key\"",
        "|",
        "(",
        ")",
        " ",
        "\n",
        "-",
        "1",
        "~",
        "not",
        "or",
        "and",
        "if",
        "end",
        "$x",
        ":=",
        "\\",
        "\"",
        "`",
        "%",
        "[",
        "]",
        "{",
        "}",
        "é",
        "\u{0}",
        "{{ name }}",
        "{{ printf \"%s\" name }}",
        "sum(rate(x{a=\"b\"}[1m])) # why",
        "* 9999",
    ]);
    prop_oneof![
        9 => known.prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (prop::sample::select(vec!["not ", "(", "1~", "|name", "{{", "-", "\\", "\"%s\" "]), 1..900_usize)
            .prop_map(|(text, times)| text.repeat(times)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_ends_in_a_bounded_query_or_a_short_error(
        pieces in prop::collection::vec(piece(), 0..40),
    ) {
        let template = pieces.concat();
        match render(&template, &model()) {
            Ok(query) => prop_assert!(query.len() <= MAX_QUERY),
            Err(error) => prop_assert!(error.to_string().len() < 1000),
        }
        // Nothing but a missing key or the length of what is filled in is left for later.
        if check(&template).is_ok() {
            let late = render(&template, &model());
            prop_assert!(late.is_ok() || late == Err(QueryError::Filled)
                || check_variables(&template, &model().variables).is_err());
        }
    }

    #[test]
    fn whatever_bytes_are_written_are_read(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let template = String::from_utf8_lossy(&bytes);
        let _ = render(&template, &model());
        let _ = render(&format!("{{{{ {template}"), &model());
    }

    #[test]
    fn without_braces_a_query_is_sent_byte_for_byte(text in "(?s).{0,200}") {
        let text = text.replace('{', "{ ");
        prop_assert_eq!(render(&text, &model()), Ok(text));
    }

    #[test]
    fn what_stands_around_a_name_is_sent_byte_for_byte(
        before in "(?s)[^{]{0,80}", after in "(?s)[^{]{0,80}",
    ) {
        let query = render(&format!("{before}{{{{ target }}}}{after}"), &model());
        prop_assert_eq!(query, Ok(format!("{before}backend{after}")));
    }

    #[test]
    fn printf_puts_each_value_once(
        texts in prop::collection::vec("[a-z%]{0,6}", 1..17), names in prop::collection::vec(0..7_usize, 0..16),
    ) {
        let count = names.len().min(texts.len() - 1);
        let names: Vec<_> = names[..count].iter().map(|index| &NAMES[*index]).collect();
        let escaped = texts[..=count].iter().map(|text| text.replace('%', "%%"));
        let format = escaped.collect::<Vec<_>>().join("%s");
        let words: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        let query = render(&format!("{{{{ printf \"{format}\" {} }}}}", words.join(" ")), &model());
        let mut expected = texts[0].clone();
        for ((_, of), text) in names.iter().zip(&texts[1..]) {
            expected = expected + of(&model()) + text;
        }
        prop_assert_eq!(query, Ok(expected));
    }
}

/// One that evaluates expressions is only for an example, which writes manifests on a developer's machine.
#[test]
fn no_template_engine_is_part_of_the_library() {
    let manifest = include_str!("../../../Cargo.toml");
    let (library, examples) = manifest.split_once("[dev-dependencies]").unwrap();
    assert!(!library.contains("jinja"));
    assert!(examples.contains("jinja"));
}
