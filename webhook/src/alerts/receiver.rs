//! Receivers, from Flagger's flags and from `AlertProviders`.

use std::collections::BTreeMap;

use canary_core::alert::{Recipient, Service};
use canary_core::template::AlertProvider;
use k8s_openapi::ByteString;

use crate::args::AlertArgs;

/// Of an `AlertProvider` that names none, as Flagger has them.
const USERNAME: &str = "flagger";
const CHANNEL: &str = "general";

/// A receiver as it is now.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    pub service: Service,
    pub address: String,
    /// Slack's.
    pub token: Option<String>,
    pub proxy: Option<String>,
    pub recipient: Recipient,
}

/// The receiver that Flagger's flags name; Teams before Slack, as there.
pub fn default_receiver(args: &AlertArgs) -> Option<Receiver> {
    let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let recipient = Recipient {
        channel: args.slack_channel.clone(),
        username: args.slack_user.clone(),
    };
    if let Some(address) = set(&args.msteams_url) {
        return Some(Receiver {
            service: Service::MsTeams,
            address,
            token: None,
            proxy: set(&args.msteams_proxy_url),
            recipient,
        });
    }
    Some(Receiver {
        service: Service::Slack,
        address: set(&args.slack_url)?,
        token: set(&args.slack_token),
        proxy: set(&args.slack_proxy_url),
        recipient,
    })
}

/// Of a provider and, if it names one, its Secret's data.
pub fn receiver_of(
    provider: &AlertProvider,
    secret: Option<&BTreeMap<String, ByteString>>,
) -> Result<Receiver, String> {
    let spec = &provider.spec;
    let service = Service::of(&spec.type_)
        .ok_or_else(|| format!("there is no provider of type {:?}", spec.type_))?;
    let entry = |key: &str| {
        let bytes = secret.and_then(|data| data.get(key));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).trim().to_owned())
    };
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let address = match secret {
        Some(_) => entry("address").or_else(|| set(&spec.address)),
        None => set(&spec.address),
    };
    Ok(Receiver {
        service,
        address: address.ok_or("neither it nor its Secret has an address")?,
        token: entry("token").filter(|_| service == Service::Slack),
        proxy: set(&spec.proxy),
        recipient: Recipient {
            channel: set(&spec.channel).unwrap_or_else(|| CHANNEL.to_owned()),
            username: set(&spec.username).unwrap_or_else(|| USERNAME.to_owned()),
        },
    })
}
