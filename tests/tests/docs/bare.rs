//! Where installations are played: a control plane without anything of ours.

use anyhow::Result;
use canary_tests::control_plane::ControlPlane;

use crate::Page;
use crate::shell::Shell;

/// Each of its commands is a way of its own to install.
const ALTERNATIVES: [&str; 2] = ["README.md", "docs/install.md"];
const MIGRATION: &str = "docs/migration.md";

/// Takes away what was installed, but for the definitions.
const CLEAR: &str = r"
kinds=mutatingwebhookconfiguration,validatingwebhookconfiguration,validatingadmissionpolicy
kinds=$kinds,validatingadmissionpolicybinding,clusterrole,clusterrolebinding
kubectl get $kinds -o name | { grep canary || true; } | xargs -r kubectl delete --wait=false
namespaced=deployment,service,serviceaccount,role,rolebinding,networkpolicy,poddisruptionbudget,secret
kubectl get $namespaced -A --no-headers -o custom-columns=N:.metadata.namespace,K:.kind,M:.metadata.name |
  { grep canary || true; } | while read -r namespace kind name; do
    kubectl -n $namespace delete --ignore-not-found $kind $name
  done
";

/// As Flagger's chart leaves it, at work.
const FLAGGER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: flagger, namespace: apisix, labels: {app.kubernetes.io/name: flagger}}
spec:
  replicas: 1
  selector: {matchLabels: {app.kubernetes.io/name: flagger}}
  template:
    metadata: {labels: {app.kubernetes.io/name: flagger}}
    spec: {containers: [{name: flagger, image: 'flagger:1.44.0'}]}
";
const LEFT: &str = r#"
kubectl apply --server-side -f manifests/crds.yaml
kubectl apply -f docs/examples/canary.yaml
kubectl patch canary podinfo --subresource=status --type=merge -p '{"status": {
  "phase": "Succeeded", "canaryWeight": 0, "failedChecks": 0, "iterations": 0,
  "lastAppliedSpec": "5978589476", "lastPromotedSpec": "5978589476"}}'
"#;

pub struct Bare {
    plane: ControlPlane,
    shell: Shell,
}

// === impl Bare ===

impl Bare {
    pub async fn start() -> Result<Self> {
        let plane = ControlPlane::options().without_crds().start().await?;
        for namespace in ["test", "apisix"] {
            plane
                .kubectl(&["create", "namespace", namespace])
                .await?
                .ok()?;
        }
        Ok(Self {
            shell: Shell::new(&plane, "test")?,
            plane,
        })
    }

    /// The page finds nothing installed, or Flagger if it is about it.
    pub async fn play(&self, page: Page) -> Result<(), String> {
        let prepared = self.prepare(&page.file).await;
        prepared.map_err(|error| format!("{}: {error:#}", page.file))?;
        if !ALTERNATIVES.contains(&page.file.as_str()) {
            return self.shell.play(&page.file, &page.commands).await;
        }
        for command in &page.commands {
            self.shell
                .play(&page.file, std::slice::from_ref(command))
                .await?;
            self.clear()
                .await
                .map_err(|error| format!("{}: {error:#}", page.file))?;
        }
        Ok(())
    }

    async fn prepare(&self, file: &str) -> Result<()> {
        self.clear().await?;
        if file == MIGRATION {
            self.plane.apply(FLAGGER).await?;
            self.shell.run(LEFT).await?.ok()?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.shell.run(CLEAR).await?.ok()?;
        Ok(())
    }
}
