//! A real node: kubelet, containerd, kube-proxy and DNS, in namespaces of its own.
//!
//! ```text
//!  machine                    │ namespaces: net, mount, pid, ipc, uts
//!                             │  init (sh) ── the first process: when it goes, all go
//!  kubectl, load ─► veth ─────┼─► kube-apiserver :6443, NodePorts
//!   198.18.x.y/30             │    etcd, controller manager, scheduler, CoreDNS
//!                             │    kubelet ─► containerd ─► pods (10.244.0.0/24, routed)
//! ```
//!
//! `/run`, `/var/lib` and `/var/log` are the namespaces' own, cgroups hang below one folder, all other
//! files are in the lab's folder: the machine's network and files stay as they were. Linux and root only.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node as KubeNode;
use kube::Api;

use crate::clock::eventually;
use crate::control_plane::{ControlPlane, Options};
use crate::guard::Lab;
use crate::image::Image;
use crate::process::{Output, run};
use crate::tools::require;

use config::{containerd_config, dns_service, kubelet_config, network_config};
use namespaces::{connect, create_cgroups, is_root, start_init};

mod config;
mod namespaces;

const NAME: &str = "node-1";
const API_PORT: u16 = 6443;
/// Where Pods and Services ask for names.
const DNS: &str = "10.96.0.10";
const PAUSE: &str = "docker.io/local/pause:1";
const SOCKET: &str = "/run/containerd/containerd.sock";

/// A control plane with one real node.
pub struct Node {
    plane: ControlPlane,
    address: Ipv4Addr,
    init: u32,
}

impl Node {
    /// Boots everything and waits until the node is Ready.
    pub async fn start() -> Result<Self> {
        Self::start_with(ControlPlane::options()).await
    }

    /// The same with a control plane started that way; its simulated nodes are left out.
    pub async fn start_with(options: Options) -> Result<Self> {
        Self::possible()?;
        let mut lab = Lab::for_node()?;
        create_cgroups(lab.name())?;
        let init = start_init(&mut lab).await?;
        let address = connect(&lab, init)?;
        lab.enter(init);
        let ip = IpAddr::V4(address);
        let options = options.simulated_nodes(0);
        let plane = ControlPlane::boot(lab, ip, Some(API_PORT), options).await?;
        let mut node = Self {
            plane,
            address,
            init,
        };
        node.start_containerd().await?;
        node.start_kubelet()?;
        node.start_proxy()?;
        node.start_dns().await?;
        node.wait_until_ready().await?;
        Ok(node)
    }

    /// Whether this machine can have a node, or what it lacks.
    pub fn possible() -> Result<()> {
        for program in [
            "unshare",
            "nsenter",
            "ip",
            "nft",
            "containerd",
            "ctr",
            "runc",
            "/usr/lib/cni/ptp",
            "/usr/lib/cni/host-local",
            "/usr/lib/cni/loopback",
        ] {
            require(program)?;
        }
        ensure!(
            std::fs::metadata("/proc/self").is_ok_and(|own| is_root(&own)),
            "a real node needs root: run this as root, or the cluster level instead"
        );
        Ok(())
    }

    /// The control plane: kubeconfigs, clients, kubectl.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The node's address, at which `NodePorts` answer, also from outside.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Runs a command of this machine in the node's network, where Services and pods can be reached.
    pub async fn run(&self, program: &Path, args: &[&str]) -> Result<Output> {
        let mut command = self.plane.lab().command(program);
        command.args(args);
        run(command, "").await
    }

    /// The process whose namespaces the node lives in.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// Makes an image known to the node.
    pub async fn import_image(&self, image: &Image) -> Result<()> {
        let number = image
            .name()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let path = self.plane.lab().folder().join(format!("{number}.tar"));
        let (image, file) = (image.clone(), path.clone());
        tokio::task::spawn_blocking(move || image.write(&file)).await??;
        self.import_archive(&path).await?;
        std::fs::remove_file(path)?;
        Ok(())
    }

