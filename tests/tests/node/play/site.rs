//! One application in a namespace of the node, as its people handle it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use canary_tests::clock::eventually;
use canary_tests::cluster::Recorder;
use canary_tests::fixtures::load::{Counts, Load, Plan, Reply, get};
use canary_tests::node::Node;
use canary_tests::scenario::{GATEWAY_PORT, HOST};
use canary_tests::tools::folder;
use serde_json::Value;

/// How long anything may take that is not a whole release.
pub const MOMENT: Duration = Duration::from_secs(120);
/// How long a release may take: ten failed checks are a hundred seconds.
const RELEASE: Duration = Duration::from_secs(260);

pub struct Site<'a> {
    pub node: &'a Node,
    pub namespace: &'a str,
    /// Name of Deployment, Canary, route and apex Service.
    pub app: &'a str,
    pub host: String,
    client: kube::Client,
}

/// What a release left behind.
#[derive(Debug)]
pub struct Seen {
    /// Weights of primary and canary in the generated route, one after the other.
    pub weights: Vec<(i64, i64)>,
    /// The phases of the Canary, one after the other.
    pub phases: Vec<String>,
    /// Each metric check that was stored.
    pub checks: Vec<Value>,
    /// Texts of all Events of the Canary, in the order in which the API lists them.
    pub events: Vec<String>,
    /// The same as `kubectl describe` prints them.
    pub described: Vec<String>,
    /// The server's log about the Canary since its creation.
    pub log: Vec<Value>,
    /// The objects at the end.
    pub canary: Value,
    pub target: Value,
    pub primary: Value,
    /// What the load of the release met, from before the image was set until it was over; empty
    /// without a load.
    pub traffic: Counts,
}

// === impl Seen ===

impl Seen {
    /// `msg` of each log line since the last new revision.
    pub fn release_log(&self) -> Vec<&str> {
        let lines = self.log.iter().filter_map(|line| line["msg"].as_str());
        let mut release = Vec::new();
        for line in lines {
            if line.starts_with("New revision detected! Scaling up") {
                release.clear();
            }
            release.push(line);
        }
        release
    }

    /// Why checks of the last release did not pass, one for each check.
    pub fn halts(&self) -> Vec<&str> {
        let log = self.release_log().into_iter();
        log.filter(|line| line.starts_with("Halt ")).collect()
    }

    pub fn primary_image(&self) -> &str {
        image(&self.primary)
    }
}

fn image(deployment: &Value) -> &str {
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().unwrap_or_default()
}

// === impl Site ===

impl<'a> Site<'a> {
    /// In a new namespace of that name; `test` is there already.
    pub async fn new(node: &'a Node, namespace: &'a str, app: &'a str) -> Result<Self> {
        let plane = node.plane();
        let users_own = namespace == "test" && app == "podinfo";
        if namespace != "test" {
            plane
                .kubectl(&["create", "namespace", namespace])
                .await?
                .ok()?;
        }
        Ok(Self {
            node,
            namespace,
            app,
            host: if users_own {
                HOST.to_owned()
            } else {
                format!("{app}.{namespace}.example.com")
            },
            client: plane.client().await?,
        })
    }

