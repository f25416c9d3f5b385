//! The completion scripts in the shells that they are for, and kubectl's own way to them.

use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::Result;
use canary_tests::process::run;
use canary_tests::tools::{Level, binary, require, tools};
use tempfile::TempDir;

/// What the shell prints for this script, with the plugin in PATH.
async fn shell(program: &str, flags: &[&str], script: &str) -> Result<String> {
    let folder = TempDir::new()?;
    let plugin = binary("kubectl-canary")?;
    symlink(&plugin, folder.path().join("kubectl-canary"))?;
    symlink(&plugin, folder.path().join("kubectl_complete-canary"))?;
    let mut command = Command::new(require(program)?);
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    command
        .args(flags)
        .args(["-c", script])
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("KUBECONFIG", "/dev/null");
    run(command, "").await?.ok()
}

#[tokio::test]
async fn zsh_completes_by_its_script() -> Result<()> {
    // Completion itself needs a terminal: what zsh's function would be given is printed instead.
    let script = r#"
        compdef() { echo "compdef $*" }
        _files() { echo files }
        _describe() { print -l -- ${(P)2} }
        source <(kubectl-canary completion zsh)
        try() { words=(kubectl-canary "$@"); CURRENT=${#words}; _kubectl_canary }
        try promo
        try status --color ""
        try lint -f ""
    "#;
    assert_eq!(
        shell("zsh", &["-f"], script).await?,
        "compdef _kubectl_canary kubectl-canary\n\
         promote:Let a release go on: open the gate it waits at, or take the next step\n\
         auto\nalways\nnever\nfiles\n"
    );
    Ok(())
}

#[tokio::test]
async fn fish_completes_by_its_script() -> Result<()> {
    let script = r#"
        kubectl-canary completion fish | source
        complete -C "kubectl-canary promo"
        complete -C "kubectl-canary status --color "
    "#;
    assert_eq!(
        shell("fish", &["-N"], script).await?,
        "promote\tLet a release go on: open the gate it waits at, or take the next step\n\
         always\nauto\nnever\n"
    );
    Ok(())
}

#[tokio::test]
async fn kubectl_asks_the_plugin_for_its_words() -> Result<()> {
    let kubectl = tools(Level::ControlPlane)?.join("kubectl");
    let script = format!("{} __complete canary promo", kubectl.display());
    let offered = shell("bash", &[], &script).await?;
    assert!(
        offered.starts_with("promote\tLet a release go on"),
        "{offered}"
    );
    assert!(offered.contains("\n:4\n"), "{offered}");
    Ok(())
}
