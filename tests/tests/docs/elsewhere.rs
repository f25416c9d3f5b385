//! Commands of the pages that cannot be run beside a control plane whose pods are simulated.

/// Why not, and who runs them instead.
pub struct Elsewhere {
    /// How the command begins.
    pub begins: &'static str,
    pub why: &'static str,
    pub instead: &'static str,
}

const fn row(begins: &'static str, why: &'static str, instead: &'static str) -> Elsewhere {
    Elsewhere {
        begins,
        why,
        instead,
    }
}

pub const ELSEWHERE: &[Elsewhere] = &[
    row(
        "make demo",
        "it is a cluster of its own, for minutes",
        "the scenario in tests/tests/node",
    ),
    row("make test", "it is what runs this", "itself"),
    row(
        "make image",
        "it is a release build, for minutes",
        "make e2e, which installs the image",
    ),
    row(
        "cargo install --path plugin",
        "it is a release build, for minutes",
        "make bench, which measures that build",
    ),
    row(
        "skopeo copy",
        "a registry is needed",
        "nobody: an archive by the OCI's layout",
    ),
    row(
        "podman build",
        "Podman is needed",
        "nobody: its result is not what is shipped",
    ),
    row(
        "python3 -m venv",
        "it downloads compilers",
        "who makes a release",
    ),
    row(
        "cargo install cargo-cyclonedx",
        "it downloads and builds a tool",
        "who makes a release",
    ),
    row(
        "(cd target/dist && sha256sum",
        "the archives are there after make dist only",
        "who makes a release",
    ),
    row(
        "go install sigs.k8s.io/krew",
        "it downloads and builds a tool",
        "who makes a release",
    ),
    row(
        "validate-krew-manifest",
        "the manifest is there after make dist only",
        "who makes a release",
    ),
    row(
        "krew install",
        "the archives are there after make dist only",
        "who makes a release",
    ),
    row(
        "PATH=$PWD/target/venv/bin:$PATH make dist",
        "it is three release builds",
        "who makes a release",
    ),
    row(
        "rustup target add",
        "Apple's SDK is needed",
        "who makes a release, on macOS",
    ),
    row(
        "manifests/krew/dist.sh",
        "Apple's SDK is needed",
        "who makes a release, on macOS",
    ),
    row(
        "kubectl -n monitoring port-forward",
        "simulated pods forward no port",
        "nobody: kubectl's own",
    ),
    row(
        "curl -s localhost:9090",
        "simulated pods forward no port",
        "nobody: Prometheus' own",
    ),
    row(
        "kubectl -n canary-system logs",
        "simulated pods have no logs",
        "tests/tests/cluster/server.rs reads them",
    ),
];

// === impl Elsewhere ===

impl Elsewhere {
    pub fn names(&self, command: &str) -> bool {
        command.starts_with(self.begins)
    }
}

/// The row of a command that is run elsewhere.
pub fn elsewhere(command: &str) -> Option<&'static Elsewhere> {
    ELSEWHERE.iter().find(|row| row.names(command))
}

/// Commands that end when they are interrupted: after a while somebody types Ctrl-C.
pub const ENDLESS: [&str; 1] = ["kubectl canary dashboard"];
