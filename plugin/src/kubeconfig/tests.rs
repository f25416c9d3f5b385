use std::path::PathBuf;

use super::*;

const ONE: &str = "
apiVersion: v1
kind: Config
current-context: red
clusters: [{name: red, cluster: {server: 'https://red:6443'}}]
users: [{name: red, user: {token: red-token}}]
contexts: [{name: red, context: {cluster: red, user: red, namespace: crimson}}]
";
const TWO: &str = "
apiVersion: v1
kind: Config
current-context: blue
clusters: [{name: blue, cluster: {server: 'https://blue:6443', insecure-skip-tls-verify: true}}, {name: red, cluster: {server: 'https://wrong:1'}}]
users: [{name: blue, user: {token: blue-token}}]
contexts: [{name: blue, context: {cluster: blue, user: blue}}]
";

fn written(texts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = texts.iter().enumerate().map(|(i, text)| {
        let path = folder.path().join(format!("config-{i}"));
        std::fs::write(&path, text).unwrap();
        path
    });
    let paths = paths.collect();
    (folder, paths)
}

fn environment(paths: &[PathBuf]) -> Env {
    Env {
        kubeconfig: Some(std::env::join_paths(paths).unwrap()),
        ..Env::default()
    }
}

fn connect(flags: &Global, env: &Env) -> Result<Config, Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(config(flags, env))
}

#[test]
fn a_list_of_files_merges_and_the_first_to_set_a_value_wins() {
    let (_folder, mut paths) = written(&[ONE, TWO]);
    paths.insert(1, "/nonexistent/kubeconfig".into());
    let env = environment(&paths);
    let config = connect(&Global::default(), &env).unwrap();
    assert_eq!(
        (config.cluster_url.host(), config.default_namespace.as_str()),
        (Some("red"), "crimson")
    );
    let blue = Global {
        context: Some("blue".into()),
        ..Global::default()
    };
    let config = connect(&blue, &env).unwrap();
    assert_eq!(
        (config.cluster_url.host(), config.default_namespace.as_str()),
        (Some("blue"), "default")
    );
    assert!(config.accept_invalid_certs);
}

#[test]
fn flags_win_over_files() {
    let (_folder, paths) = written(&[ONE, TWO]);
    let flags = Global {
        namespace: Some("test".into()),
        user: Some("blue".into()),
        server: Some("https://other:1".into()),
        as_user: Some("bob".into()),
        as_group: vec!["ops".into()],
        as_uid: Some("7".into()),
        tls_server_name: Some("name".into()),
        insecure_skip_tls_verify: true,
        ..Global::default()
    };
    let config = connect(&flags, &environment(&paths)).unwrap();
    assert_eq!(config.cluster_url.host(), Some("other"));
    assert_eq!(config.default_namespace, "test");
    assert_eq!(config.auth_info.impersonate.as_deref(), Some("bob"));
    assert_eq!(
        config.auth_info.impersonate_groups,
        Some(vec!["ops".to_owned()])
    );
    assert_eq!(config.auth_info.impersonate_uid.as_deref(), Some("7"));
    assert_eq!(config.tls_server_name.as_deref(), Some("name"));
    assert!(config.accept_invalid_certs && !config.default_retry);
}

#[test]
fn a_server_alone_is_enough() {
    let flags = Global {
        server: Some("127.0.0.1:6443".into()),
        ..Global::default()
    };
    let config = connect(&flags, &Env::default()).unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:6443/");
}

#[test]
fn what_cannot_be_used_is_named() {
    let (_folder, paths) = written(&[
        ONE,
        "clusters: {not: [a list",
        "current-context: \"\"\ncontexts: []\nclusters: [{name: a}]",
    ]);
    let said = |flags: Global, paths: &[PathBuf]| {
        connect(&flags, &environment(paths))
            .unwrap_err()
            .to_string()
    };
    let missing = Global {
        context: Some("green".into()),
        ..Global::default()
    };
    assert!(said(missing, &paths[..1]).ends_with("no context `green`"));
    let missing = Global {
        user: Some("green".into()),
        ..Global::default()
    };
    assert!(said(missing, &paths[..1]).ends_with("no user `green`"));
    let missing = Global {
        kubeconfig: Some("/nonexistent".into()),
        ..Global::default()
    };
    assert!(said(missing, &[]).contains("/nonexistent"));
    assert!(said(Global::default(), &paths[1..2]).contains("config-1"));
    assert!(said(Global::default(), &paths[2..]).contains("no current context"));
    let odd = Global {
        server: Some("ftp://x".into()),
        ..Global::default()
    };
    assert!(said(odd, &[]).contains("ftp://x"));
}

#[test]
fn where_no_cluster_is_named_it_says_where_it_looked() {
    let (folder, paths) = written(&["", "current-context: x"]);
    let said = |paths: &[PathBuf]| {
        let error = connect(&Global::default(), &environment(paths)).unwrap_err();
        let text = error.to_string();
        text.replace(&folder.path().display().to_string(), "")
    };
    let gone = folder.path().join("gone");
    for (paths, why) in [
        (&[][..], "no kubeconfig was found"),
        (std::slice::from_ref(&gone), "there is no /gone"),
        (&[gone.clone(), paths[0].clone()], "/config-0 names none"),
        (&paths, "/config-0, /config-1 names none"),
    ] {
        let expected = format!("no cluster is configured: {why}, and this is not a pod");
        assert_eq!(said(paths), expected);
    }
}

#[test]
fn a_proxy_of_the_environment_is_for_other_hosts() {
    let env = Env {
        https_proxy: Some("http://user:pw@proxy.example:3128".into()),
        no_proxy: Some("10.0.0.0/8, .corp.example".into()),
        ..Env::default()
    };
    let proxy = |server: &str| {
        let flags = Global {
            server: Some(server.into()),
            ..Global::default()
        };
        connect(&flags, &env)
            .unwrap()
            .proxy_url
            .map(|url| url.to_string())
    };
    for server in [
        "https://127.0.0.1:6443",
        "https://localhost",
        "https://[::1]:6443",
        "http://far.example",
        "https://api.corp.example:6443",
        "https://10.1.2.3",
    ] {
        assert_eq!(proxy(server), None, "{server}");
    }
    for server in [
        "https://far.example",
        "https://notcorp.example",
        "https://11.1.2.3",
    ] {
        assert_eq!(
            proxy(server).as_deref(),
            Some("http://user:pw@proxy.example:3128/"),
            "{server}"
        );
    }
}

#[test]
fn a_proxy_of_the_kubeconfig_has_no_exceptions() {
    let (_folder, paths) = written(&["
current-context: a
clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1', proxy-url: 'http://proxy.example'}}]
contexts: [{name: a, context: {cluster: a}}]
"]);
    let env = Env {
        no_proxy: Some("*".into()),
        ..environment(&paths)
    };
    let config = connect(&Global::default(), &env).unwrap();
    assert_eq!(config.proxy_url.unwrap().host(), Some("proxy.example"));
}
