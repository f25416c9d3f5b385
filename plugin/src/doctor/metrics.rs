//! The metrics server, as far as it is a Service of the cluster.

use super::Check;
use crate::exit::Error;

const NAME: &str = "metrics";

/// A Service, as the API server's proxy has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub namespace: String,
    /// `http:prometheus:9090`
    pub service: String,
    /// Path before the API's own, without a slash at its end.
    pub prefix: String,
}

/// `http://prometheus.monitoring:9090` as a Service; none if it is something else.
pub fn backend(url: &str, namespace: &str) -> Option<Backend> {
    let (scheme, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None if scheme == "https" => (host, "443"),
        None => (host, "80"),
    };
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |text: &&str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_address = labels
        .iter()
        .all(|label| label.chars().all(|c| c.is_ascii_digit()));
    let whole = labels.iter().all(is_label) && port.parse::<u16>().is_ok() && !is_address;
    let (name, namespace) = match labels.as_slice() {
        ["localhost"] => return None,
        [name] => (*name, namespace),
        [name, namespace] | [name, namespace, "svc", ..] => (*name, *namespace),
        _ => return None,
    };
    let path = path.trim_end_matches('/');
    let plain = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let known = matches!(scheme, "http" | "https");
    (whole && plain && known).then(|| Backend {
        namespace: namespace.to_owned(),
        service: format!("{scheme}:{name}:{port}"),
        prefix: if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        },
    })
}

/// Nobody said which server it is.
pub fn unknown() -> Check {
    Check::warn(NAME, "the server names no metrics server")
        .hint("`kubectl canary upgrade --metrics-server=URL`, or spec.metricsServer in each Canary")
}

/// It can only be asked from inside.
pub fn outside(url: &str) -> Check {
    Check::skipped(
        NAME,
        format!("{url} is no Service of this cluster: not asked"),
    )
}

/// What came back through the API server's proxy.
pub fn answered(url: &str, answer: &Result<String, Error>) -> Check {
    let look = "correct --metrics-server, or look at that Service and its pods";
    match answer {
        Ok(text) if text.contains("\"success\"") => {
            Check::ok(NAME, format!("{url} answers queries"))
        }
        Ok(_) => Check::fail(NAME, format!("{url} answers, but not as Prometheus does")).hint(look),
        Err(Error::ReadForbidden(_)) => Check::skipped(
            NAME,
            format!("you may not reach {url} through the API server"),
        ),
        Err(error) => Check::fail(NAME, format!("{url} cannot be asked: {error}")).hint(look),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_url_of_the_cluster_is_a_service() {
        let service =
            |url: &str| backend(url, "test").map(|it| (it.namespace, it.service, it.prefix));
        let found = |namespace: &str, service: &str, prefix: &str| {
            Some((namespace.to_owned(), service.to_owned(), prefix.to_owned()))
        };
        let table = [
            (
                "http://prometheus.monitoring:9090",
                found("monitoring", "http:prometheus:9090", ""),
            ),
            (
                "https://p.m.svc.cluster.local/prom/",
                found("m", "https:p:443", "/prom"),
            ),
            ("http://prometheus", found("test", "http:prometheus:80", "")),
            ("http://127.0.0.1:9090", None),
            ("http://localhost:9090", None),
            ("https://metrics.example.com", None),
            ("http://a b.c", None),
            ("http://p.m:x", None),
            ("http://p.m/../../secrets?x", None),
            ("prometheus.monitoring:9090", None),
        ];
        for (url, expected) in table {
            assert_eq!(service(url), expected, "{url}");
        }
    }

    #[test]
    fn only_an_answer_of_prometheus_is_one() {
        let outcome = |answer: Result<String, Error>| answered("http://p.m", &answer).outcome;
        assert_eq!(outcome(Ok(r#"{"status":"success"}"#.into())), Outcome::Ok);
        assert_eq!(outcome(Ok("<html>".into())), Outcome::Fail);
        assert_eq!(
            outcome(Err(Error::ReadForbidden("no".into()))),
            Outcome::Skipped
        );
        assert_eq!(outcome(Err(Error::NoCrd)), Outcome::Fail);
    }
}
