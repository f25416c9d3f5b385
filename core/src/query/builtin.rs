//! The built-in checks, `request-success-rate` and `request-duration`.

use super::{DURATION, QueryModel, SUCCESS_RATE, render};

/// Whose requests a built-in check counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of the whole route, primary and canary together, as Flagger does.
    Mixed,
    /// Those that these addresses answered: the canary's.
    Nodes(Vec<String>),
}

// The text of these four is Flagger's, space for space: dashboards and recording rules may quote
// it.

const APISIX_SUCCESS: &str = r#"
    sum( rate( apisix_http_status{
        route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+", code!~"5.."
    }[{{ interval }}] ) )
    / sum( rate( apisix_http_status{
        route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+"
    }[{{ interval }}] ) ) * 100"#;

const APISIX_DURATION: &str = r#"
    histogram_quantile( 0.99, sum( rate( apisix_http_latency_bucket{
        type=~"request", route=~"{{ namespace }}_{{ route }}-{{ target }}-canary_.+"
    }[{{ interval }}] ) ) by (le) )"#;

const HTTP_SUCCESS: &str = r#"
    sum( rate( http_request_duration_seconds_count{
        kubernetes_namespace="{{ namespace }}",
        kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", status!~"5.*"
    }[{{ interval }}] ) )
    / sum( rate( http_request_duration_seconds_count{
        kubernetes_namespace="{{ namespace }}",
        kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
    }[{{ interval }}] ) ) * 100"#;

const HTTP_DURATION: &str = r#"
    histogram_quantile( 0.99, sum( rate( http_request_duration_seconds_bucket{
        kubernetes_namespace="{{ namespace }}",
        kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"
    }[{{ interval }}] ) ) by (le) )"#;

/// The query of a built-in check; none if there is no such check for the provider.
pub fn builtin(name: &str, provider: &str, model: &QueryModel, scope: &Scope) -> Option<String> {
    match (provider, name, scope) {
        ("apisix", SUCCESS_RATE, Scope::Mixed) => fill(APISIX_SUCCESS, model),
        ("apisix", DURATION, Scope::Mixed) => fill(APISIX_DURATION, model),
        ("apisix", SUCCESS_RATE, Scope::Nodes(nodes)) => Some(canary_success(model, nodes)),
        ("apisix", DURATION, Scope::Nodes(nodes)) => Some(canary_duration(model, nodes)),
        // The pods are selected by the target's name, so primary and canary never mix.
        ("kubernetes", SUCCESS_RATE, _) => fill(HTTP_SUCCESS, model),
        ("kubernetes", DURATION, _) => fill(HTTP_DURATION, model),
        _ => None,
    }
}

fn fill(template: &str, model: &QueryModel) -> Option<String> {
    // The templates above name only what every model has.
    render(template, model).ok().map(|text| one_line(&text))
}

/// Our own queries have no comment and no text that spaces matter to.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Share of the canary's requests that did not fail, in percent.
///
/// A 5xx without a node is the gateway's own: it found nobody to ask. It counts against the
/// canary. A canary that answers nothing but 5xx has no series to sum on top, hence the
/// `vector(0)`; without any request there is nothing to divide by, and no value.
fn canary_success(model: &QueryModel, nodes: &[String]) -> String {
    let (route, node, window) = (route(model), node(nodes), &model.interval);
    one_line(&format!(
        r#"(sum(rate(apisix_http_status{{{route},{node},code!~"5.."}}[{window}])) or vector(0))
        / (sum(rate(apisix_http_status{{{route},{node}}}[{window}])
        or rate(apisix_http_status{{{route},node="",code=~"5.."}}[{window}])) > 0) * 100"#
    ))
}

/// The 99th percentile of the canary's request durations, in milliseconds.
fn canary_duration(model: &QueryModel, nodes: &[String]) -> String {
    let (route, node, window) = (route(model), node(nodes), &model.interval);
    one_line(&format!(
        r#"histogram_quantile(0.99, sum(rate(apisix_http_latency_bucket{{type=~"request",{route},{node}}}[{window}])) by (le))"#
    ))
}

/// The generated route, by the apex: Flagger's query takes the target's name, and so finds
/// nothing where a Service has another name than its workload.
fn route(model: &QueryModel) -> String {
    let name = format!(
        "{}_{}-{}-canary_",
        model.namespace, model.route, model.service
    );
    format!(r#"route=~"{}.+""#, quoted(&escaped(&name)))
}

fn node(nodes: &[String]) -> String {
    if nodes.is_empty() {
        // An empty alternative would match the requests that no node answered.
        return r#"node="none""#.to_owned();
    }
    let nodes: Vec<String> = nodes.iter().map(|node| escaped(node)).collect();
    format!(r#"node=~"{}""#, quoted(&nodes.join("|")))
}

/// Text that an RE2 expression matches literally.
fn escaped(text: &str) -> String {
    const META: &str = r"\.+*?()|[]{}^$";
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            if META.contains(c) {
                out.push('\\');
            }
            out.push(c);
            out
        })
}

/// Text as it stands between the double quotes of `PromQL`.
fn quoted(text: &str) -> String {
    text.replace('\\', r"\\")
        .replace('"', r#"\""#)
        .replace('\n', r"\n")
}
