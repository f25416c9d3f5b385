//! Which images containers may run.

use serde_json::{Value, json};

use super::{ALICE, BOB, CREATE, SERVER, Site, deployment, image};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn registries(allowed: &[&str]) -> Value {
    json!({"images": {"allowedRegistries": allowed}})
}

/// Creations, each refused because of `field`.
async fn refuses(site: &Site, field: &str, images: &[&str]) {
    for image in images {
        let why = format!("CanaryPolicy {}: spec.images.{field}: ", site.name);
        let object = deployment("web", image).to_string();
        let output = site.refused(ALICE, &CREATE, &object, &why).await;
        assert!(
            output.stderr.contains(&format!(", not app={image}")),
            "{output:?}"
        );
        assert!(output.stderr.contains("(Forbidden)"), "{output:?}");
    }
}

async fn accepts(site: &Site, images: &[&str]) {
    for image in images {
        let object = deployment("web", image).to_string();
        let args = ["create", "--dry-run=server", "-f", "-"];
        site.allowed(ALICE, &args, &object).await;
    }
}

#[tokio::test]
async fn an_image_comes_from_an_allowed_registry() {
    let site = Site::with(registries(&["registry.acme.io/", "docker.io/library/"])).await;
    refuses(
        &site,
        "allowedRegistries",
        &[
            "ghcr.io/acme/web:1",
            // Only what begins with the whole name does.
            "registry.acme.io.evil.io/web:1",
            "evil.io/registry.acme.io/web:1",
            "acme/web:1",
            "docker.io/acme/web:1",
            "localhost/web",
            "registry.acme.io:5000/web:1",
        ],
    )
    .await;
    let at = format!("registry.acme.io/team/web@{DIGEST}");
    accepts(
        &site,
        &[
            "registry.acme.io/web:1",
            &at,
            "nginx",
            "nginx:1.27",
            "docker.io/nginx:1",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_registry_is_known_by_its_port_or_dot_and_localhost_is_one() {
    let site = Site::with(registries(&["registry:5000/", "localhost/"])).await;
    refuses(&site, "allowedRegistries", &["registry/web:5000", "web"]).await;
    accepts(&site, &["registry:5000/web", "localhost/web:1"]).await;
}

#[tokio::test]
async fn an_init_container_is_judged_as_the_others_are() {
    let site = Site::with(registries(&["registry.acme.io/"])).await;
    let mut object = deployment("web", "registry.acme.io/web:1");
    object["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "setup", "image": "evil.io/setup:1"}]);
    let why = "use an image of registry.acme.io/, not setup=evil.io/setup:1";
    site.refused(ALICE, &CREATE, &object.to_string(), why).await;
}

#[tokio::test]
async fn an_image_is_named_by_its_digest() {
    let site = Site::with(json!({"images": {"requireDigest": true}})).await;
    let (short, other) = (
        format!("web@{}", &DIGEST[..DIGEST.len() - 1]),
        format!("web@{}", DIGEST.to_uppercase()),
    );
    refuses(&site, "requireDigest", &["web", "web:1", &short, &other]).await;
    let (bare, tagged) = (format!("web@{DIGEST}"), format!("r.io:5000/web:1@{DIGEST}"));
    accepts(&site, &[&bare, &tagged]).await;
}

#[tokio::test]
async fn an_image_has_no_disallowed_tag() {
    let site = Site::with(json!({"images": {"disallowedTags": ["latest", "main"]}})).await;
    refuses(
        &site,
        "disallowedTags",
        // No tag is `latest`, and a colon before the last slash is a port.
        &["web:latest", "r.io/web:main", "web", "r.io:5000/web"],
    )
    .await;
    let pinned = format!("web:latest@{DIGEST}");
    accepts(&site, &["web:1", "web:latest-1", "main/web:1", &pinned]).await;
}

#[tokio::test]
async fn a_denial_names_every_field() {
    let images = json!({"images": {
        "allowedRegistries": ["registry.acme.io/"], "requireDigest": true, "disallowedTags": ["latest"],
    }});
    let site = Site::with(images).await;
    let object = deployment("web", "nginx").to_string();
    let output = site.refused(ALICE, &CREATE, &object, "requireDigest").await;
    for field in ["allowedRegistries", "disallowedTags"] {
        let part = format!("CanaryPolicy {}: spec.images.{field}: ", site.name);
        assert!(output.stderr.contains(&part), "{output:?}");
    }
}

#[tokio::test]
async fn the_largest_policy_judges_hundreds_of_containers_and_names_itself() {
    let long = "x".repeat(220);
    let registries: Vec<String> = (0..32).map(|n| format!("{n}.{long}/")).collect();
    let mut tags: Vec<String> = (0..31).map(|n| format!("{n}-{}", &long[..100])).collect();
    tags.push("latest".to_owned());
    let site = Site::with(json!({"images": {
        "allowedRegistries": registries, "disallowedTags": tags, "requireDigest": true,
    }}))
    .await;
    let mut object = deployment("web", "web");
    let container = |n: i32| json!({"name": format!("app-{n}"), "image": format!("{long}/{n}")});
    let containers: Vec<Value> = (0..300).map(container).collect();
    object["spec"]["template"]["spec"]["containers"] = json!(containers);
    let why = format!("denied request: CanaryPolicy {}: spec.images.", site.name);
    site.refused(ALICE, &CREATE, &object.to_string(), &why)
        .await;
}

#[tokio::test]
async fn only_a_container_whose_image_changed_is_judged() {
    let site = Site::new().await;
    let mut web = deployment("web", "evil.io/web:1");
    web["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "app", "image": "evil.io/web:1"}, {"name": "proxy", "image": "evil.io/proxy:1"},
    ]);
    site.given(web).await;
    site.policy(&site.name, registries(&["registry.acme.io/"]))
        .await;

    let both = |app: &str, proxy: &str| {
        json!({"spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": app}, {"name": "proxy", "image": proxy},
        ]}}}})
    };
    let worse = both("evil.io/web:2", "evil.io/proxy:1");
    let why = "use an image of registry.acme.io/, not app=evil.io/web:2";
    let output = site
        .patch_refused(ALICE, "deployment/web", worse, why)
        .await;
    assert!(!output.stderr.contains("proxy"), "{output:?}");

    let env = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    site.patch(ALICE, "deployment/web", env).await;
    let better = both("registry.acme.io/web:2", "evil.io/proxy:1");
    site.patch(ALICE, "deployment/web", better).await;
    // The other's image moved is another container's image.
    let moved = both("evil.io/proxy:1", "evil.io/proxy:1");
    site.patch_refused(ALICE, "deployment/web", moved, "not app=evil.io/proxy:1")
        .await;
}

