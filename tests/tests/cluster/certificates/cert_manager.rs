//! The overlay for cert-manager, with a real cert-manager: it issues and renews, its injector writes `caBundle`,
//! and the API server reaches us by the name of our Service.

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{QUICK, asked};
use canary_tests::control_plane::{ControlPlane, free_port};
use canary_tests::process::Process;
use canary_tests::server::{ACCOUNT, NAMESPACE, Server, grant};
use serde_json::{Value, json};

use super::{SECRET, kept, registered, served};
use crate::manifests::{define_certificates, kustomize, objects};

/// cert-manager's controllers try again by backing off.
const ITS_LIMIT: Duration = Duration::from_secs(90);
const CERTIFICATE: &str = "certificates.cert-manager.io/canary-webhook";

/// A control plane with cert-manager at work.
struct Site {
    plane: ControlPlane,
    _programs: Vec<Process>,
}

impl Site {
    async fn start() -> Result<Self> {
        let plane = ControlPlane::start().await?;
        define_certificates(&plane).await?;
        let metrics = format!("--metrics-listen-address=127.0.0.1:{}", free_port()?);
        let programs = vec![
            program(&plane, "cert-manager-controller", &[&metrics])?,
            program(&plane, "cert-manager-cainjector", &[])?,
        ];
        Ok(Self {
            plane,
            _programs: programs,
        })
    }

    /// What the overlay has besides rights: certificates and registrations. Our Service is where the server
    /// listens beside the cluster, under the name that it always has.
    async fn register(&self, port: u16) -> Result<()> {
        grant(&self.plane).await?;
        for mut object in objects(&kustomize("manifests/cert-manager").await) {
            let kind = object["kind"].as_str().context("a kind")?.to_owned();
            match kind.as_str() {
                "Issuer" | "Certificate" => {}
                "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                    for webhook in object["webhooks"].as_array_mut().context("webhooks")? {
                        webhook["clientConfig"]["service"]["port"] = port.into();
                    }
                }
                "Service" => {
                    object["spec"] = json!({"type": "ExternalName", "externalName": "localhost"});
                }
                _ => continue,
            }
            self.plane.apply(&object.to_string()).await?;
        }
        Ok(())
    }

    fn server(&self, port: u16) -> Result<Server> {
        let kubeconfig = self.plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)?;
        let own = [
            format!("--admission-address=127.0.0.1:{port}"),
            format!("--port={}", free_port()?),
            format!("--tls-secret={SECRET}"),
            "--identity=with-cert-manager".to_owned(),
        ];
        let all: Vec<&str> = own.iter().map(String::as_str).chain(QUICK).collect();
        Server::start(self.plane.lab(), &kubeconfig, &all)
    }

    /// As `cmctl renew` asks.
    async fn renew(&self) -> Result<()> {
        let mut certificate = super::json(&self.plane, &["-n", NAMESPACE, CERTIFICATE]).await?;
        let conditions = certificate["status"]["conditions"].as_array_mut();
        conditions.context("conditions")?.push(json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
        let admin = self.plane.admin_kubeconfig();
        let replace = ["replace", "--subresource=status", "-f", "-"];
        let text = certificate.to_string();
        self.plane
            .kubectl_with(admin, &replace, &text)
            .await?
            .ok()?;
        Ok(())
    }

    /// The Secret, once its certificate is another.
    async fn issued(&self, before: &Value) -> Result<Value> {
        eventually("another certificate", ITS_LIMIT, async || {
            let data = kept(&self.plane).await?;
            let new = data["tls.crt"].is_string() && data["tls.crt"] != before["tls.crt"];
            Ok(new.then_some(data))
        })
        .await
    }
}

fn program(plane: &ControlPlane, name: &str, args: &[&str]) -> Result<Process> {
    let mut command = plane.lab().command(&plane.tools().join(name));
    let kubeconfig = plane.admin_kubeconfig().display();
    command
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg("--leader-elect=false")
        .args(args);
    plane.lab().spawn(name, command)
}

#[tokio::test]
async fn cert_manager_issues_and_renews_what_the_server_serves_and_the_api_server_trusts()
-> Result<()> {
    let site = Site::start().await?;
    let port = free_port()?;
    site.register(port).await?;
    let mut server = site.server(port)?;
    server.logged("leading", ITS_LIMIT).await?;
    let first = site.issued(&Value::Null).await?;
    served(&server, 1, ITS_LIMIT).await?;
    asked(&site.plane).await?;
    let bundles = registered(&site.plane).await?;
    for config in &bundles {
        assert_eq!(config["caBundle"], first["ca.crt"]);
    }

    site.renew().await?;
    let second = site.issued(&first).await?;
    served(&server, 2, ITS_LIMIT).await?;
    asked(&site.plane).await?;

    let delete = ["-n", NAMESPACE, "delete", "secret", SECRET];
    site.plane.kubectl(&delete).await?.ok()?;
    let third = site.issued(&second).await?;
    served(&server, 3, ITS_LIMIT).await?;
    asked(&site.plane).await?;
    assert_ne!(second["tls.key"], third["tls.key"]);
    assert_eq!(
        registered(&site.plane).await?,
        bundles,
        "the authority stays, and the server writes none"
    );
    Ok(())
}
