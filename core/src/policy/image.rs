//! References to images, as a container runtime reads them.

use std::fmt;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
const DIGEST: &str = "sha256:";
const DIGEST_DIGITS: usize = 64;

/// `registry.example.com:5000/team/app:1.2@sha256:…`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Registry and path, written out: `nginx` is `docker.io/library/nginx`.
    pub repository: String,
    /// None if only a digest names it.
    pub tag: Option<String>,
    pub digest: Option<String>,
}

// === impl Image ===

impl Image {
    /// Never fails: what is no reference is refused by the kubelet, and matches no registry here.
    pub fn read(reference: &str) -> Self {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (reference, None),
        };
        // A colon before the last slash is a port.
        let path = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[path..].find(':') {
            Some(colon) => (
                &name[..path + colon],
                Some(name[path + colon + 1..].to_owned()),
            ),
            None => (name, None),
        };
        Self {
            repository: written_out(name),
            tag: tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned())),
            digest,
        }
    }

    /// Whether its name begins with `prefix`, which ends in `/` and begins with a registry.
    pub fn is_under(&self, prefix: &str) -> bool {
        self.repository.starts_with(prefix)
    }

    /// Whether a digest says what runs.
    pub fn is_pinned(&self) -> bool {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        self.digest
            .as_ref()
            .and_then(|digest| digest.strip_prefix(DIGEST))
            .is_some_and(|digits| digits.len() == DIGEST_DIGITS && digits.bytes().all(hex))
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether the first part of a name is a registry, and not a namespace of Docker Hub.
pub fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn written_out(name: &str) -> String {
    match name.split_once('/') {
        None => format!("{DEFAULT_REGISTRY}/{DEFAULT_NAMESPACE}/{name}"),
        Some((DEFAULT_REGISTRY, rest)) if !rest.contains('/') => {
            format!("{DEFAULT_REGISTRY}/{DEFAULT_NAMESPACE}/{rest}")
        }
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("{DEFAULT_REGISTRY}/{name}"),
    }
}

#[cfg(test)]
mod tests;
