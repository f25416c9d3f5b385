//! What goes wrong before a release comes into play.

use std::time::Duration;

use axum::http::Method;
use axum::response::IntoResponse;

use crate::fake::{self, FakeApi, status, text};
use crate::run::{at, command, on, run};

const VERBS: [&[&str]; 11] = [
    &["status"],
    &["status", "podinfo"],
    &["status", "podinfo", "--watch"],
    &["promote", "podinfo"],
    &["rollback", "podinfo"],
    &["pause", "podinfo"],
    &["resume", "podinfo"],
    &["retry", "podinfo"],
    &["wait", "podinfo"],
    &["history", "podinfo"],
    &["explain", "podinfo"],
];

/// Every verb says it in the same way.
fn all_fail(api: &FakeApi, code: i32, cause: &str) {
    for verb in VERBS {
        on(api, verb).failed(code, cause);
    }
}

#[test]
fn an_unreachable_api_fails_at_once_with_one_line() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for verb in VERBS {
        let ran = at(&format!("http://{closed}"), verb);
        ran.failed(1, "cannot reach the Kubernetes API at http://127.0.0.1:");
        assert!(
            ran.stderr.contains("refused") && ran.stderr.contains("hint: "),
            "{}",
            ran.stderr
        );
        assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
    }
}

#[test]
fn a_server_that_hangs_is_left_after_the_request_timeout() {
    let api = FakeApi::answering(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        None
    });
    for verb in [
        &["status"][..],
        &["status", "podinfo", "-w"],
        &["promote", "podinfo"],
    ] {
        let ran = on(&api, &[verb, &["--request-timeout", "300ms"]].concat());
        ran.failed(1, "did not answer within 300ms");
        assert!(ran.took < Duration::from_secs(2), "{:?}", ran.took);
    }
}

#[test]
fn a_server_that_takes_connections_and_says_nothing_is_left_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let ran = at(
        &server,
        &[
            "status",
            "--insecure-skip-tls-verify",
            "--request-timeout=300ms",
        ],
    );
    ran.failed(1, "did not answer within 300ms");
    assert!(ran.took < Duration::from_secs(2), "{:?}", ran.took);
}

#[test]
fn unknown_credentials() {
    all_fail(
        &FakeApi::answering(|_, _| Some(status(401, "Unauthorized", "Unauthorized", ""))),
        1,
        "does not know these credentials",
    );
}

#[test]
fn a_user_who_may_not_read() {
    let said = "canaries.flagger.app is forbidden: User \"bob\" cannot list resource \"canaries\"";
    let api = FakeApi::answering(move |_, _| Some(status(403, "Forbidden", said, "")));
    all_fail(&api, 5, "User \"bob\" cannot list resource \"canaries\"");
}

#[test]
fn a_cluster_without_the_crd() {
    all_fail(
        &FakeApi::answering(|_, _| Some(text(404, "404 page not found\n"))),
        1,
        "the Canary CRD is not installed",
    );
}

