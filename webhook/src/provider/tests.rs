use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::ByteString;

use super::{Provider, ProviderError, QueryError, Settings, online, provider, query};
use crate::transport::testing::{closed, hanging, serve, transport};
use crate::transport::{BODY_LIMIT, Call, TransportError};

static NO_HEADERS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(BTreeMap::new);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn plain(address: &str) -> Settings<'_> {
    Settings {
        address,
        headers: &NO_HEADERS,
        credentials: None,
    }
}

fn prometheus(address: &str) -> Box<dyn Provider> {
    provider("prometheus", &plain(address)).unwrap()
}

fn refused(settings: &Settings<'_>) -> String {
    match provider("prometheus", settings) {
        Ok(_) => panic!("a provider was built"),
        Err(error) => error.to_string(),
    }
}

fn secret(entries: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect()
}

fn value_of(status: u16, body: &str) -> Result<f64, QueryError> {
    let response = http::Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    prometheus("http://p").value(response)
}

fn result_of(kind: &str, result: &str) -> Result<f64, QueryError> {
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
    value_of(200, &body)
}

mod answers {
    use super::*;

    #[test]
    fn a_single_series_is_its_value() {
        let one = r#"[{"metric":{"code":"200"},"value":[1545905245.458,"99.5"]}]"#;
        assert_eq!(result_of("vector", one), Ok(99.5));
    }

    #[test]
    fn several_series_are_multiple_values() {
        let three = r#"[{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"2"]},{"metric":{},"value":[1,"3"]}]"#;
        assert_eq!(result_of("vector", three), Err(QueryError::MultipleValues));
    }

