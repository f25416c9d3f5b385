//! `policy list`: what holds where, and what is frozen.

use serde::Serialize;

use crate::args::format::ListFormat as Format;
use crate::args::policy::PolicyListArgs;
use crate::client::Cluster;
use crate::env::now;
use crate::exit::{Error, code};
use crate::output::Output;
use crate::render::{Line, policies};
use crate::report::{API_VERSION, PolicyReport};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyReportList {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<PolicyReport>,
}

pub async fn run(args: &PolicyListArgs, cluster: &Cluster, output: &Output) -> Result<u8, Error> {
    let mut policies: Vec<_> = cluster
        .policies()
        .await?
        .iter()
        .map(PolicyReport::of)
        .collect();
    policies.sort_by(|a, b| a.name.cmp(&b.name));
    let list = |items| PolicyReportList {
        api_version: API_VERSION,
        kind: "CanaryPolicyReportList",
        items,
    };
    match &args.output {
        Some(Format::Machine(format)) => output.machine(format, &list(policies))?,
        Some(Format::Name) => {
            let name = |policy: &PolicyReport| {
                format!("canarypolicy.policy.kubectl-canary.dev/{}\n", policy.name)
            };
            output.print(&policies.iter().map(name).collect::<String>())?;
        }
        Some(Format::Wide) | None if policies.is_empty() => {
            anstream::eprintln!("No policies found: everything may be released at any time.");
        }
        Some(Format::Wide) | None => {
            let wide = args.output.is_some();
            let theme = output.theme();
            let mut lines = policies::lines(&policies, now(), wide);
            let broken = policies.iter().filter(|policy| policy.ready == Some(false));
            lines.extend(broken.map(|policy| {
                Line::plain(format!("{} is not ready: {}", policy.name, policy.message))
            }));
            output.print(&theme.paint(&lines))?;
        }
    }
    Ok(code::OK)
}