#[tokio::test]
async fn scale_and_labels_are_no_release() {
    let site = Site::new().await;
    site.given(deployment("web", "evil.io/web:1")).await;
    site.policy(&site.name, registries(&["registry.acme.io/"]))
        .await;
    let evil = image("evil.io/web:2");
    site.patch_refused(ALICE, "deployment/web", evil, "registry.acme.io/")
        .await;

    site.allowed(ALICE, &["scale", "deployment/web", "--replicas=1"], "")
        .await;
    site.allowed(ALICE, &["label", "deployment/web", "a=b"], "")
        .await;
    let replicas = json!({"spec": {"replicas": 2}});
    site.patch(ALICE, "deployment/web", replicas).await;
}

#[tokio::test]
async fn a_policy_is_for_the_namespaces_that_have_all_its_labels() {
    let (site, other) = (Site::new().await, Site::new().await);
    let spec = json!({
        "namespaces": {"matchLabels": {"test": &site.name, "kubernetes.io/metadata.name": &site.name}},
        "images": {"disallowedTags": ["latest"]},
    });
    let policy = |spec: &Value| {
        json!({
            "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
            "metadata": {"name": &site.name}, "spec": spec,
        })
    };
    site.admin(&policy(&spec)).await;
    let object = deployment("web", "web:latest").to_string();
    site.refused(ALICE, &CREATE, &object, "disallowedTags")
        .await;
    other.allowed(ALICE, &CREATE, &object).await;

    // One label of two is not enough. What follows the policy in time shows that it has arrived.
    let mut half = spec.clone();
    half["namespaces"]["matchLabels"]["env"] = json!("prod");
    site.admin(&policy(&half)).await;
    site.policy(
        &format!("{}-next", site.name),
        json!({"images": {"disallowedTags": ["dev"]}}),
    )
    .await;
    let dev = deployment("web", "web:dev").to_string();
    site.refused(ALICE, &CREATE, &dev, "disallowedTags").await;
    site.allowed(ALICE, &CREATE, &object).await;
}

#[tokio::test]
async fn an_owner_written_by_hand_exempts_nobody_but_the_server_is_exempt() {
    let site = Site::new().await;
    let canary = site.given(super::canary(json!({"stepWeight": 10}))).await;
    let canary_uid = site.read("canary/podinfo").await["metadata"]["uid"].clone();
    site.policy(&site.name, registries(&["registry.acme.io/"]))
        .await;
    let mut owned = deployment("podinfo-primary", "evil.io/web:1");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": canary["apiVersion"], "kind": "Canary", "name": "podinfo",
        "uid": canary_uid, "controller": true,
    }]);
    let owned = owned.to_string();
    for user in [ALICE, BOB] {
        site.refused(user, &CREATE, &owned, "use an image of registry.acme.io/")
            .await;
    }
    site.allowed(SERVER, &["create", "-f", "-"], &owned).await;
}