    #[test]
    fn nothing_and_not_a_number_are_no_values() {
        assert_eq!(result_of("vector", "[]"), Err(QueryError::NoValues));
        assert_eq!(result_of("matrix", "[]"), Err(QueryError::NoValues));
        let nan = r#"[{"metric":{},"value":[1,"NaN"]}]"#;
        assert_eq!(result_of("vector", nan), Err(QueryError::NoValues));
        assert_eq!(
            value_of(200, r#"{"status":"success"}"#),
            Err(QueryError::NoValues)
        );
        assert_eq!(QueryError::NoValues.to_string(), "no values found");
    }

    #[test]
    fn infinities_pass() {
        let of = |value| result_of("vector", &format!(r#"[{{"value":[1,"{value}"]}}]"#));
        assert_eq!(of("+Inf"), Ok(f64::INFINITY));
        assert_eq!(of("-Inf"), Ok(f64::NEG_INFINITY));
    }

    #[test]
    fn a_range_vector_is_multiple_values() {
        let range = r#"[{"metric":{},"values":[[1,"1"],[2,"2"]]}]"#;
        let error = result_of("matrix", range).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("query returned multiple values")
        );
    }

    #[test]
    fn a_scalar_is_a_value() {
        assert_eq!(result_of("scalar", r#"[1,"42"]"#), Ok(42.0));
    }

    #[test]
    fn what_has_no_single_number_says_so() {
        let text = |kind, result| result_of(kind, result).unwrap_err().to_string();
        let histogram = text("vector", r#"[{"metric":{},"histogram":[1,{"count":"2"}]}]"#);
        assert!(
            histogram.contains("a histogram has no single value"),
            "{histogram}"
        );
        let string = text("string", r#"[1,"up"]"#);
        assert!(string.contains("a string is no value"), "{string}");
        let words = text("vector", r#"[{"value":[1,"many"]}]"#);
        assert!(words.contains("the value is not a number"), "{words}");
    }

    #[test]
    fn the_servers_own_error_is_shown() {
        let parse = r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected end of input"}"#;
        assert_eq!(
            value_of(400, parse).unwrap_err().to_string(),
            "error response: Status 400 Bad Request: bad_data: 1:3: parse error: unexpected end of input"
        );
        assert_eq!(
            value_of(200, parse).unwrap_err().to_string(),
            "error response: bad_data: 1:3: parse error: unexpected end of input"
        );
        assert_eq!(
            value_of(500, "oops\n").unwrap_err().to_string(),
            "error response: Status 500 Internal Server Error: oops"
        );
    }

    #[test]
    fn a_page_in_html_is_quoted_up_to_120_characters() {
        let page = format!(
            "<!DOCTYPE html>\n<title>Sign in</title>\n{}",
            "ä".repeat(500)
        );
        let error = value_of(200, &page).unwrap_err().to_string();
        let (_, quote) = error.split_once("): ").unwrap();
        assert!(
            quote.starts_with("<!DOCTYPE html> <title>Sign in</title> ä"),
            "{quote}"
        );
        assert!(quote.ends_with("ä…"), "{quote}");
        assert_eq!(quote.chars().count(), 121);
    }

    #[test]
    fn a_redirect_names_the_address_to_use() {
        let response = http::Response::builder()
            .status(302)
            .header(header::LOCATION, "https://login.example/")
            .body(Bytes::new())
            .unwrap();
        let error = prometheus("http://p").value(response).unwrap_err();
        assert_eq!(
            error.to_string(),
            "error response: Status 302 Found: it redirects to https://login.example/; use that address"
        );
    }
}

mod requests {
    use super::*;

    fn request(settings: &Settings<'_>, query: &str) -> http::Request<Bytes> {
        let provider = provider("prometheus", settings).unwrap();
        provider.request(query, NOW).unwrap()
    }

    /// What the server reads from the form.
    fn sent(query: &str) -> String {
        let request = request(&plain("http://p:9090"), query);
        assert_eq!(request.method(), http::Method::POST);
        assert_eq!(
            request.headers()[header::CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        let mut pairs = form_urlencoded::parse(request.body()).into_owned();
        let (name, query) = pairs.next().unwrap();
        assert_eq!((name.as_str(), pairs.next()), ("query", None));
        query
    }

    /// Folded into one line, the rest of the first two would be a comment, and the others would ask for
    /// another label.
    #[test]
    fn the_query_is_a_form_that_holds_every_byte_as_it_was_written() {
        for query in [
            "# share of errors\nsum(rate(x{a=~\"b&c+d\"}[1m]))\n",
            "sum(rate(x[1m])) # of all\n  / sum(rate(y[1m])) * 100",
            "x{path=\"a  b\"}",
            "x{path=`a\n\tb`}",
            " \r\n x \u{a0}=é% \n\n",
        ] {
            assert_eq!(sent(query), query);
        }
    }

    #[test]
    fn a_template_is_sent_as_it_was_written_but_for_what_is_filled_in() {
        let model = canary_core::query::QueryModel {
            namespace: "test".to_owned(),
            ingress: "podinfo".to_owned(),
            ..Default::default()
        };
        let template = "# of  {{ namespace }}\nx{route=~\"{{ printf \"kube(ew)?_%s__%s\" namespace ingress }}\",\n  a=\"b  c\"} # why\n";
        let query = canary_core::query::render(template, &model).unwrap();
        assert_eq!(
            sent(&query),
            "# of  test\nx{route=~\"kube(ew)?_test__podinfo\",\n  a=\"b  c\"} # why\n"
        );
    }

    #[test]
    fn the_addresss_own_path_and_parameters_are_kept() {
        let uri = |address| request(&plain(address), "up").uri().to_string();
        assert_eq!(uri("http://p:9090"), "http://p:9090/api/v1/query");
        assert_eq!(uri("http://p:9090/"), "http://p:9090/api/v1/query");
        assert_eq!(uri("https://m/prom/"), "https://m/prom/api/v1/query");
        assert_eq!(
            uri("https://m/prom?t=1#x"),
            "https://m/prom/api/v1/query?t=1"
        );
    }

    #[test]
    fn an_address_without_a_scheme_or_host_is_refused() {
        for address in ["", "p:9090", "flagger-prometheus.apisix", "ftp://p", "/x"] {
            let error = refused(&plain(address));
            let start = format!("prometheus address {address} is not a valid URL: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn custom_headers_are_sent_with_every_value() {
        let headers = BTreeMap::from([(
            "X-Scope-OrgID".to_owned(),
            vec!["a".to_owned(), "b".to_owned()],
        )]);
        let settings = Settings {
            headers: &headers,
            ..plain("http://p")
        };
        let request = request(&settings, "up");
        let values: Vec<_> = request.headers().get_all("x-scope-orgid").iter().collect();
        assert_eq!(values, ["a", "b"]);
    }

    #[test]
    fn a_header_that_http_forbids_is_named() {
        let headers = BTreeMap::from([("X-Tenant".to_owned(), vec!["a\nb".to_owned()])]);
        let settings = Settings {
            headers: &headers,
            ..plain("http://p")
        };
        let error = refused(&settings);
        assert!(
            error.starts_with("prometheus header X-Tenant cannot be sent"),
            "{error}"
        );
    }

    fn authorization(entries: &[(&str, &str)]) -> String {
        let credentials = secret(entries);
        let settings = Settings {
            credentials: Some(&credentials),
            ..plain("http://p")
        };
        let request = request(&settings, "up");
        let value = &request.headers()[header::AUTHORIZATION];
        assert!(value.is_sensitive(), "it would be logged");
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_wins_over_a_user() {
        let token = [("token", "t0k\n"), ("username", "me"), ("password", "x")];
        assert_eq!(authorization(&token), "Bearer t0k");
        assert_eq!(
            authorization(&[("username", "me"), ("password", "p@ss\n")]),
            "Basic bWU6cEBzcw=="
        );
    }

    #[test]
    fn a_secret_that_lacks_a_key_says_which() {
        let missing = |entries| {
            let credentials = secret(entries);
            refused(&Settings {
                credentials: Some(&credentials),
                ..plain("http://p")
            })
        };
        assert_eq!(
            missing(&[]),
            "prometheus credentials does not contain a username"
        );
        assert_eq!(
            missing(&[("username", "me")]),
            "prometheus credentials does not contain a password"
        );
    }

    #[test]
    fn credentials_replace_an_authorization_header_instead_of_growing_it() {
        let headers = BTreeMap::from([("Authorization".to_owned(), vec!["Bearer old".to_owned()])]);
        let credentials = secret(&[("token", "new")]);
        let provider = provider(
            "prometheus",
            &Settings {
                address: "http://p",
                headers: &headers,
                credentials: Some(&credentials),
            },
        )
        .unwrap();
        for _ in 0..3 {
            let request = provider.request("up", NOW).unwrap();
            let all: Vec<_> = request
                .headers()
                .get_all(header::AUTHORIZATION)
                .iter()
                .collect();
            assert_eq!(all, ["Bearer new"]);
        }
    }

    #[test]
    fn a_type_without_a_row_in_the_table_is_not_supported_yet() {
        let error = provider("datadog", &plain("http://p")).err();
        assert_eq!(error, Some(ProviderError::Unsupported("datadog".into())));
    }
}

mod exchange {
    use super::*;

    async fn ask(address: impl std::fmt::Display) -> Result<f64, QueryError> {
        let provider = prometheus(&format!("http://{address}"));
        query(&transport(), &Call::default(), &*provider, "up", NOW).await
    }

    fn answering(status: StatusCode, body: impl Into<Bytes>) -> Router {
        let body = body.into();
        Router::new().route("/api/v1/query", post(move || async move { (status, body) }))
    }

    const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;

    #[tokio::test]
    async fn a_server_that_is_down_is_named() {
        let address = closed().await;
        assert_eq!(
            ask(address).await.unwrap_err().to_string(),
            format!("connect to {address}: connection refused; nothing listens at that address")
        );
    }

    #[tokio::test]
    async fn a_server_that_hangs_costs_the_deadline_and_no_more() {
        let provider = prometheus(&format!("http://{}", hanging().await));
        let call = Call {
            deadline: Duration::from_millis(50),
            ..Call::default()
        };
        let error = query(&transport(), &call, &*provider, "up", NOW).await;
        assert!(
            matches!(error, Err(QueryError::Transport(TransportError::TimedOut { after, .. }))
                if after == Duration::from_millis(50))
        );
    }

    #[tokio::test]
    async fn an_answer_of_two_megabytes_is_an_error() {
        let address = serve(answering(StatusCode::OK, vec![b'x'; 2 * BODY_LIMIT])).await;
        assert!(matches!(
            ask(address).await,
            Err(QueryError::Transport(TransportError::TooLong { .. }))
        ));
    }

    #[tokio::test]
    async fn a_server_error_is_shown_with_its_status() {
        let address = serve(answering(StatusCode::SERVICE_UNAVAILABLE, "starting")).await;
        assert_eq!(
            ask(address).await.unwrap_err().to_string(),
            "error response: Status 503 Service Unavailable: starting"
        );
    }

    #[tokio::test]
    async fn the_server_receives_credentials_and_query() {
        let echo = |headers: HeaderMap, request: Request| async move {
            let body = axum::body::to_bytes(request.into_body(), 1000)
                .await
                .unwrap();
            assert_eq!(headers[header::AUTHORIZATION], "Bearer t0k");
            assert_eq!(body, "query=up");
            ONE
        };
        let address = serve(Router::new().route("/prom/api/v1/query", post(echo))).await;
        let credentials = secret(&[("token", "t0k")]);
        let base = format!("http://{address}/prom");
        let settings = Settings {
            credentials: Some(&credentials),
            ..plain(&base)
        };
        let provider = provider("prometheus", &settings).unwrap();
        let value = query(&transport(), &Call::default(), &*provider, "up", NOW).await;
        assert_eq!(value, Ok(1.0));
    }

    #[tokio::test]
    async fn a_server_is_online_if_it_can_count_to_one() {
        let probe = async |body: &'static str| {
            let address = serve(answering(StatusCode::OK, body)).await;
            let provider = prometheus(&format!("http://{address}"));
            online(&transport(), &Call::default(), &*provider, NOW).await
        };
        assert_eq!(probe(ONE).await, Ok(()));
        let two =
            r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"2"]}]}}"#;
        assert_eq!(
            probe(two).await.unwrap_err().to_string(),
            "value is 2 instead of 1 for query: vector(1)"
        );
        let none = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(probe(none).await, Err(QueryError::NoValues));
    }
}
