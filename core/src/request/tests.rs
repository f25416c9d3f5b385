use proptest::prelude::*;

use super::*;

fn request() -> Request {
    Request {
        verb: Verb::Promote,
        revision: "v1-0123456789ab".into(),
        uid: "1acdd2fc-1090-4e9b-979b-8a6750ab84a9".into(),
        id: "7c1e4d".into(),
        options: BTreeMap::new(),
    }
}

#[test]
fn a_request_is_a_verb_a_revision_a_uid_and_an_id() {
    let text = "promote v1-0123456789ab 1acdd2fc-1090-4e9b-979b-8a6750ab84a9 7c1e4d";
    assert_eq!(parse(text), Ok(request()));
    assert_eq!(request().to_string(), text);
}

#[test]
fn options_follow_the_id() {
    let mut with_options = request();
    with_options.options = [("to", "50"), ("until", "2026-11-23T08:00:00Z")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let text = "promote v1-0123456789ab 1acdd2fc-1090-4e9b-979b-8a6750ab84a9 7c1e4d to=50 until=2026-11-23T08:00:00Z";
    assert_eq!(parse(text), Ok(with_options.clone()));
    assert_eq!(with_options.to_string(), text);
}

#[test]
fn every_verb_can_be_asked_for() {
    for verb in Verb::ALL {
        let asked = Request { verb, ..request() };
        assert_eq!(parse(&asked.to_string()), Ok(asked));
    }
}

#[test]
fn anything_else_is_malformed() {
    let revision = "v1-0123456789ab";
    for text in [
        String::new(),
        "promote".to_owned(),
        format!("promote {revision} uid"),
        format!("demote {revision} uid id"),
        format!("Promote {revision} uid id"),
        format!(" promote {revision} uid id"),
        format!("promote {revision} uid id "),
        format!("promote  {revision} uid id"),
        format!("promote {revision} uid id\n"),
        format!("promote {revision} uid id\npromote {revision} uid id"),
        format!("promote {revision} uid id option"),
        format!("promote {revision} uid id =value"),
        format!("promote {revision} uid id key="),
        format!("promote {revision} uid id key=a;b"),
        format!("promote {revision}\tuid id"),
        format!("promote {} uid id", "a".repeat(64)),
        format!("promote {revision} uid id{}", " a=b".repeat(9)),
    ] {
        assert_eq!(parse(&text), Err(RequestError::Malformed), "{text:?}");
    }
}

#[test]
fn an_option_given_twice_is_refused_by_name() {
    let error = parse("pause v1-0123456789ab uid id for=1m for=2m").unwrap_err();
    assert_eq!(error, RequestError::RepeatedOption("for".into()));
}

#[test]
fn the_error_says_how_a_request_is_written() {
    let error = parse("go").unwrap_err().to_string();
    assert!(
        error.contains("<verb> <revision> <canary uid> <id>"),
        "{error}"
    );
    assert!(
        error.contains("promote, promote-full, rollback, pause, resume, retry"),
        "{error}"
    );
}

#[test]
fn the_pattern_is_anchored_and_has_nothing_that_re2_lacks() {
    assert!(REQUEST_PATTERN.starts_with('^') && REQUEST_PATTERN.ends_with('$'));
    for beyond in ["(?=", "(?!", "(?<", "\\1", "*+", "++", "?+"] {
        assert!(!REQUEST_PATTERN.contains(beyond), "{beyond}");
    }
    // The one that is nested.
    assert!(REQUEST_PATTERN.contains("{1,120}){0,8}$") && 8 * 120 <= 1000);
    assert!(
        !REQUEST_PATTERN.contains("  "),
        "a line break of the source left spaces"
    );
}

#[test]
fn a_reason_counts_for_the_request_whose_id_it_bears() {
    let request = parse("promote v1-0123456789ab 3f2a-uid 7c1e4d").unwrap();
    assert_eq!(request.with_reason("looks good"), "7c1e4d looks good");
    for (annotation, reason) in [
        ("7c1e4d looks good", Some("looks good")),
        ("7c1e4d   .\t", Some(".")),
        // Of an earlier request, and of one whose id only begins alike.
        ("5a0f33 looks good", None),
        ("7c1e4d5 looks good", None),
        ("looks good", None),
        // No reason at all.
        ("7c1e4d", None),
        ("7c1e4d ", None),
        ("7c1e4d \t\u{a0}", None),
        ("", None),
        (" 7c1e4d looks good", None),
    ] {
        assert_eq!(request.reason(annotation), reason, "{annotation:?}");
    }
}

fn any_request() -> impl Strategy<Value = Request> {
    (
        prop::sample::select(Verb::ALL.to_vec()),
        "[A-Za-z0-9][A-Za-z0-9.-]{0,62}",
        "[A-Za-z0-9][A-Za-z0-9-]{0,62}",
        "[A-Za-z0-9][A-Za-z0-9-]{0,62}",
        prop::collection::btree_map("[a-z][a-z0-9-]{0,31}", "[A-Za-z0-9._:,/+-]{1,120}", 0..9),
    )
        .prop_map(|(verb, revision, uid, id, options)| Request {
            verb,
            revision,
            uid,
            id,
            options,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(request in any_request()) {
        prop_assert_eq!(parse(&request.to_string()), Ok(request));
    }

    #[test]
    fn a_reason_is_read_back_by_its_own_request_and_by_no_other(
        request in any_request(), other in any_request(), reason in "\\S.{0,40}"
    ) {
        let annotation = request.with_reason(&reason);
        prop_assert_eq!(request.reason(&annotation), Some(reason.trim()).filter(|it| !it.is_empty()));
        prop_assert!(other.id == request.id || other.reason(&annotation).is_none());
    }

    #[test]
    fn nothing_parses_that_does_not_match_the_pattern(
        text in prop_oneof![
            "\\PC{0,60}",
            "(promote|pause|x)[ \\t\\n]{1,2}[a-z0-9. -]{1,20} [a-z]{1,3} [a-z]{1,3}( [a-z=]{0,4}){0,3}\\n?",
        ]
    ) {
        let matches = regex_lite::Regex::new(REQUEST_PATTERN).unwrap().is_match(&text);
        match parse(&text) {
            Ok(request) => {
                prop_assert!(matches);
                // And what it was read as is what it says.
                prop_assert_eq!(parse(&request.to_string()), Ok(request));
            }
            Err(RequestError::Malformed) => prop_assert!(!matches),
            Err(RequestError::RepeatedOption(_)) => prop_assert!(matches),
        }
    }
}
