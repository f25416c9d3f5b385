//! Prometheus, and whatever speaks its HTTP API: Thanos, Mimir, `VictoriaMetrics`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Provider, ProviderError, QueryError, Settings, quote};

const KIND: &str = "prometheus";
const PATH: &str = "api/v1/query";

struct Prometheus {
    endpoint: Uri,
    headers: HeaderMap,
}

/// The API's envelope: `data` when it succeeded, `error` otherwise.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Matrix(Vec<IgnoredAny>),
    Scalar(Sample),
    String(IgnoredAny),
}

/// Without a value: a native histogram, which no threshold can be compared with.
#[derive(Deserialize)]
struct Series {
    value: Option<Sample>,
}

/// Time and value. Prometheus writes the value as a string, since JSON has no NaN.
#[derive(Deserialize)]
struct Sample(IgnoredAny, Value);

pub(super) fn build(settings: &Settings<'_>) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Prometheus {
        endpoint: endpoint(settings.address)?,
        headers: headers(settings)?,
    }))
}

/// The address may have a path of its own, and ends with or without a slash.
fn endpoint(address: &str) -> Result<Uri, ProviderError> {
    let invalid = |cause: &str| ProviderError::Address {
        kind: KIND,
        address: canary_core::url::shown(address),
        cause: cause.to_owned(),
    };
    let mut url = Url::parse(address).map_err(|e| invalid(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid("it starts with neither http:// nor https://"));
    }
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_fragment(None);
    url.as_str()
        .parse()
        .map_err(|e: http::uri::InvalidUri| invalid(&e.to_string()))
}

fn headers(settings: &Settings<'_>) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    for (name, values) in settings.headers {
        let forbidden = || ProviderError::Header {
            kind: KIND,
            name: name.clone(),
        };
        let key: HeaderName = name.parse().map_err(|_| forbidden())?;
        for value in values {
            let value = HeaderValue::from_str(value).map_err(|_| forbidden())?;
            headers.append(&key, value);
        }
    }
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    if let Some(authorization) = authorization(settings)? {
        headers.insert(AUTHORIZATION, authorization);
    }
    Ok(headers)
}

/// A `token` wins over `username` and `password`.
fn authorization(settings: &Settings<'_>) -> Result<Option<HeaderValue>, ProviderError> {
    let Some(credentials) = settings.credentials else {
        return Ok(None);
    };
    // Secrets made from files end in a newline, which no header can hold.
    let find = |key| credentials.get(key).map(|value| value.0.trim_ascii_end());
    let text = if let Some(token) = find("token") {
        [b"Bearer ".as_slice(), token].concat()
    } else {
        let part = |key| find(key).ok_or(ProviderError::Credentials { kind: KIND, key });
        let pair = [part("username")?, b":", part("password")?].concat();
        format!("Basic {}", BASE64.encode(pair)).into_bytes()
    };
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| ProviderError::Header {
        kind: KIND,
        name: AUTHORIZATION.to_string(),
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

// === impl Prometheus ===

impl Provider for Prometheus {
    /// By POST, since a query that names many addresses outgrows a URL. As it was written: a comment ends
    /// with its line, and spaces in a label's value are part of it. Without `time`: the
    /// server's own clock is the one that its samples carry.
    fn request(&self, query: &str, _now: Timestamp) -> Result<Request<Bytes>, QueryError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .finish();
        let mut request = Request::post(self.endpoint.clone())
            .body(Bytes::from(form))
            .map_err(|e| QueryError::Request(e.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    fn value(&self, response: Response<Bytes>) -> Result<f64, QueryError> {
        let answer = serde_json::from_slice::<Answer>(response.body());
        if !response.status().is_success() {
            let text = match answer {
                Ok(answer) => answer.failure(),
                Err(_) => quote(response.body()),
            };
            return Err(QueryError::of_status(&response, text));
        }
        let answer = answer.map_err(|e| unreadable(&response, &e.to_string()))?;
        if answer.status != "success" {
            return Err(QueryError::Failed(answer.failure()));
        }
        let sample = match answer.data {
            None => None,
            Some(Data::Scalar(sample)) => Some(sample),
            // Flagger takes the last one; which that is, is chance.
            Some(Data::Vector(series)) if series.len() > 1 => {
                return Err(QueryError::MultipleValues);
            }
            Some(Data::Vector(series)) => match series.into_iter().next() {
                None => None,
                Some(Series { value: None }) => {
                    return Err(unreadable(&response, "a histogram has no single value"));
                }
                Some(Series { value }) => value,
            },
            Some(Data::Matrix(series)) if series.is_empty() => None,
            Some(Data::Matrix(_)) => return Err(QueryError::MultipleValues),
            Some(Data::String(_)) => return Err(unreadable(&response, "a string is no value")),
        };
        let value = sample
            .ok_or(QueryError::NoValues)?
            .number()
            .ok_or_else(|| unreadable(&response, "the value is not a number"))?;
        if value.is_nan() {
            return Err(QueryError::NoValues);
        }
        Ok(value)
    }

    fn probe(&self) -> (&str, f64) {
        ("vector(1)", 1.0)
    }
}

fn unreadable(response: &Response<Bytes>, cause: &str) -> QueryError {
    QueryError::Unreadable {
        cause: cause.to_owned(),
        quote: quote(response.body()),
    }
}

// === impl Answer ===

impl Answer {
    fn failure(self) -> String {
        let type_ = self.error_type.unwrap_or_else(|| self.status.clone());
        format!("{type_}: {}", self.error.unwrap_or_default())
    }
}

// === impl Sample ===

impl Sample {
    fn number(&self) -> Option<f64> {
        match &self.1 {
            Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        }
    }
}