    /// A file of `tests/`, with names and host of this site where the user's are.
    pub fn text(&self, file: &str) -> Result<String> {
        let path = folder("tests").join(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let app = self.app;
        Ok(text
            .replace("namespace: test", &format!("namespace: {}", self.namespace))
            .replace(HOST, &self.host)
            .replace("podinfo", app)
            // Image and container keep their names.
            .replace(&format!("stefanprodan/{app}"), "stefanprodan/podinfo")
            .replace(&format!("{app}d"), "podinfod"))
    }

    pub async fn apply(&self, yaml: &str) -> Result<()> {
        self.node.plane().apply(yaml).await
    }

    /// The application and the user's route, edited as text.
    pub async fn deploy(&self, edit: impl Fn(String) -> String) -> Result<()> {
        self.apply(&edit(self.text("scenario/podinfo.yaml")?))
            .await?;
        self.apply(&self.text("seed/podinfo-apisixroute.yaml")?)
            .await
    }

    /// The user's Canary with changes, and waits until it is Initialized.
    pub async fn adopt(&self, edit: impl FnOnce(&mut Value)) -> Result<()> {
        let mut canary: Value = serde_yaml::from_str(&self.text("seed/podinfo-canary.yaml")?)?;
        edit(&mut canary);
        self.apply(&canary.to_string()).await?;
        self.initialized().await
    }

    pub async fn initialized(&self) -> Result<()> {
        let recorder = self.record("canaries", self.app).await?;
        self.phase(&recorder, "Initialized", MOMENT).await?;
        // The gateway is a second behind.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// kubectl in this namespace; words are separated by single spaces.
    pub async fn kubectl(&self, line: &str) -> Result<String> {
        let words = ["-n", self.namespace].into_iter().chain(line.split(' '));
        let words: Vec<&str> = words.collect();
        let output = self.node.plane().kubectl(&words).await?.ok();
        output.with_context(|| format!("kubectl {line}"))
    }

    pub async fn set_image(&self, tag: &str) -> Result<()> {
        let image = format!("podinfod=stefanprodan/podinfo:{tag}");
        self.kubectl(&format!("set image deployment/{} {image}", self.app))
            .await?;
        Ok(())
    }

    /// One request through the gateway.
    pub async fn ask(&self, path: &str) -> Result<Reply> {
        let reply = get(&self.gateway(), &self.host, path).await;
        reply.map_err(|failure| anyhow::anyhow!("no answer: {failure}"))
    }

    pub fn load(&self, path: &str, rate: u32) -> Load {
        Load::start(Plan {
            address: self.gateway(),
            host: self.host.clone(),
            path: path.to_owned(),
            rate,
            // Longer than the gateway's own: what it cannot reach, it says itself.
            timeout: Duration::from_secs(10),
        })
    }

    fn gateway(&self) -> String {
        format!("{}:{GATEWAY_PORT}", self.node.address())
    }

    pub async fn get(&self, resource: &str, name: &str) -> Result<Value> {
        let path = format!("{}/{name}", self.path(resource));
        let request = http::Request::get(path).body(Vec::new())?;
        Ok(self.client.request(request).await?)
    }

    pub async fn record(&self, resource: &str, name: &str) -> Result<Recorder> {
        let selector = format!("?watch=true&fieldSelector=metadata.name={name}");
        Recorder::start(&self.client, &format!("{}{selector}", self.path(resource))).await
    }

    fn path(&self, resource: &str) -> String {
        let group = canary_tests::cluster::group_of(resource);
        format!("/{group}/namespaces/{}/{resource}", self.namespace)
    }

    /// The name of the generated route.
    pub fn route(&self) -> String {
        format!("{0}-{0}-canary", self.app)
    }

    /// Sets the image, and waits until the release ends in that phase.
    pub async fn release(&self, tag: &str, end: &str) -> Result<Seen> {
        let (route, canary) = self.watched().await?;
        self.set_image(tag).await?;
        self.seen_to_end(&route, &canary, end).await
    }

    /// Recorders of the generated route and of the Canary.
    pub async fn watched(&self) -> Result<(Recorder, Recorder)> {
        Ok((
            self.record("apisixroutes", &self.route()).await?,
            self.record("canaries", self.app).await?,
        ))
    }

    /// Waits for the end of a release that starts after the recorders did, and tells it.
    pub async fn seen_to_end(
        &self,
        route: &Recorder,
        canary: &Recorder,
        end: &str,
    ) -> Result<Seen> {
        self.phase(canary, "Progressing", MOMENT).await?;
        self.phase(canary, end, RELEASE).await?;
        // Long enough for the gateway, and for a request that the end could still lose.
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok(Seen {
            weights: route.weights(),
            phases: canary.phases(),
            checks: stored_checks(canary),
            events: self.events().await?,
            described: self.described().await?,
            log: self.log().await?,
            canary: self.get("canaries", self.app).await?,
            target: self.get("deployments", self.app).await?,
            primary: self
                .get("deployments", &format!("{}-primary", self.app))
                .await?,
            traffic: Counts::default(),
        })
    }

    /// Waits until the Canary's last phase is that one; told with its Events if it is not to be.
    pub async fn phase(&self, canary: &Recorder, phase: &str, limit: Duration) -> Result<()> {
        let what = format!("{}/{} to be {phase}", self.namespace, self.app);
        let waited = eventually(&what, limit, async || {
            let phases = canary.phases();
            let last = phases.last().map_or("none", String::as_str);
            let over = ["Succeeded", "Failed"].contains(&last) && phases.len() > 1;
            match last {
                last if last == phase => Ok(Some(true)),
                // Passed quickly, or the wrong end.
                _ if phases.iter().skip(1).any(|seen| seen == phase) => Ok(Some(true)),
                _ if over => Ok(Some(false)),
                last => bail!("it is {last}"),
            }
        })
        .await;
        let story = match waited {
            Ok(true) => return Ok(()),
            Ok(false) => format!("{what}: it ended as {:?}", canary.phases()),
            Err(error) => format!("{error:#}"),
        };
        let events = self.events().await.unwrap_or_default().join("\n  ");
        let pods = self.kubectl("get pods -o wide").await.unwrap_or_default();
        bail!("{story}\n  {events}\n{pods}")
    }

    async fn events(&self) -> Result<Vec<String>> {
        let selector = format!(
            "?fieldSelector=involvedObject.kind=Canary,involvedObject.name={}",
            self.app
        );
        let path = format!("{}{selector}", self.path("events"));
        let request = http::Request::get(path).body(Vec::new())?;
        let list: Value = self.client.request(request).await?;
        let items = list["items"].as_array().context("items")?;
        let texts = items.iter().filter_map(|event| event["message"].as_str());
        Ok(texts.map(str::to_owned).collect())
    }

    async fn described(&self) -> Result<Vec<String>> {
        let text = self
            .kubectl(&format!("describe canary/{}", self.app))
            .await?;
        let table = text.lines().skip_while(|line| !line.starts_with("Events:"));
        let told = table.filter_map(|line| line.split_once(" flagger "));
        Ok(told.map(|(_, text)| text.trim().to_owned()).collect())
    }

    /// The lines about this Canary, of whichever replica wrote them.
    async fn log(&self) -> Result<Vec<Value>> {
        let plane = self.node.plane();
        let words = "-n apisix logs -l app.kubernetes.io/name=canary-webhook --tail=-1";
        let words: Vec<&str> = words.split(' ').collect();
        let text = plane.kubectl(&words).await?.ok()?;
        let id = format!("{}.{}", self.app, self.namespace);
        let mut lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .context("a log line that is no JSON")?;
        lines.retain(|line| line["canary"] == id.as_str());
        lines.sort_by(|a, b| a["ts"].as_str().cmp(&b["ts"].as_str()));
        Ok(lines)
    }
}

/// The checks of the last release: before it, the Canary still tells those of the one before.
fn stored_checks(canary: &Recorder) -> Vec<Value> {
    let told = |canary: &Value| {
        let release = &canary["status"]["release"];
        let number = release["number"].as_i64()?;
        Some((number, release["checks"].as_array()?.clone()))
    };
    let versions = canary.changes(told);
    let last = versions.iter().map(|(number, _)| *number).max();
    let mut checks: Vec<Value> = Vec::new();
    for (number, stored) in versions {
        for check in stored {
            if Some(number) == last && !checks.contains(&check) {
                checks.push(check);
            }
        }
    }
    checks
}
