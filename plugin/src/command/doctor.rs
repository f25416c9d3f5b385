//! `doctor`: what works, what does not, and what to do about it.
//!
//! Everything is asked of the API server, as this user: what is not visible is said to be so, and is no
//! failure.

mod canary;
mod server;

use crate::args::doctor::DoctorArgs;
use crate::client::Cluster;
use crate::doctor::metrics;
use crate::doctor::{Check, Diagnosis, Outcome};
use crate::exit::{Error, code};
use crate::output::Output;
use crate::render;

const QUERY: &str = "/api/v1/query?query=vector(1)";

pub async fn run(args: &DoctorArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    // The first read: whoever cannot be reached has no checks.
    let version = cluster.server_version().await?;
    let canary = match &args.name {
        Some(name) => Some(cluster.canary(&cluster.namespace, &name.0).await?),
        None => None,
    };
    let found = server::look(cluster, &version).await;
    let mut checks = found.checks;
    if let Some(canary) = &canary {
        checks.extend(Box::pin(canary::look(cluster, canary, &found.provider)).await);
    }
    let named = canary.as_ref().map(|canary| canary.metrics_server_or(""));
    let url = args
        .metrics_server
        .as_deref()
        .or(named.filter(|url| !url.is_empty()))
        .or(found.metrics_server.as_deref());
    match url {
        Some(url) => checks.push(ask(cluster, url).await),
        // Of a server that is not seen nobody knows its flags.
        None if found.seen => checks.push(metrics::unknown()),
        None => {}
    }
    let diagnosis = Diagnosis::new(checks);
    if let Some(format) = &args.output {
        output.machine(format, &diagnosis)?;
    } else {
        let theme = output.theme();
        output.print(&theme.paint(&render::doctor::lines(&diagnosis, &theme)))?;
        anstream::eprintln!("{}", render::doctor::summary(&diagnosis));
    }
    let failed = diagnosis.count(Outcome::Fail) > 0;
    Ok(if failed { code::ERROR } else { code::OK })
}

async fn ask(cluster: &Cluster, url: &str) -> Check {
    let Some(backend) = metrics::backend(url, &cluster.namespace) else {
        return metrics::outside(url);
    };
    let path = format!(
        "/api/v1/namespaces/{}/services/{}/proxy{}{QUERY}",
        backend.namespace, backend.service, backend.prefix
    );
    metrics::answered(url, &cluster.text(&path).await)
}
