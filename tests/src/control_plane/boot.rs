//! Bringing a control plane up, program by program.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;

use super::{ControlPlane, Options, free_port};
use crate::clock::{eventually, now};
use crate::guard::Lab;
use crate::pki::{Authority, Identity};
use crate::tools::{Level, tools};
use crate::{crds, kwok};

impl ControlPlane {
    /// Boots in `lab`; `port` is given where nobody else can take it.
    pub(crate) async fn boot(
        lab: Lab,
        address: IpAddr,
        port: Option<u16>,
        options: Options,
    ) -> Result<Self> {
        let level = port.map_or(Level::ControlPlane, |_| Level::Node);
        // The first call may build for minutes.
        let tools = tokio::task::spawn_blocking(move || tools(level)).await??;
        let authority = Authority::new(lab.folder())?;
        let hosts = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .into_iter()
            .chain([address.to_string(), "127.0.0.1".into(), "10.96.0.1".into()])
            .collect::<Vec<_>>();
        let serving = authority.server("apiserver", &hosts)?;
        let mut plane = Self {
            processes: Vec::new(),
            tools,
            authority,
            url: String::new(),
            admin: PathBuf::new(),
            lab: Arc::new(lab),
        };
        plane.start_etcd()?;
        plane
            .start_apiserver(address, port, &serving, &options)
            .await?;
        plane.start_controllers(&options).await?;
        Ok(plane)
    }

    fn start_etcd(&mut self) -> Result<()> {
        // Sockets in the current folder: no port to choose, none to lose.
        let mut etcd = self.tool("etcd");
        etcd.args(["--data-dir", "etcd", "--unsafe-no-fsync"])
            .args(["--listen-client-urls", "unix://localhost:1"])
            .args(["--advertise-client-urls", "unix://localhost:1"])
            .args(["--listen-peer-urls", "unix://localhost:2"])
            .args(["--initial-advertise-peer-urls", "unix://localhost:2"])
            .args(["--initial-cluster", "default=unix://localhost:2"])
            .args(["--quota-backend-bytes", "4294967296"]);
        self.start_process("etcd", etcd)
    }

    async fn start_apiserver(
        &mut self,
        address: IpAddr,
        port: Option<u16>,
        serving: &Identity,
        options: &Options,
    ) -> Result<()> {
        std::fs::write(self.lab.folder().join("audit.yaml"), AUDIT_POLICY)?;
        let kubelet_client = self
            .authority
            .client("kube-apiserver", &["system:masters"])?;
        loop {
            let chosen = match port {
                Some(port) => port,
                None => free_port()?,
            };
            self.url = format!("https://{address}:{chosen}");
            self.admin = self.kubeconfig_for("admin", &["system:masters"])?;
            let mut command = self.tool("kube-apiserver");
            command
                .args(apiserver_args(address, chosen, serving, &kubelet_client))
                .args(&options.apiserver_args)
                .envs(options.apiserver_env.iter().copied());
            self.start_process("kube-apiserver", command)?;
            match self.wait_until_ready().await {
                Ok(()) => return Ok(()),
                // Somebody else was faster to take the port: the next one.
                Err(_) if port.is_none() && self.log("kube-apiserver").contains(PORT_TAKEN) => {
                    self.processes.retain(|(name, _)| *name != "kube-apiserver");
                    let _ = std::fs::remove_file(self.lab.folder().join("kube-apiserver.log"));
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let client = self.client().await?;
        let start = now();
        loop {
            for (_, process) in &mut self.processes {
                process.check()?;
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
            if start.elapsed() > Duration::from_secs(60) {
                bail!(
                    "kube-apiserver is not ready after a minute; its log ends with:\n{}",
                    self.log_tail("kube-apiserver")
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn start_controllers(&mut self, options: &Options) -> Result<()> {
        let simulated = options.simulated_nodes > 0;
        let user = "system:kube-controller-manager";
        let kubeconfig = self.kubeconfig_for(user, &[])?;
        let mut manager = self.tool("kube-controller-manager");
        manager
            .args(MANAGER_ARGS)
            .arg("--kubeconfig")
            .arg(kubeconfig);
        if simulated {
            // It would find the simulated nodes silent, and taint them.
            manager.arg("--controllers=*,-node-lifecycle-controller");
        }
        self.start_process("kube-controller-manager", manager)?;

        let mut scheduler = self.tool("kube-scheduler");
        scheduler
            .args([
                "--leader-elect=false",
                "--secure-port=0",
                "--kube-api-qps=500",
            ])
            .args(["--kube-api-burst=1000", "--kubeconfig"])
            .arg(self.kubeconfig_for("system:kube-scheduler", &[])?);
        self.start_process("kube-scheduler", scheduler)?;

        let client = self.client().await?;
        if simulated {
            let kwok = kwok::command(self.tool("kwok"), &self.admin);
            self.start_process("kwok", kwok)?;
            kwok::create_nodes(&client, options.simulated_nodes).await?;
        }
        if options.crds {
            crds::install(&client, &self.tools.join("apisix-crds")).await?;
        }
        self.wait_for_account("default", "default").await
    }

    /// Waits for a `ServiceAccount`, the sign that the controller manager is at work.
    async fn wait_for_account(&self, namespace: &str, name: &str) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let what = format!("serviceaccount {namespace}/{name}");
        eventually(&what, Duration::from_secs(30), async || {
            Ok(accounts.get_opt(name).await?.map(|_| ()))
        })
        .await
    }
}

const PORT_TAKEN: &str = "address already in use";

const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: [system:kube-controller-manager, system:kube-scheduler, system:apiserver, system:anonymous]
  - level: None
    userGroups: [system:nodes, system:serviceaccounts:kube-system]
  - level: Metadata
";

const MANAGER_ARGS: [&str; 9] = [
    "--service-account-private-key-file=sa.key",
    "--root-ca-file=ca.crt",
    "--use-service-account-credentials=true",
    "--leader-elect=false",
    "--secure-port=0",
    "--concurrent-deployment-syncs=20",
    "--concurrent-replicaset-syncs=20",
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
];

fn apiserver_args(
    address: IpAddr,
    port: u16,
    serving: &Identity,
    kubelet_client: &Identity,
) -> Vec<String> {
    let file = |name: &str, path: &Path| format!("--{name}={}", path.display());
    [
        "--etcd-servers=unix://localhost:1",
        "--client-ca-file=ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        // A node's name means nothing to the machine's DNS.
        "--kubelet-preferred-address-types=InternalIP",
        // Nobody would take the taint from a simulated node, and a real one is alone.
        "--disable-admission-plugins=TaintNodesByCondition",
        "--audit-policy-file=audit.yaml",
        "--audit-log-path=audit.log",
        "--max-requests-inflight=4000",
        "--max-mutating-requests-inflight=2000",
    ]
    .map(str::to_owned)
    .into_iter()
    // Pods find a node's API server by it; an address of loopback is refused as an endpoint.
    .chain(
        address
            .is_loopback()
            .then(|| "--endpoint-reconciler-type=none".to_owned()),
    )
    .chain([
        format!("--secure-port={port}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        file("tls-cert-file", &serving.certificate),
        file("tls-private-key-file", &serving.key),
        file("kubelet-client-certificate", &kubelet_client.certificate),
        file("kubelet-client-key", &kubelet_client.key),
    ])
    .collect()
}
