//! Who asks: from kubeconfig files, credential plugins and flags, as the server sees it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{FakeApi, status};
use crate::run::{Ran, command, run};

type Seen = Arc<Mutex<Vec<BTreeMap<String, Vec<String>>>>>;

/// A server that knows one token, and the headers of what it was asked.
fn knowing(token: &'static str) -> (FakeApi, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let api = FakeApi::answering(move |call, _| {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &call.headers {
            let value = value.to_str().unwrap().to_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        let known = headers.get("authorization") == Some(&vec![format!("Bearer {token}")]);
        kept.lock().unwrap().push(headers);
        (!known).then(|| status(401, "Unauthorized", "Unauthorized", ""))
    });
    (api, seen)
}

fn cluster(api: &FakeApi) -> Value {
    json!([{"name": "lab", "cluster": {"server": api.address}}])
}

fn write(folder: &Path, name: &str, config: &Value) -> String {
    let file = folder.join(name);
    std::fs::write(&file, config.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// `status` with a credential plugin that is this shell script.
fn with_plugin(api: &FakeApi, script: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "current-context": "lab", "clusters": cluster(api),
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me", "namespace": "test"}}],
        "users": [{"name": "me", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
            "args": ["-c", script],
        }}}],
    });
    let file = write(folder.path(), "config", &config);
    run(command(&["status"])
        .env("KUBECONFIG", file)
        .env("PATH", "/usr/bin:/bin"))
}

fn credential(token: &str, until: &str) -> String {
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": until},
    });
    format!("echo '{credential}'")
}

#[cfg(unix)]
#[test]
fn a_credential_plugin_s_token_is_used_while_it_is_valid() {
    let (api, _) = knowing("fresh");
    let ran = with_plugin(&api, &credential("fresh", "2999-01-01T00:00:00Z"));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[cfg(unix)]
#[test]
fn an_expired_credential_ends_with_one_line_and_not_with_a_loop() {
    let (api, seen) = knowing("fresh");
    let ran = with_plugin(&api, &credential("stale", "2020-01-01T00:00:00Z"));
    ran.failed(1, "does not know these credentials");
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert!(seen.lock().unwrap().len() <= 2);
}

#[cfg(unix)]
#[test]
fn what_a_credential_plugin_complains_about_is_passed_on() {
    let (api, seen) = knowing("fresh");
    let ran = with_plugin(&api, "echo 'session expired: log in again' >&2; exit 7");
    ran.failed(1, "sh");
    assert!(ran.stderr.contains("session expired: log in again"));
    assert!(
        seen.lock().unwrap().is_empty(),
        "nobody is asked without it"
    );
    let absent = with_plugin(&api, "exec does-not-exist-anywhere");
    absent.failed(1, "127");
}

#[test]
fn two_kubeconfigs_are_one() {
    let (api, seen) = knowing("of-bob");
    let folder = tempfile::tempdir().unwrap();
    let first = write(
        folder.path(),
        "clusters",
        &json!({"current-context": "one", "clusters": cluster(&api),
            "contexts": [{"name": "one", "context": {"cluster": "lab", "user": "nobody"}}]}),
    );
    let second = write(
        folder.path(),
        "users",
        &json!({"current-context": "three", "users": [{"name": "bob", "user": {"token": "of-bob"}}],
            "contexts": [{"name": "two", "context": {"cluster": "lab", "user": "bob", "namespace": "test"}}]}),
    );
    let both = std::env::join_paths([&first, &second]).unwrap();
    let ran = run(command(&["status", "--context", "two"]).env("KUBECONFIG", &both));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("podinfo"), "{}", ran.stdout);
    assert_eq!(seen.lock().unwrap().len(), 1);
    // The first file says which context is meant; a user in neither file is nobody, as with kubectl.
    let ran = run(command(&["status"]).env("KUBECONFIG", &both));
    ran.failed(1, "does not know these credentials");
}

#[test]
fn who_is_impersonated_stands_in_every_request() {
    let (api, seen) = knowing("of-bob");
    let ran = run(&mut command(&[
        "status",
        "--server",
        &api.address,
        "-n",
        "test",
        "--token=of-bob",
        "--as=alice",
        "--as-group=dev",
        "--as-group=oncall",
        "--as-uid=u-1",
    ]));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty());
    for headers in seen.iter() {
        let said = |name: &str| headers.get(name).cloned().unwrap_or_default();
        assert_eq!(said("impersonate-user"), ["alice"]);
        assert_eq!(said("impersonate-group"), ["dev", "oncall"]);
        assert_eq!(said("impersonate-uid"), ["u-1"]);
    }
}