#[test]
fn a_canary_that_does_not_exist() {
    let api = FakeApi::new(fake::canary(&fake::progressing()));
    for verb in ["status", "promote", "rollback", "pause", "resume", "retry"] {
        let ran = on(&api, &[verb, "podifo"]);
        ran.failed(4, "canary test/podifo not found");
        assert!(
            ran.stderr.contains("hint: did you mean podinfo?"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_server_that_is_none() {
    all_fail(
        &FakeApi::answering(|_, _| Some(text(200, "<html>hello</html>"))),
        1,
        "is no Kubernetes API",
    );
}

#[test]
fn a_broken_or_busy_server_is_not_asked_again_and_again() {
    for code in [500, 503, 429] {
        let api = FakeApi::answering(move |_, _| {
            Some(([("retry-after", "1")], status(code, "X", "try later", "")).into_response())
        });
        let ran = on(&api, &["status"]);
        ran.failed(1, "try later");
        assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    for (content, cause) in [
        ("{{{", "kubeconfig cannot be used"),
        ("[]", "kubeconfig cannot be used"),
        ("current-context: x", "no cluster is configured"),
        ("", "no cluster is configured"),
        ("contexts: [{name: a}]", "no current context"),
    ] {
        std::fs::write(&file, content).unwrap();
        let ran = run(command(&["status"]).env("KUBECONFIG", &file));
        assert_eq!(ran.code, 1);
        ran.failed(1, cause);
    }
    let config = "current-context: a\nclusters: [{name: a, cluster: {server: 'https://a'}}]\nusers: [{name: a, user: {token: \"a\\nb\"}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]";
    std::fs::write(&file, config).unwrap();
    run(command(&["status"]).env("KUBECONFIG", &file)).failed(1, "the token has characters");
    run(&mut command(&["status"])).failed(1, "no cluster is configured");
    run(&mut command(&[
        "status",
        "--kubeconfig",
        "/nonexistent/file",
    ]))
    .failed(1, "/nonexistent/file");
    run(&mut command(&["status", "--server", "::::"])).failed(1, "kubeconfig cannot be used");
    run(&mut command(&[
        "status",
        "--server",
        "https://x",
        "--certificate-authority",
        "/nonexistent/ca",
    ]))
    .failed(1, "/nonexistent/ca");
}

#[test]
fn a_usage_error_is_1_and_help_is_0() {
    for words in [
        &["--banana"][..],
        &["banana"],
        &["promote"],
        &["promote", "a", "b"],
        &["promote", "../../secrets"],
        &["promote", "deploy/podinfo"],
        &["pause", "podinfo", "--timeout", "banana"],
        &["status", "-n", "Not A Namespace"],
        &["status", "-o", "banana"],
        &[
            "status",
            "-w",
            "-o",
            "name",
            "--server",
            "http://127.0.0.1:1",
        ],
        &["status", "-v", "banana"],
        &["completion", "banana"],
        &[],
    ] {
        let ran = run(&mut command(words));
        assert_eq!(ran.code, 1, "{words:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty(), "{words:?}");
    }
    for words in [
        &["--help"][..],
        &["help"],
        &["status", "--help"],
        &["--version"],
        &["promote", "-h"],
    ] {
        let ran = run(&mut command(words));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
        assert!(ran.stdout.contains("canary"), "{words:?}");
    }
}

#[test]
fn no_odd_value_of_any_flag_makes_it_panic() {
    let odd = [
        "",
        "\u{0}",
        "💥",
        "-1",
        "999999999999999999999",
        "a\nb",
        "%s",
        "../..",
        "http://",
        "[::1",
    ];
    let flags = [
        "--namespace",
        "--context",
        "--cluster",
        "--user",
        "--kubeconfig",
        "--as",
        "--as-group",
        "--as-uid",
        "--request-timeout",
        "--server",
        "--token",
        "--certificate-authority",
        "--client-certificate",
        "--client-key",
        "--tls-server-name",
        "-v",
        "--color",
    ];
    let closed = "http://127.0.0.1:1";
    for flag in flags {
        for value in odd.iter().filter(|value| !value.contains('\u{0}')) {
            let ran = run(&mut command(&[
                "status",
                "--server",
                closed,
                &format!("{flag}={value}"),
            ]));
            assert_eq!(ran.code, 1, "{flag}={value:?}: {}", ran.stderr);
        }
    }
    for value in odd.iter().filter(|value| !value.contains('\u{0}')) {
        for words in [["promote", value], ["status", value], ["completion", value]] {
            assert_eq!(run(&mut command(&words)).code, 1, "{words:?}");
        }
    }
}

#[test]
fn a_completion_script_for_each_shell() {
    // Some ask the program each time, the others hold the words themselves.
    for (shell, part) in [
        ("bash", "kubectl-canary __complete"),
        ("zsh", "kubectl-canary __complete"),
        ("fish", "kubectl-canary __complete"),
        ("kubectl", "kubectl-canary __complete"),
        ("powershell", "request-timeout"),
        ("elvish", "request-timeout"),
    ] {
        let ran = run(&mut command(&["completion", shell]));
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains(part), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command(&["completion", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn versions_are_shown_as_far_as_they_are_visible() {
    let ran = run(&mut command(&["version", "--client"]));
    ran.said(&format!("plugin       {}\n", env!("CARGO_PKG_VERSION")));
    let ran = at("http://127.0.0.1:1", &["version"]);
    assert!(ran.stdout.starts_with("plugin "), "{}", ran.stdout);
    ran.failed(1, "cannot reach");
    let api = FakeApi::answering(|call, _| match call.path.as_str() {
        "/version" => Some(text(
            200,
            r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#,
        )),
        path if path.contains("customresourcedefinitions") => Some(text(404, "404 page not found")),
        _ => None,
    });
    let ran = on(&api, &["version", "-o", "json"]);
    let versions: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (
            ran.code,
            &versions["server"]["crd"],
            &versions["server"]["kubernetes"]
        ),
        (0, &"Missing".into(), &"v1.36.3".into())
    );
}

#[test]
fn requests_are_logged_where_that_is_asked_for_and_credentials_never() {
    let api = FakeApi::new(fake::canary(&fake::progressing()));
    let ran = on(
        &api,
        &["status", "podinfo", "-v", "8", "--token", "very-secret"],
    );
    assert!(
        ran.stderr.contains("/canaries/podinfo") && !ran.stderr.contains("very-secret"),
        "{}",
        ran.stderr
    );
    assert_eq!(on(&api, &["status", "podinfo"]).stderr, "");
}

#[test]
fn reading_verbs_write_nothing() {
    let api = FakeApi::answering(|call, _| {
        assert_eq!(call.method, Method::GET);
        None
    });
    assert_eq!(on(&api, &["status", "podinfo"]).code, 0);
    assert!(api.patches().is_empty());
}
