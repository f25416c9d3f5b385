//! A person's terminal: the project's folder, bash, kubectl with the plugin, and a kubeconfig.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::clock::now;
use canary_tests::control_plane::ControlPlane;
use canary_tests::docs::{self, difference, in_namespace};
use canary_tests::process::{Output, run};
use canary_tests::tools::{binary, folder};
use kube::config::Kubeconfig;

use crate::elsewhere::{ENDLESS, elsewhere};

/// How the pages call the namespace that they are about.
const SHOWN: &str = "test";
/// How long a command may take; one that waits for a release says so itself.
const LIMIT: Duration = Duration::from_secs(90);
/// After so many seconds what would not end is interrupted.
const CTRL_C: &str = "3";

/// Who types: she may do everything.
const PERSON: &str = "alice";

pub struct Shell {
    folder: tempfile::TempDir,
    namespace: String,
}

// === impl Shell ===

impl Shell {
    /// In that namespace, which is there.
    pub fn new(plane: &ControlPlane, namespace: &str) -> Result<Self> {
        let shell = Self {
            folder: tempfile::tempdir()?,
            namespace: namespace.to_owned(),
        };
        shell.lay_out_project()?;
        shell.lay_out_programs(plane.tools())?;
        std::fs::create_dir_all(shell.path("home/.local/bin"))?;
        let theirs = plane.kubeconfig_for(PERSON, &["system:masters"])?;
        let mut kubeconfig = Kubeconfig::read_from(theirs)?;
        for named in &mut kubeconfig.contexts {
            let context = named.context.as_mut().context("context")?;
            context.namespace = Some(namespace.to_owned());
        }
        std::fs::write(
            shell.path("kubeconfig"),
            serde_yaml::to_string(&kubeconfig)?,
        )?;
        Ok(shell)
    }

    fn path(&self, inside: &str) -> std::path::PathBuf {
        self.folder.path().join(inside)
    }

    /// It looks like the project's folder, but what is written there goes away.
    fn lay_out_project(&self) -> Result<()> {
        let project = self.path("project");
        std::fs::create_dir(&project)?;
        for entry in std::fs::read_dir(folder(""))? {
            let entry = entry?;
            symlink(entry.path(), project.join(entry.file_name()))?;
        }
        Ok(())
    }

    fn lay_out_programs(&self, tools: &Path) -> Result<()> {
        let programs = self.path("bin");
        std::fs::create_dir(&programs)?;
        for tool in ["kubectl", "helm"] {
            symlink(tools.join(tool), programs.join(tool))?;
        }
        symlink(binary("kubectl-canary")?, programs.join("kubectl-canary"))?;
        // No browser opens on the machine of whoever runs the tests.
        symlink("/bin/true", programs.join("xdg-open"))?;
        Ok(())
    }

    /// Types them one after the other, until one does not do what the page says.
    pub async fn play(&self, page: &str, commands: &[docs::Command]) -> Result<(), String> {
        for command in commands {
            let place = format!("{page}:{}: $ {}", command.line, command.text);
            match elsewhere(&command.text) {
                Some(row) => println!("{place}\nnot here: {}; but: {}", row.why, row.instead),
                None => self
                    .check(command)
                    .await
                    .map_err(|wrong| format!("{place}\n{wrong}"))?,
            }
        }
        Ok(())
    }

    async fn check(&self, command: &docs::Command) -> Result<(), String> {
        let start = now();
        let typed = self.run(&command.text);
        let output = match tokio::time::timeout(LIMIT, typed).await {
            Ok(output) => output.map_err(|error| format!("{error:#}"))?,
            Err(_) => return Err(format!("it has not ended after {} s", LIMIT.as_secs())),
        };
        // Beside a failure, or with --nocapture: what to write into a page.
        let took = start.elapsed().as_millis();
        println!("$ {}\n{}({took} ms)\n", command.text, output.stdout);
        if output.code != Some(0) {
            return Err(format!("exit code {:?}:\n{}", output.code, output.stdout));
        }
        let expected = command.expected.as_deref();
        match expected.and_then(|lines| difference(lines, &output.stdout)) {
            Some(difference) => Err(difference),
            None => Ok(()),
        }
    }

    /// Its standard output is what a terminal would show.
    pub async fn run(&self, text: &str) -> Result<Output> {
        let script = format!("exec 2>&1\n{}", in_namespace(text, SHOWN, &self.namespace));
        let endless = ENDLESS.iter().any(|begins| text.starts_with(begins));
        let mut command = Command::new(if endless { "timeout" } else { "bash" });
        if endless {
            command.args(["--preserve-status", "--signal=INT", CTRL_C, "bash"]);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let others = std::env::split_paths(&path);
        let path = std::env::join_paths(std::iter::once(self.path("bin")).chain(others))?;
        command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(self.path("project"))
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("KUBERC", "off")
            .env("LC_ALL", "C.UTF-8");
        for variable in [
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "KUBECACHEDIR",
        ] {
            command.env_remove(variable);
        }
        let mut output = run(command, "").await?;
        output.stdout = output.stdout.replace(&self.namespace, SHOWN);
        Ok(output)
    }
}
