//! From flags and kubeconfig files to one connection.
//!
//! ```text
//!  --kubeconfig FILE ─┐
//!  KUBECONFIG list ───┼─► merged ─► one context, cluster, user ─► flags win ─► kube::Config
//!  ~/.kube/config ────┘                    (or the pod's service account)
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster,
    NamedContext,
};

use crate::args::Global;
use crate::env::Env;
use crate::exit::Error;

const NAME: &str = "selected";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection that flags and environment ask for.
pub async fn config(flags: &Global, env: &Env) -> Result<Config, Error> {
    let files = files(flags, env);
    let kubeconfig = merged(&files)?;
    let mut config = if kubeconfig.contexts.is_empty()
        && kubeconfig.clusters.is_empty()
        && flags.server.is_none()
    {
        let mut config = Config::incluster().map_err(|_| Error::NoCluster(nowhere(&files)))?;
        override_user(&mut config.auth_info, flags);
        check_token(&config.auth_info)?;
        config
    } else {
        let selected = select(&kubeconfig, flags)?;
        let own_proxy = own_proxy(&selected);
        let mut config = Config::from_custom_kubeconfig(selected, &KubeConfigOptions::default())
            .await
            .map_err(|error| Error::Kubeconfig(chain(&error)))?;
        config.proxy_url = match own_proxy.or_else(|| env_proxy(&config, env)) {
            Some(proxy) => Some(
                proxy
                    .parse()
                    .map_err(|_| Error::Kubeconfig(format!("`{proxy}` is no URL of a proxy")))?,
            ),
            None => None,
        };
        config
    };
    if let Some(namespace) = &flags.namespace {
        config.default_namespace.clone_from(namespace);
    }
    // A person waits: what cannot be reached is said at once, and `Cluster` decides about retries.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Ok(config)
}

/// Names of the contexts; none where no file can be read.
pub fn contexts(flags: &Global, env: &Env) -> Vec<String> {
    let kubeconfig = merged(&files(flags, env)).unwrap_or_default();
    let contexts = kubeconfig.contexts.into_iter();
    contexts.map(|context| context.name).collect()
}

/// The files to merge, and whether a missing one is an error.
fn files(flags: &Global, env: &Env) -> Vec<(PathBuf, bool)> {
    if let Some(file) = &flags.kubeconfig {
        return vec![(file.clone(), true)];
    }
    let listed: Vec<_> = env
        .kubeconfig
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| (path, false))
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    env.home
        .iter()
        .map(|home| (home.join(".kube").join("config"), false))
        .collect()
}

/// What was looked for in vain.
fn nowhere(files: &[(PathBuf, bool)]) -> String {
    let (there, missing): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| path.exists());
    let listed = |files: &[&(PathBuf, bool)]| {
        let names = files.iter().map(|(path, _)| path.display().to_string());
        names.collect::<Vec<_>>().join(", ")
    };
    let found = match (there.as_slice(), missing.as_slice()) {
        ([], []) => "no kubeconfig was found".to_owned(),
        ([], missing) => format!("there is no {}", listed(missing)),
        (there, _) => format!("{} names none", listed(there)),
    };
    format!("{found}, and this is not a pod")
}

/// Missing files of a list are skipped, as kubectl does; the first to set a value wins.
fn merged(files: &[(PathBuf, bool)]) -> Result<Kubeconfig, Error> {
    files
        .iter()
        .try_fold(Kubeconfig::default(), |merged, (path, required)| {
            if !required && !path.exists() {
                return Ok(merged);
            }
            let read = Kubeconfig::read_from(path).map_err(|error| unreadable(path, &error))?;
            merged.merge(read).map_err(|error| unreadable(path, &error))
        })
}

fn unreadable(path: &Path, error: &kube::config::KubeconfigError) -> Error {
    Error::Kubeconfig(format!("{}: {}", path.display(), chain(error)))
}

