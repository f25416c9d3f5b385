//! The harness itself: what every other node test relies on.

use std::path::Path;
use std::time::Duration;

use canary_tests::clock::{eventually, now};
use canary_tests::held::Held;
use canary_tests::image::Image;
use canary_tests::node::Node;
use canary_tests::scenario;

use crate::play::machine;

const APP: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: test}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, namespace: test}
spec:
  selector: {matchLabels: {app: podinfo}}
  template:
    metadata: {labels: {app: podinfo}}
    spec:
      containers:
        - name: podinfod
          image: stefanprodan/podinfo:6.0.1
          ports: [{containerPort: 9898}]
          readinessProbe: {httpGet: {path: /readyz, port: 9898}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: podinfo, namespace: test}
spec:
  type: NodePort
  selector: {app: podinfo}
  ports: [{port: 80, targetPort: 9898, nodePort: 30080}]
";

const ASKER: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: asker, namespace: default}
spec:
  restartPolicy: Never
  containers:
    - name: hey
      image: local/hey:1
      args: [-n, '4', -c, '2', 'http://podinfo.test/version']
";

#[tokio::test]
async fn a_node_runs_pods_that_find_each_other_by_name_and_leaves_nothing_behind() {
    let _machine = machine().await;
    let start = now();
    let node = Node::start().await.unwrap();
    println!("node: {:?}", start.elapsed());
    node.import_image(&scenario::podinfo("6.0.1", &[]).unwrap())
        .await
        .unwrap();
    let hey = Image::new("docker.io/local/hey:1")
        .file(node.plane().tools().join("hey"), "/bin/hey")
        .entrypoint(&["/bin/hey"]);
    node.import_image(&hey).await.unwrap();
    println!("images: {:?}", start.elapsed());

    node.plane().apply(APP).await.unwrap();

    let url = format!("http://{}:30080/version", node.address());
    let answer = eventually(
        "podinfo by its NodePort",
        Duration::from_secs(60),
        async || Ok(Some(reqwest::get(&url).await?.text().await?)),
    )
    .await
    .unwrap();
    println!("podinfo answers: {:?}", start.elapsed());
    assert!(answer.contains("6.0.1"), "{answer}");
    node.plane().apply(ASKER).await.unwrap();
    let logs = ["logs", "asker"];
    eventually(
        "hey's report from a pod",
        Duration::from_secs(60),
        async || {
            let output = node.plane().kubectl(&logs).await?.ok()?;
            Ok(output.contains("[200]\t4 responses").then_some(()))
        },
    )
    .await
    .unwrap();
    println!("found by name: {:?}", start.elapsed());

    let (init, name) = (node.init(), node.plane().lab().name().to_owned());
    let folder = node.plane().lab().folder().to_owned();
    let interface = Path::new("/sys/class/net").join(node.plane().lab().cable());
    assert!(interface.exists());
    drop(node);
    println!("gone: {:?}", start.elapsed());
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{init}/exe")).exists());
    assert!(!Path::new("/sys/fs/cgroup/memory").join(&name).exists());
    assert!(!Path::new("/sys/fs/cgroup").join(&name).exists());
    assert!(!interface.exists());
}

#[tokio::test]
async fn a_node_whose_run_is_killed_leaves_nothing_behind() {
    let _machine = machine().await;
    let mut lab = Held::start(&["node"]).unwrap();
    let folder = lab.folder().to_owned();
    let name = folder.file_name().unwrap();
    let interface = format!(
        "canary-{}",
        &name.to_str().unwrap()["kubectl-canary-".len()..]
    );
    let interface = Path::new("/sys/class/net").join(interface);
    let cgroups = || {
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap();
        hierarchies
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name() == Some(name) || path.join(name).exists())
            .count()
    };
    assert!(folder.exists() && interface.exists() && cgroups() > 0);

    lab.kill().unwrap();

    eventually("everything to go", Duration::from_secs(15), async || {
        Ok((!folder.exists() && !interface.exists() && cgroups() == 0).then_some(()))
    })
    .await
    .unwrap();
}
