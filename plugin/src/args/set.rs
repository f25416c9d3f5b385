//! `set image`.

use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};

use super::verbs::DryRun;
use super::{dns_name, duration};

#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(subcommand)]
    pub what: SetVerb,
}

#[derive(Debug, Subcommand)]
pub enum SetVerb {
    /// Set images of a Deployment as `kubectl set image` does, and follow the release that this starts
    ///
    /// The exit code tells how the release ended: 0 promoted, 2 failed or rolled back, 6
    /// superseded.
    Image(SetImageArgs),
}

#[derive(Debug, Args)]
pub struct SetImageArgs {
    /// Deployment that a Canary releases, as deployment/NAME
    #[arg(value_name = "deployment/NAME")]
    pub target: DeploymentName,
    /// Container and its new image; * for every container
    #[arg(value_name = "CONTAINER=IMAGE", required = true)]
    pub images: Vec<NewImage>,
    /// Wait until the release has ended
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    pub wait: bool,
    /// How long to wait for the release's end (0: without end); it goes on after that
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0")]
    pub timeout: Duration,
    /// Why, for the record: kept as the Deployment's change cause, as `kubectl rollout history` shows it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Say what would be changed, and change nothing; `server` lets admission and policies answer
    #[arg(long, value_enum, value_name = "client|server", default_value_t = DryRun::None, hide_default_value = true, hide_possible_values = true)]
    pub dry_run: DryRun,
}

/// The name in `deployment/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentName(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    pub container: String,
    pub image: String,
}

// === impl DeploymentName ===

impl FromStr for DeploymentName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KINDS: [&str; 4] = ["deploy", "deployment", "deployments", "deployments.apps"];
        let name = match text.split_once('/') {
            Some((kind, name)) if KINDS.contains(&kind.to_ascii_lowercase().as_str()) => name,
            Some((kind, _)) => {
                return Err(format!("`{kind}` is no Deployment: write deployment/NAME"));
            }
            None => return Err("write deployment/NAME".to_owned()),
        };
        dns_name(name).map(Self)
    }
}

// === impl NewImage ===

impl FromStr for NewImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((container, image))
                if !container.is_empty()
                    && !image.is_empty()
                    && !image.contains(char::is_whitespace) =>
            {
                Ok(Self {
                    container: container.to_owned(),
                    image: image.to_owned(),
                })
            }
            _ => Err("write CONTAINER=IMAGE, as app=registry.example.com/app:1.2.3".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_carries_its_kind() {
        for text in [
            "deploy/a",
            "deployment/a",
            "Deployment/a",
            "deployments.apps/a",
        ] {
            assert_eq!(text.parse(), Ok(DeploymentName("a".into())), "{text}");
        }
        for text in [
            "a",
            "canary/a",
            "deploy/",
            "deploy/../x",
            "deploy/a/b",
            "deploy/A",
        ] {
            assert!(text.parse::<DeploymentName>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_belongs_to_a_container() {
        let image = |text: &str| text.parse::<NewImage>().map(|it| (it.container, it.image));
        assert_eq!(
            image("a=r:5000/b@sha256:1=2"),
            Ok(("a".into(), "r:5000/b@sha256:1=2".into()))
        );
        for text in ["a", "a=", "=b", "", "a=b c"] {
            assert!(image(text).is_err(), "{text}");
        }
    }
}