/// A kubeconfig of one context, with the flags written into it.
fn select(all: &Kubeconfig, flags: &Global) -> Result<Kubeconfig, Error> {
    let wanted = flags
        .context
        .clone()
        .or(all.current_context.clone())
        .filter(|name| !name.is_empty());
    let mut context = match &wanted {
        Some(name) => find_context(all, name)?,
        None if flags.server.is_some() || flags.cluster.is_some() => Context::default(),
        None => {
            return Err(Error::NoCluster(
                "the kubeconfig has no current context".into(),
            ));
        }
    };
    let mut cluster = match flags
        .cluster
        .clone()
        .or(Some(context.cluster.clone()).filter(|name| !name.is_empty()))
    {
        Some(name) => find_cluster(all, &name)?,
        None => Cluster::default(),
    };
    let mut user = match flags
        .user
        .clone()
        .or(context.user.clone())
        .filter(|name| !name.is_empty())
    {
        Some(name) => find_user(all, &name, flags.user.is_some())?,
        None => AuthInfo::default(),
    };
    override_cluster(&mut cluster, flags)?;
    override_user(&mut user, flags);
    check_token(&user)?;
    NAME.clone_into(&mut context.cluster);
    context.user = Some(NAME.to_owned());
    context.namespace = context.namespace.filter(|namespace| !namespace.is_empty());
    Ok(Kubeconfig {
        clusters: vec![NamedCluster {
            name: NAME.into(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: NAME.into(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: NAME.into(),
            context: Some(context),
            ..NamedContext::default()
        }],
        current_context: Some(NAME.into()),
        ..Kubeconfig::default()
    })
}

fn find_context(all: &Kubeconfig, name: &str) -> Result<Context, Error> {
    let found = all
        .contexts
        .iter()
        .find(|named| named.name == name)
        .and_then(|named| named.context.clone());
    found.ok_or_else(|| Error::Kubeconfig(format!("it has no context `{name}`")))
}

fn find_cluster(all: &Kubeconfig, name: &str) -> Result<Cluster, Error> {
    let found = all
        .clusters
        .iter()
        .find(|named| named.name == name)
        .and_then(|named| named.cluster.clone());
    found.ok_or_else(|| Error::Kubeconfig(format!("it has no cluster `{name}`")))
}

/// A user that only the context names may be missing, as with kubectl: some clusters need none.
fn find_user(all: &Kubeconfig, name: &str, required: bool) -> Result<AuthInfo, Error> {
    match all
        .auth_infos
        .iter()
        .find(|named| named.name == name)
        .and_then(|named| named.auth_info.clone())
    {
        Some(user) => Ok(user),
        None if required => Err(Error::Kubeconfig(format!("it has no user `{name}`"))),
        None => Ok(AuthInfo::default()),
    }
}

fn override_cluster(cluster: &mut Cluster, flags: &Global) -> Result<(), Error> {
    if let Some(server) = &flags.server {
        cluster.server = Some(with_scheme(server));
    }
    if let Some(server) = &cluster.server
        && !(server.starts_with("https://") || server.starts_with("http://"))
    {
        return Err(Error::Kubeconfig(format!(
            "`{server}` is no http or https URL"
        )));
    }
    if let Some(file) = &flags.certificate_authority {
        cluster.certificate_authority = Some(file.display().to_string());
        cluster.certificate_authority_data = None;
    }
    if flags.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority = None;
        cluster.certificate_authority_data = None;
    }
    if let Some(name) = &flags.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    Ok(())
}

fn with_scheme(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    }
}

/// A token that is no header value ends the process deep inside the HTTP client.
fn check_token(user: &AuthInfo) -> Result<(), Error> {
    let written = serde_json::to_value(user).unwrap_or_default();
    let token = written
        .get("token")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    if token.chars().all(|c| c.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(Error::Kubeconfig(
            "the token has characters that no token has".into(),
        ))
    }
}

fn override_user(user: &mut AuthInfo, flags: &Global) {
    if let Some(token) = &flags.token {
        user.token = Some(token.clone().into());
        user.token_file = None;
        user.exec = None;
        user.auth_provider = None;
    }
    if let Some(file) = &flags.client_certificate {
        user.client_certificate = Some(file.display().to_string());
        user.client_certificate_data = None;
    }
    if let Some(file) = &flags.client_key {
        user.client_key = Some(file.display().to_string());
        user.client_key_data = None;
    }
    if let Some(name) = &flags.as_user {
        user.impersonate = Some(name.clone());
    }
    if !flags.as_group.is_empty() {
        user.impersonate_groups = Some(flags.as_group.clone());
    }
    if let Some(uid) = &flags.as_uid {
        user.impersonate_uid = Some(uid.clone());
    }
}

/// The cluster's own proxy, which no exception list touches.
fn own_proxy(selected: &Kubeconfig) -> Option<String> {
    let cluster = selected.clusters.first()?.cluster.as_ref()?;
    cluster.proxy_url.clone().filter(|url| !url.is_empty())
}

/// The environment's proxy, unless the server is exempt from it; this machine always is, as for
/// kubectl.
fn env_proxy(config: &Config, env: &Env) -> Option<String> {
    let proxy = env.https_proxy.as_ref()?;
    let host = config.cluster_url.host()?.trim_matches(['[', ']']);
    let local = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    let matcher = Matcher::builder()
        .https(proxy.as_str())
        .no(env.no_proxy.as_deref().unwrap_or_default())
        .build();
    let intercepted = !local && matcher.intercept(&config.cluster_url).is_some();
    intercepted.then(|| {
        if proxy.contains("://") {
            proxy.clone()
        } else {
            format!("http://{proxy}")
        }
    })
}

/// An error with its causes, each said once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
