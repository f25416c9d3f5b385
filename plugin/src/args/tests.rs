use clap::CommandFactory;

use super::*;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["kubectl-canary"], words].concat())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn a_name_may_carry_its_kind() {
    for text in [
        "podinfo",
        "canary/podinfo",
        "canaries/podinfo",
        "Canary/podinfo",
        "canaries.flagger.app/podinfo",
    ] {
        assert_eq!(text.parse(), Ok(CanaryName("podinfo".into())), "{text}");
    }
}

#[test]
fn a_name_that_could_leave_its_url_is_refused() {
    for text in [
        "",
        "../x",
        "a b",
        "canary/",
        "canary/a/b",
        "deploy/podinfo",
        "Podinfo",
        "a?b",
        "-a",
        "a-",
        "é",
        "a%2f",
    ] {
        assert!(text.parse::<CanaryName>().is_err(), "{text}");
    }
    assert!("a".repeat(254).parse::<CanaryName>().is_err());
}

#[test]
fn a_duration_is_written_as_in_go_or_in_seconds() {
    let table = [
        ("60s", 60),
        ("1m30s", 90),
        ("2h", 7200),
        ("0", 0),
        ("0s", 0),
        ("45", 45),
    ];
    for (text, seconds) in table {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in [
        "banana",
        "",
        "-5s",
        "-5",
        "5 parsecs",
        "99999999999999999999",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn flags_of_kubectl_stand_before_or_after_the_verb() {
    for words in [["-n", "test", "status"], ["status", "-n", "test"]] {
        let cli = parse(&words).unwrap();
        assert_eq!(cli.global.namespace.as_deref(), Some("test"));
    }
    let cli = parse(&[
        "status",
        "-s",
        "https://x:6443",
        "--as",
        "bob",
        "--as-group=a",
        "--as-group",
        "b",
        "-v=6",
    ])
    .unwrap();
    assert_eq!(cli.global.as_group, ["a", "b"]);
    assert_eq!(cli.global.v, 6);
}

#[test]
fn a_table_of_all_namespaces_takes_no_name() {
    assert!(parse(&["status", "-A", "podinfo"]).is_err());
    assert!(parse(&["status", "-A"]).is_ok());
}
