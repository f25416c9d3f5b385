use super::*;

const DIGEST_OF_SOMETHING: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn a_reference_is_read_as_a_container_runtime_reads_it() {
    let long = format!("registry:5000/a/b:1.2@{DIGEST_OF_SOMETHING}");
    let table = [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("team/app:2", "docker.io/team/app:2"),
        ("docker.io/team/app", "docker.io/team/app:latest"),
        ("ghcr.io/team/app", "ghcr.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/app", "registry:5000/app:latest"),
        ("registry:5000/app:v1", "registry:5000/app:v1"),
        // A host without dot and port is a user of Docker Hub.
        ("registry/app", "docker.io/registry/app:latest"),
        (long.as_str(), long.as_str()),
    ];
    for (reference, read) in table {
        assert_eq!(Image::read(reference).to_string(), read, "{reference}");
    }
}

#[test]
fn a_digest_without_tag_has_no_tag() {
    let image = Image::read(&format!("nginx@{DIGEST_OF_SOMETHING}"));
    assert_eq!(
        (image.tag, image.digest.as_deref()),
        (None, Some(DIGEST_OF_SOMETHING))
    );
}

#[test]
fn only_a_whole_sha256_pins_an_image() {
    let digits = &DIGEST_OF_SOMETHING["sha256:".len()..];
    let pins = |digest: &str| Image::read(&format!("nginx:1@{digest}")).is_pinned();
    assert!(pins(DIGEST_OF_SOMETHING));
    for digest in [
        digits.to_owned(),
        format!("sha256:{}", &digits[1..]),
        format!("sha256:{digits}0"),
        format!("sha256:{}", digits.to_uppercase()),
        format!("md5:{digits}"),
    ] {
        assert!(!pins(&digest), "{digest}");
    }
    assert!(!Image::read("nginx:1").is_pinned());
}

#[test]
fn a_prefix_that_ends_in_a_slash_allows_no_look_alike() {
    let under = |image: &str, prefix: &str| Image::read(image).is_under(prefix);
    assert!(under("nginx", "docker.io/library/"));
    assert!(under("nginx", "docker.io/"));
    assert!(under(
        "registry.example.com/team/app@sha256:0",
        "registry.example.com/team/"
    ));
    assert!(!under(
        "registry.example.com/team-b/app",
        "registry.example.com/team/"
    ));
    assert!(!under(
        "registry.example.com.evil.org/team/app",
        "registry.example.com/"
    ));
    assert!(!under(
        "evil.org/registry.example.com/team/app",
        "registry.example.com/"
    ));
    assert!(!under("registry/app", "registry/"));
}
