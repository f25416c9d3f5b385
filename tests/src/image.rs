//! Container images without a builder or a registry: one layer from programs on this machine, as the
//! docker-archive that containerd imports.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::tools::require;

/// What goes into an image.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    files: Vec<(PathBuf, PathBuf)>,
    entrypoint: Vec<String>,
    env: Vec<String>,
}

impl Image {
    /// An empty image of that full name, e.g. `docker.io/stefanprodan/podinfo:6.0.0`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            entrypoint: Vec::new(),
            env: vec!["PATH=/bin:/usr/bin:/usr/local/bin".to_owned()],
        }
    }

    /// Adds a file at that path of the image.
    #[must_use]
    pub fn file(mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.files.push((source.into(), target.into()));
        self
    }

    /// Adds a program as `/bin/<name>`, with the libraries that it is linked to.
    pub fn program(mut self, source: &Path, name: &str) -> Result<Self> {
        for library in libraries(source)? {
            if !self.files.iter().any(|(_, target)| *target == library) {
                self = self.file(library.clone(), library);
            }
        }
        Ok(self.file(source, Path::new("/bin").join(name)))
    }

    /// What runs in a container that does not say otherwise.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds a variable to the environment of its containers.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// The image's full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the docker-archive.
    pub fn write(&self, path: &Path) -> Result<()> {
        let layer = self.layer()?;
        let digest = hex(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Env": self.env},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
        }))?;
        let config_name = format!("{}.json", hex(&config));
        let layer_name = format!("{digest}.tar");
        let manifest = serde_json::to_vec(&json!([{
            "Config": config_name,
            "RepoTags": [self.name],
            "Layers": [layer_name],
        }]))?;
        let out = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut archive = tar::Builder::new(out);
        for (name, bytes) in [
            (config_name.as_str(), &config),
            (layer_name.as_str(), &layer),
            ("manifest.json", &manifest),
        ] {
            append(&mut archive, Path::new(name), bytes, 0o644)?;
        }
        archive.finish()?;
        Ok(())
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = tar::Builder::new(Vec::new());
        // Programs expect it, and an image from scratch has none.
        let mut tmp = header(0, 0o1777);
        tmp.set_entry_type(tar::EntryType::Directory);
        layer.append_data(&mut tmp, "tmp/", Cursor::new([]))?;
        for (source, target) in &self.files {
            let bytes = std::fs::read(source)
                .with_context(|| format!("cannot read {}", source.display()))?;
            append(&mut layer, target.strip_prefix("/")?, &bytes, 0o755)?;
        }
        Ok(layer.into_inner()?)
    }
}

fn append<W: std::io::Write>(
    archive: &mut tar::Builder<W>,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> Result<()> {
    archive.append_data(&mut header(bytes.len(), mode), path, bytes)?;
    Ok(())
}

/// Owner, time and so the digest depend on the content alone.
fn header(size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The architecture as container images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The libraries of a program, by the path at which its loader looks for them; none if it is static.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new(require("ldd")?).arg(program).output()?;
    // ldd fails for a static program, and says so.
    Ok(parse_ldd(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let line = line.split_once(" => ").map_or(line, |(_, path)| path);
            let path = line.trim().split(" (").next()?;
            path.starts_with('/').then(|| PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_lines_become_the_paths_where_the_loader_looks() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fd2)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fd2)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(parse_ldd(text), expected.map(PathBuf::from));
        assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn an_archive_names_its_image_and_holds_one_layer_with_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("data");
        std::fs::write(&source, "hello").unwrap();
        let path = folder.path().join("image.tar");

        let image = Image::new("example.test/app:1").file(&source, "/etc/data");
        image.env("A", "b").write(&path).unwrap();

        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let mut names = Vec::new();
        let mut layer = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if name == "manifest.json" {
                let manifest: serde_json::Value = serde_json::from_reader(&mut entry).unwrap();
                assert_eq!(manifest[0]["RepoTags"][0], "example.test/app:1");
                assert_eq!(manifest[0]["Layers"][0], format!("{}.tar", hex(&layer)));
            } else {
                // The configuration comes first, then the layer.
                layer.clear();
                std::io::copy(&mut entry, &mut layer).unwrap();
            }
            names.push(name);
        }
        assert_eq!(names.len(), 3);
        let mut layer = tar::Archive::new(layer.as_slice());
        let files: Vec<_> = layer
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(files, ["tmp/", "etc/data"]);
    }
}
