//! Completion: kubectl's protocol, and that it never keeps anybody waiting.

use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::fake::{FakeApi, canary, progressing};
use crate::run::{Ran, command, on, run};

fn complete(api: &FakeApi, words: &[&str]) -> Ran {
    let server = ["__complete", "--server", &api.address, "-n", "test"];
    run(&mut command(&[&server, words].concat()))
}

#[test]
fn names_come_from_the_cluster_with_what_they_are_doing() {
    let api = FakeApi::new(canary(&progressing()));
    complete(&api, &["pause", ""]).said("podinfo\tProgressing, canary 10 %\n:4\n");
    complete(&api, &["status", "pod"]).said("podinfo\tProgressing, canary 10 %\n:4\n");
    complete(&api, &["status", "canary/p"]).said("canary/podinfo\tProgressing, canary 10 %\n:4\n");
    // It is not paused, has not failed, and is not called so.
    for words in [&["resume", ""][..], &["retry", ""], &["pause", "x"]] {
        complete(&api, words).said(":4\n");
    }
    api.state.merge(&json!({"status": {"release": {"paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 1, "by": "bob"}}}}));
    complete(&api, &["resume", ""]).said("podinfo\tPaused\n:4\n");
    complete(&api, &["pause", ""]).said(":4\n");
}

#[test]
fn what_is_no_name_needs_no_cluster() {
    let api = FakeApi::answering(|call, _| panic!("{} was asked", call.path));
    let ran = complete(&api, &["roll"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.starts_with("rollback\t") && ran.stdout.ends_with("\n:4\n"),
        "{}",
        ran.stdout
    );
    complete(&api, &["lint", "-f", ""]).said(":0\n");
    assert!(api.urls().is_empty());
}

#[test]
fn nothing_that_is_wrong_is_said_or_waited_for() {
    let hanging = FakeApi::answering(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        None
    });
    let ran = complete(&hanging, &["pause", ""]);
    ran.said(":4\n");
    assert_eq!(ran.stderr, "");
    // The budget, and the start of a process on a machine that does much else.
    assert!(ran.took < Duration::from_millis(2500), "{:?}", ran.took);
    let closed = ["__complete", "--server", "http://127.0.0.1:1", "pause", ""];
    run(&mut command(&closed)).said(":4\n");
    let refusing = FakeApi::answering(|_, _| Some(crate::fake::text(403, "no")));
    complete(&refusing, &["pause", ""]).said(":4\n");
    // Without any cluster, words, or sense.
    for words in [
        &["__complete"][..],
        &["__complete", "pause", ""],
        &["__complete", "banana", ""],
        &["__complete", "--banana=\u{7}"],
    ] {
        let ran = run(&mut command(words));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{words:?}");
        assert!(ran.stdout.ends_with(":4\n"), "{words:?}: {}", ran.stdout);
    }
}

#[test]
fn a_credential_plugin_cannot_ask_or_hold_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = json!({
        "current-context": "a", "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}, {"name": "prod", "context": {"cluster": "a", "user": "a"}}],
        "users": [{"name": "a", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Always",
            "args": ["-c", "echo a question >&2; read answer; sleep 3"],
        }}}],
    });
    std::fs::write(file.path(), config.to_string()).unwrap();
    let ran = run(command(&["__complete", "pause", ""])
        .env("KUBECONFIG", file.path())
        .env("PATH", "/usr/bin:/bin"));
    ran.said(":4\n");
    assert_eq!(ran.stderr, "");
    assert!(ran.took < Duration::from_millis(2500), "{:?}", ran.took);
    let ran =
        run(command(&["__complete", "status", "--context", "p"]).env("KUBECONFIG", file.path()));
    ran.said("prod\n:4\n");
}

#[cfg(unix)]
#[test]
fn kubectl_finds_it_under_the_name_that_it_looks_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kubectl_complete-canary");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-canary"), &program).unwrap();
    let mut linked = Command::new(&program);
    linked
        .env_clear()
        .env("HOME", "/nonexistent")
        .args(["promo"]);
    let ran = run(&mut linked);
    assert!(
        ran.stdout.starts_with("promote\t") && ran.stdout.ends_with(":4\n"),
        "{}",
        ran.stdout
    );
    // The script that is shipped beside it does the same.
    let script = folder.path().join("script");
    std::fs::write(
        &script,
        run(&mut command(&["completion", "kubectl"])).stdout,
    )
    .unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_kubectl-canary"),
        folder.path().join("kubectl-canary"),
    )
    .unwrap();
    let mut shell = Command::new("/bin/sh");
    shell
        .env_clear()
        .env("PATH", folder.path())
        .arg(&script)
        .args(["promo"]);
    assert_eq!(run(&mut shell).stdout, ran.stdout);
}

#[cfg(unix)]
#[test]
fn bash_completes_by_its_script() {
    if !std::path::Path::new("/bin/bash").exists() {
        return;
    }
    let api = FakeApi::new(canary(&progressing()));
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_kubectl-canary"),
        folder.path().join("kubectl-canary"),
    )
    .unwrap();
    let script = on(&api, &["completion", "bash"]).stdout;
    let words = format!("kubectl-canary pause -n test --server {} po", api.address);
    let tried = format!(
        "{script}\nCOMP_WORDS=({words}); COMP_CWORD=6; _kubectl_canary; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("/bin/bash");
    bash.env_clear()
        .env("PATH", folder.path())
        .env("HOME", "/nonexistent")
        .args(["-c", &tried]);
    let ran = run(&mut bash);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("podinfo\n", "")
    );
}
