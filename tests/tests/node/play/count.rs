//! Releases under a steady load, counted at the client: what is lost while traffic changes sides.

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::fixtures::load::{Counts, Load};
use canary_tests::node::Node;
use serde_json::json;

use super::acts::{analysis, success_rate};
use super::site::{MOMENT, Site};

/// Requests a second.
pub const RATE: u32 = 60;

/// What became of the requests in each part. The parts follow each other without a gap.
#[derive(Debug)]
pub struct Losses {
    pub adoption: Counts,
    /// None where no revision was promoted.
    pub promotion: Option<Counts>,
    pub rollback: Counts,
    pub seconds: usize,
}

/// The Service that the user has had all along.
const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: podinfo, namespace: NAMESPACE}
spec:
  selector: {app: podinfo}
  ports: [{name: http, port: 80, targetPort: 9898}]
";

// === impl Losses ===

impl Losses {
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        let parts = [
            Some(&self.adoption),
            self.promotion.as_ref(),
            Some(&self.rollback),
        ];
        parts.into_iter().flatten().for_each(|part| total += part);
        total
    }
}

/// A graceful application is adopted and gives way to a revision whose pods end at once: those of the
/// canary are taken away after the promotion, and again after a rollback.
pub async fn with_a_hasty_canary(node: &Node) -> Result<Losses> {
    let site = Site::new(node, "lost", "podinfo").await?;
    let load = served_before(&site, "6.0.0").await?;
    let adopted = adopt(&site, &load).await?;
    site.release("6.0.1-hasty", "Succeeded").await?;
    let promoted = load.second();
    roll_back(&site).await?;
    Ok(told(load, adopted, Some(promoted)).await)
}

/// An application whose pods end at once is adopted, and a release of it rolled back. It is not
/// promoted: the old pods of its primary would end while the gateway still knows them, and requests be
/// lost, as in any rolling update of an application that does not wait until nobody asks it any more.
pub async fn with_hasty_pods(node: &Node, namespace: &'static str) -> Result<Losses> {
    let site = Site::new(node, namespace, "podinfo").await?;
    let load = served_before(&site, "6.0.0-hasty").await?;
    let adopted = adopt(&site, &load).await?;
    roll_back(&site).await?;
    Ok(told(load, adopted, None).await)
}

/// Starts the load once the user's own Service serves.
async fn served_before(site: &Site<'_>, tag: &str) -> Result<Load> {
    site.apply(&SERVICE.replace("NAMESPACE", site.namespace))
        .await?;
    site.deploy(|yaml| yaml.replace("podinfo:6.0.0", &format!("podinfo:{tag}")))
        .await?;
    eventually("the user's own Service to serve", MOMENT, async || {
        let status = site.ask("/api/info").await?.status;
        Ok(status.is_success().then_some(()))
    })
    .await?;
    Ok(site.load("/api/info", RATE))
}

/// The second at which the adoption was over.
async fn adopt(site: &Site<'_>, load: &Load) -> Result<usize> {
    let fields = json!({"stepWeight": 50, "threshold": 2, "metrics": [success_rate()]});
    site.adopt(|canary| analysis(canary, &fields)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(load.second())
}

/// The application fails by what it is asked for; it is the other requests that count.
async fn roll_back(site: &Site<'_>) -> Result<()> {
    // No divisor of the other rate: in step with the gateway's turns, all errors would meet one side.
    let errors = site.load("/status/500", 17);
    site.release("6.0.2-hasty", "Failed").await?;
    drop(errors.stop().await);
    Ok(())
}

async fn told(load: Load, adopted: usize, promoted: Option<usize>) -> Losses {
    let report = load.stop().await;
    let seconds = report.per_second.len();
    Losses {
        adoption: report.between(0, adopted),
        promotion: promoted.map(|promoted| report.between(adopted, promoted)),
        rollback: report.between(promoted.unwrap_or(adopted), seconds),
        seconds,
    }
}

/// The server once more, without its drain.
pub async fn without_drain(node: &Node) -> Result<()> {
    let plane = node.plane();
    let patch =
        r#"[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--drain=0s"}]"#;
    let target = ["-n", "apisix", "patch", "deployment", "canary-webhook"];
    let patch = [target.as_slice(), &["--type=json", "-p", patch]].concat();
    plane.kubectl(&patch).await?.ok()?;
    let rollout = "-n apisix rollout status deployment/canary-webhook --timeout=90s";
    let rollout: Vec<&str> = rollout.split(' ').collect();
    plane.kubectl(&rollout).await?.ok()?;
    Ok(())
}
