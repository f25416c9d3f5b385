//! A real control plane on loopback: etcd, kube-apiserver, controller manager, scheduler.
//!
//! ```text
//!  etcd ◄─unix socket─ kube-apiserver ◄─┬─ controller manager   system:kube-controller-manager
//!                       127.0.0.1:free  ├─ scheduler            system:kube-scheduler
//!                                       ├─ kwok (if asked)      makes pods Ready
//!                                       └─ admin, people, service accounts: one kubeconfig each
//! ```
//!
//! Several run at once: the only port is the API server's, and every file is in the lab's folder.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::sync::OnceCell;

use crate::guard::Lab;
use crate::pki::Authority;
use crate::process::{Output, Process, run};
use crate::tools::folder;

mod boot;

/// How a control plane is started.
#[derive(Clone, Debug)]
pub struct Options {
    simulated_nodes: usize,
    crds: bool,
    apiserver_args: Vec<String>,
    apiserver_env: Vec<(&'static str, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            simulated_nodes: 1,
            crds: true,
            apiserver_args: Vec::new(),
            apiserver_env: Vec::new(),
        }
    }
}

impl Options {
    /// So many simulated nodes, whose pods are Ready at once; none: pods stay Pending.
    #[must_use]
    pub fn simulated_nodes(mut self, count: usize) -> Self {
        self.simulated_nodes = count;
        self
    }

    /// Without our CRDs and APISIX's.
    #[must_use]
    pub fn without_crds(mut self) -> Self {
        self.crds = false;
        self
    }

    /// One more argument for kube-apiserver.
    #[must_use]
    pub fn apiserver_arg(mut self, argument: impl Into<String>) -> Self {
        self.apiserver_args.push(argument.into());
        self
    }

    /// One more variable for kube-apiserver.
    #[must_use]
    pub fn apiserver_env(mut self, name: &'static str, value: &'static str) -> Self {
        self.apiserver_env.push((name, value));
        self
    }

    /// Starts it and waits until it works.
    pub async fn start(self) -> Result<ControlPlane> {
        let lab = Lab::new()?;
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        ControlPlane::boot(lab, address, None, self).await
    }
}

/// A running control plane; everything of it is gone when the value is dropped.
pub struct ControlPlane {
    // First, so that they are told to go before the lab removes what they write to.
    processes: Vec<(&'static str, Process)>,
    tools: &'static Path,
    authority: Authority,
    url: String,
    admin: PathBuf,
    lab: Arc<Lab>,
}

impl ControlPlane {
    /// One with CRDs and a simulated node.
    pub async fn start() -> Result<Self> {
        Self::options().start().await
    }

    /// The one that the tests of a program share: it starts with the first that asks, and is gone with
    /// the program. Each test works in a namespace of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// A new namespace, with `name` in its name.
    pub async fn namespace(&self, name: &str) -> Result<String> {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("{name}-{}", CREATED.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &namespace])
            .await?
            .ok()?;
        Ok(namespace)
    }

    /// To choose how it is started.
    pub fn options() -> Options {
        Options::default()
    }

    /// The command of a built tool, to run in the lab.
    pub(crate) fn tool(&self, name: &str) -> Command {
        self.lab.command(&self.tools.join(name))
    }

    pub(crate) fn start_process(&mut self, name: &'static str, command: Command) -> Result<()> {
        let process = self.lab.spawn(name, command)?;
        self.processes.push((name, process));
        Ok(())
    }

    /// The place where it runs; files written to its folder go away with it.
    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    /// The folder of the built tools.
    pub fn tools(&self) -> &'static Path {
        self.tools
    }

    /// The authority that the API server trusts.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The kubeconfig of a member of `system:masters`.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// A kubeconfig for anybody, by a client certificate.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        self.authority.kubeconfig(&self.url, user, groups)
    }

    /// A kubeconfig for a `ServiceAccount`, which need not exist: the API server reads name and groups from
    /// the certificate.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let group = format!("system:serviceaccounts:{namespace}");
        self.kubeconfig_for(&user, &["system:serviceaccounts", &group])
    }

    /// A client for the administrator. One for each runtime: it must not outlive the one it was made in.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.admin).await
    }

    /// A client for anybody.
    pub async fn client_for(&self, user: &str, groups: &[&str]) -> Result<kube::Client> {
        client(&self.kubeconfig_for(user, groups)?).await
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.kubectl_with(&self.admin, args, "").await
    }

    /// Runs kubectl with a kubeconfig and something on its stdin.
    pub async fn kubectl_with(
        &self,
        kubeconfig: &Path,
        args: &[&str],
        input: &str,
    ) -> Result<Output> {
        // From outside, also where the control plane runs in namespaces of its own.
        let mut command = Command::new(self.tools.join("kubectl"));
        command
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", self.lab.folder().join("kubectl"))
            .env("KUBERC", "off");
        run(command, input).await
    }

    /// `kubectl apply` as the administrator.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        self.kubectl_with(&self.admin, &["apply", "-f", "-"], yaml)
            .await?
            .ok()
            .context("kubectl apply")?;
        Ok(())
    }

    /// `kubectl apply` of a file or folder of the project.
    pub async fn apply_file(&self, inside: &str) -> Result<()> {
        let path = folder(inside).display().to_string();
        self.kubectl(&["apply", "-f", &path]).await?.ok()?;
        Ok(())
    }

    /// One JSON object a line for every request answered, but those of Kubernetes' own programs.
    pub fn audit_log(&self) -> PathBuf {
        self.lab.folder().join("audit.log")
    }

    /// What one of its programs has printed.
    pub fn log(&self, program: &str) -> String {
        self.process(program).map_or_else(String::new, Process::log)
    }

    /// SIGSTOP of one of its programs.
    pub fn stop(&self, program: &str) -> Result<()> {
        self.process(program).context("no such program")?.stop()
    }

    /// SIGCONT of one of its programs.
    pub fn cont(&self, program: &str) -> Result<()> {
        self.process(program).context("no such program")?.cont()
    }

    fn log_tail(&self, program: &str) -> String {
        self.process(program)
            .map_or_else(String::new, |process| process.log_tail(15))
    }

    fn process(&self, program: &str) -> Option<&Process> {
        self.processes
            .iter()
            .rev()
            .find(|(name, _)| *name == program)
            .map(|(_, process)| process)
    }
}

/// A client from a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    // A second installation is refused, and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // A test that is refused wants to know it: an eviction would be tried again for minutes.
    config.default_retry = false;
    Ok(kube::Client::try_from(config)?)
}

/// A TCP port on loopback that is free now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
