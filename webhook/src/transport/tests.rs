use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use bytes::Bytes;

use super::testing::{closed, hanging, listen, raw, serve, transport, transport_with};
use super::{BODY_LIMIT, Call, Settings, Transport, TransportError};

fn to(url: impl AsRef<str>) -> http::Request<Bytes> {
    http::Request::get(url.as_ref()).body(Bytes::new()).unwrap()
}

async fn fetch(transport: &Transport, url: impl AsRef<str>) -> Result<String, TransportError> {
    let response = transport.send(to(url), &Call::default()).await?;
    Ok(String::from_utf8(response.into_body().to_vec()).unwrap())
}

async fn failure(url: impl AsRef<str>) -> String {
    fetch(&transport(), url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_port_that_nothing_listens_on_is_called_refused() {
    let address = closed().await;
    assert_eq!(
        failure(format!("http://{address}/x")).await,
        format!("connect to {address}: connection refused; nothing listens at that address")
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let address = hanging().await;
    let call = Call {
        deadline: Duration::from_millis(50),
        ..Call::default()
    };
    let error = transport()
        .send(to(format!("http://{address}/")), &call)
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        format!("{address} timed out after 50ms")
    );
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up_at_the_deadline_too() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.read_u8().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
        connection.write_all(head).await.unwrap();
        while connection.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let call = Call {
        deadline: Duration::from_millis(80),
        ..Call::default()
    };
    let error = transport()
        .send(to(format!("http://{address}/")), &call)
        .await;
    assert!(matches!(error, Err(TransportError::TimedOut { .. })));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_says_so() {
    let error = failure("http://no-such-host.invalid:9090/").await;
    assert!(
        error.starts_with("no-such-host.invalid:9090: the name does not resolve ("),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_is_named_with_the_cause() {
    let address = raw(b"SSH-2.0-OpenSSH_9.6\r\n").await;
    let error = failure(format!("http://{address}/")).await;
    assert!(error.starts_with(&format!("{address}: ")), "{error}");
    assert!(!error.contains("error sending request"), "{error}");
}

#[tokio::test]
async fn user_and_password_of_an_address_never_reach_an_error() {
    let address = closed().await;
    let error = failure(format!("http://me:hunter2@{address}/x?token=hunter2")).await;
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn user_and_password_of_an_address_are_sent_as_basic_authentication() {
    let echo = |headers: HeaderMap| async move {
        headers[header::AUTHORIZATION].to_str().unwrap().to_owned()
    };
    let address = serve(Router::new().route("/", get(echo))).await;
    assert_eq!(
        fetch(&transport(), format!("http://me:p%40ss@{address}/"))
            .await
            .unwrap(),
        "Basic bWU6cEBzcw=="
    );
}

#[tokio::test]
async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
    let address = serve(
        Router::new()
            .route("/fits", get(|| async { vec![b'x'; BODY_LIMIT] }))
            .route("/long", get(|| async { vec![b'x'; BODY_LIMIT + 1] })),
    )
    .await;
    let fits = fetch(&transport(), format!("http://{address}/fits")).await;
    assert_eq!(fits.unwrap().len(), BODY_LIMIT);
    assert_eq!(
        failure(format!("http://{address}/long")).await,
        format!("{address}: the response is longer than 1048576 bytes")
    );
}

#[tokio::test]
async fn a_long_body_without_a_length_is_cut_off_too() {
    let chunks = || async {
        let megabyte = Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1024 * 1024]));
        axum::body::Body::from_stream(futures::stream::iter([megabyte, Ok(Bytes::from("x"))]))
    };
    let address = serve(Router::new().route("/", get(chunks))).await;
    let error = fetch(&transport(), format!("http://{address}/")).await;
    assert!(matches!(error, Err(TransportError::TooLong { .. })));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let address = serve(Router::new().route(
        "/",
        get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]) }),
    ))
    .await;
    let response = transport()
        .send(to(format!("http://{address}/")), &Call::default())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()[header::LOCATION], "/elsewhere");
}

#[tokio::test]
async fn calls_to_one_server_share_a_connection() {
    let peers = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&peers);
    let router = Router::new().route(
        "/",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            seen.lock().unwrap().insert(peer);
        }),
    );
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .await
    });
    let transport = transport();
    for _ in 0..5 {
        fetch(&transport.clone(), format!("http://{address}/"))
            .await
            .unwrap();
    }
    assert_eq!(peers.lock().unwrap().len(), 1);
}

/// A transport where `flagger-prometheus.apisix:9090` and `:9091` are two servers on loopback.
#[tokio::test]
async fn resolve_sends_each_host_and_port_to_its_own_address() {
    let echo = |name: &'static str| {
        get(move |headers: HeaderMap| async move {
            format!("{name} {}", headers[header::HOST].to_str().unwrap())
        })
    };
    let one = serve(Router::new().route("/x", echo("one"))).await;
    let two = serve(Router::new().route("/x", echo("two"))).await;
    let transport = transport_with(&Settings {
        resolve: vec![
            format!("flagger-prometheus.apisix:9090:{one}")
                .parse()
                .unwrap(),
            format!("flagger-prometheus.apisix:9091:{two}")
                .parse()
                .unwrap(),
        ],
        ..Settings::default()
    });
    let host = "flagger-prometheus.apisix";
    assert_eq!(
        fetch(&transport, format!("http://{host}:9090/x"))
            .await
            .unwrap(),
        format!("one {host}:9090")
    );
    assert_eq!(
        fetch(&transport, format!("http://{}:9091/x", host.to_uppercase()))
            .await
            .unwrap(),
        format!("two {host}:9091")
    );
    let other = fetch(&transport, format!("http://{host}:9092/x")).await;
    assert!(matches!(other, Err(TransportError::Unresolved { .. })));
}

mod tls {
    use super::*;
    use axum_server::tls_rustls::RustlsConfig;

    /// A server with a certificate that nobody trusts, answering the name it was asked by.
    async fn self_signed(host: &str) -> SocketAddr {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pair = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        let config = RustlsConfig::from_pem(
            pair.cert.pem().into_bytes(),
            pair.signing_key.serialize_pem().into_bytes(),
        )
        .await
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "secret" }));
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        tokio::spawn(server.serve(router.into_make_service()));
        address
    }

    #[tokio::test]
    async fn an_unknown_certificate_is_refused_unless_the_call_says_otherwise() {
        let address = self_signed("hook.test").await;
        let transport = transport_with(&Settings {
            resolve: vec![format!("hook.test:443:{address}").parse().unwrap()],
            ..Settings::default()
        });
        let error = fetch(&transport, "https://hook.test/").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "hook.test: TLS failed: invalid peer certificate: UnknownIssuer"
        );
        assert!(!error.is_transient());
        let insecure = Call {
            insecure: true,
            ..Call::default()
        };
        let response = transport.send(to("https://hook.test/"), &insecure).await;
        assert_eq!(response.unwrap().body(), "secret");
    }
}