    /// Makes the images of an archive known to the node: OCI's layout or Docker's.
    pub async fn import_archive(&self, archive: &Path) -> Result<()> {
        let archive = archive.display().to_string();
        let args = ["images", "import", "--snapshotter", "native", &archive];
        self.ctr(&args).await?;
        Ok(())
    }

    async fn ctr(&self, args: &[&str]) -> Result<String> {
        let all = [&["--address", SOCKET, "--namespace", "k8s.io"], args].concat();
        let output = self.run(&require("ctr")?, &all).await?;
        output.ok().with_context(|| format!("ctr {args:?}"))
    }

    async fn start_containerd(&mut self) -> Result<()> {
        let folder = self.plane.lab().folder();
        let file = folder.join("containerd.toml");
        std::fs::write(&file, containerd_config(folder))?;
        std::fs::create_dir_all(folder.join("cni"))?;
        std::fs::write(folder.join("cni/10-pods.conflist"), network_config(folder))?;
        let mut containerd = self.plane.lab().command(&require("containerd")?);
        containerd.arg("--config").arg(file);
        self.plane.start_process("containerd", containerd)?;
        eventually("containerd", Duration::from_secs(20), async || {
            self.ctr(&["images", "ls", "-q"]).await.map(Some)
        })
        .await?;
        let pause = self.plane.tools().join("pause");
        let image = Image::new(PAUSE)
            .file(pause, "/pause")
            .entrypoint(&["/pause"]);
        self.import_image(&image).await
    }

    fn start_kubelet(&mut self) -> Result<()> {
        let folder = self.plane.lab().folder().to_owned();
        let config = kubelet_config(&folder, self.plane.lab().name());
        let file = folder.join("kubelet.json");
        std::fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let user = format!("system:node:{NAME}");
        let kubeconfig = self.plane.kubeconfig_for(&user, &["system:nodes"])?;
        let mut kubelet = self.plane.tool("kubelet");
        kubelet
            .arg("--config")
            .arg(file)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--hostname-override", NAME])
            .args(["--node-ip", &self.address.to_string()])
            .arg("--root-dir")
            .arg(folder.join("kubelet"));
        self.plane.start_process("kubelet", kubelet)
    }

    fn start_proxy(&mut self) -> Result<()> {
        let kubeconfig = self.plane.kubeconfig_for("system:kube-proxy", &[])?;
        let mut proxy = self.plane.tool("kube-proxy");
        proxy
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--hostname-override", NAME])
            .args([
                "--cluster-cidr",
                "10.244.0.0/16",
                "--proxy-mode",
                "nftables",
            ])
            .args(["--nodeport-addresses", "primary"])
            // Sysctls that may not be written from within a namespace.
            .args(["--conntrack-max-per-core=0", "--conntrack-min=0"])
            .args(["--conntrack-tcp-timeout-established=0"])
            .args(["--conntrack-tcp-timeout-close-wait=0"]);
        self.plane.start_process("kube-proxy", proxy)
    }

    /// `CoreDNS` beside the kubelet, behind the Service at the address that pods are told.
    async fn start_dns(&mut self) -> Result<()> {
        let address = self.address;
        let corefile = self.plane.lab().folder().join("Corefile");
        let kubeconfig = self.plane.admin_kubeconfig().display().to_string();
        let text = format!(
            "cluster.local in-addr.arpa {{\n  bind {address}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    \
             kubeconfig {kubeconfig}\n    ttl 1\n  }}\n}}\n"
        );
        std::fs::write(&corefile, text)?;
        let mut dns = self.plane.tool("coredns");
        dns.arg("-conf").arg(corefile);
        self.plane.start_process("coredns", dns)?;
        self.plane.apply(&dns_service(address)).await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let nodes: Api<KubeNode> = Api::all(self.plane.client().await?);
        let ready = eventually(
            "the node to be Ready",
            Duration::from_secs(60),
            async || {
                let node = nodes.get(NAME).await?;
                let conditions = node.status.unwrap_or_default().conditions;
                let ready = conditions
                    .unwrap_or_default()
                    .iter()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True");
                Ok(ready.then_some(()))
            },
        )
        .await;
        ready.with_context(|| format!("kubelet: {}", tail(&self.plane.log("kubelet"))))
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
