//! Certificates are made and served for real.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use jiff::{Timestamp, ToSpan as _};
use tokio::io::AsyncReadExt as _;

use super::issue::{Bundle, Lives, Step, step};
use super::secret::{Place, bundle};
use super::{Limits, Served, listen, serve};

const LIVES: Lives = Lives {
    authority: Duration::from_secs(3650 * 86_400),
    leaf: Duration::from_secs(90 * 86_400),
};

fn names() -> Vec<String> {
    [
        "canary-webhook.canary-system.svc",
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    .map(String::from)
    .to_vec()
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    now().checked_add((days * 24).hours()).unwrap()
}

fn new() -> Bundle {
    Bundle::create(&names(), LIVES, now()).unwrap()
}

fn certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

/// What is due for a bundle whose CAs are trusted, or not.
fn due(bundle: &Bundle, at: Timestamp, trusted: bool) -> Step {
    step(Some(bundle), None, &names(), LIVES, at, trusted).unwrap()
}

fn written(step: Step) -> Bundle {
    match step {
        Step::Write(bundle) => bundle,
        other => panic!("{other:?}"),
    }
}

// === What is due when ===

#[test]
fn without_a_secret_a_ca_and_a_leaf_are_made() {
    let made = step(None, None, &names(), LIVES, now(), false).unwrap();
    assert!(written(made).fit(&names(), now()));
}

#[test]
fn nothing_is_due_for_two_thirds_of_a_leafs_life() {
    assert_eq!(due(&new(), now(), false), Step::Rest(days(60)));
    assert_eq!(due(&new(), days(59), true), Step::Rest(days(60)));
}

#[test]
fn a_certificate_is_good_for_a_clock_that_is_a_day_behind_or_ahead() {
    for at in [-1, 1, 58] {
        assert!(new().fit(&names(), days(at)), "{at}");
    }
    // The last moment at which it may still be served, by a clock that is a day ahead.
    assert!(new().fit(&names(), days(61)));
    assert!(!new().fit(&names(), days(90)));
    assert!(!new().fit(&names(), days(-3)));
}

#[test]
fn after_two_thirds_there_is_a_new_leaf_of_the_same_ca() {
    let old = new();
    for trusted in [true, false] {
        let young = written(due(&old, days(60), trusted));
        assert_eq!((&young.ca, &young.ca_key), (&old.ca, &old.ca_key));
        assert_ne!(young.certificate, old.certificate);
        assert_ne!(young.key, old.key);
        assert_eq!(due(&young, days(60), trusted), Step::Rest(days(120)));
    }
}

#[test]
fn a_new_ca_signs_nothing_before_it_is_trusted_and_the_old_one_goes_with_the_next_leaf() {
    // A young leaf of a CA in the last third of its life.
    let old = written(due(&new(), days(2432), true));
    let at = days(2434);
    let staged = written(due(&old, at, true));
    assert_eq!(certificates(&staged.ca), 2);
    assert!(staged.ca.ends_with(&old.ca), "the new one comes first");
    assert_eq!(
        (&staged.certificate, &staged.key),
        (&old.certificate, &old.key)
    );
    assert_eq!(due(&staged, at, false), Step::AwaitTrust);

    let signed = written(due(&staged, at, true));
    assert_eq!(signed.ca, staged.ca, "others may serve the old leaf yet");
    assert_ne!(signed.certificate, staged.certificate);
    assert_eq!(due(&signed, at, false), Step::Rest(days(2434 + 60)));

    let last = written(due(&signed, days(2434 + 60), true));
    assert_eq!(certificates(&last.ca), 1);
    assert!(staged.ca.starts_with(last.ca.trim_end()));
}

#[test]
fn a_secret_that_was_deleted_comes_back_with_the_leaf_that_is_served_and_a_new_ca() {
    let known = new();
    let back = step(None, Some(&known), &names(), LIVES, now(), true).unwrap();
    let back = written(back);
    assert_eq!(back.certificate, known.certificate);
    assert_ne!(back.ca_key, known.ca_key);
    assert_eq!(certificates(&back.ca), 2);
    // Deleted again before the new CA was trusted: the one that has signed the leaf stays.
    let again = written(step(None, Some(&back), &names(), LIVES, now(), false).unwrap());
    assert_eq!(certificates(&again.ca), 2);
    assert!(again.ca.ends_with(&known.ca));
    assert_eq!(due(&again, now(), false), Step::AwaitTrust);
}

#[test]
fn what_cannot_be_served_is_replaced_at_once() {
    let mut bad = Vec::new();
    for damage in [
        |it: &mut Bundle| it.certificate.clear(),
        |it: &mut Bundle| it.key.clear(),
        |it: &mut Bundle| it.certificate.truncate(300),
        |it: &mut Bundle| it.ca = "no certificate".to_owned(),
        |it: &mut Bundle| it.ca_key = "no key".to_owned(),
    ] {
        let mut bundle = new();
        damage(&mut bundle);
        bad.push(bundle);
    }
    let without_key = bad.pop().unwrap();
    for bundle in bad {
        assert!(written(due(&bundle, now(), false)).fit(&names(), now()));
    }
    // Its leaf is good yet, and then there is a new CA for the next one.
    let next = written(due(&without_key, days(60), true));
    assert!(next.fit(&names(), days(60)));
    assert_eq!(certificates(&next.ca), 2);

    let other = ["other.example.com".to_owned()];
    let renamed = step(Some(&new()), None, &other, LIVES, now(), false).unwrap();
    assert!(written(renamed).fit(&other, now()));
}

#[test]
fn somebody_elses_certificate_is_left_alone_and_never_replaced() {
    let mut theirs = new();
    theirs.ca_key.clear();
    assert_eq!(due(&theirs, days(80), true), Step::Rest(days(90)));
    assert_eq!(due(&theirs, days(90), true), Step::NotOurs);
}

#[test]
fn a_ca_always_outlives_its_leaves() {
    let lives = Lives {
        authority: Duration::from_secs(12),
        leaf: Duration::from_secs(8),
    };
    let mut bundle = Bundle::create(&names(), lives, now()).unwrap();
    let mut writes = 0;
    for second in 0..120 {
        let at = now().checked_add(second.seconds()).unwrap();
        assert!(bundle.fit(&names(), at), "{second}");
        if let Step::Write(next) = step(Some(&bundle), None, &names(), lives, at, true).unwrap() {
            writes += 1;
            bundle = next;
        }
    }
    assert!((20..=80).contains(&writes), "{writes}");
}

#[test]
fn a_bundle_survives_its_secret() {
    let place = Place {
        namespace: "canary-system".to_owned(),
        name: "canary-webhook-tls".to_owned(),
    };
    let made = new();
    let secret = place.secret(&made, None);
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(bundle(&secret), made);
}

#[test]
fn a_certificate_in_a_log_shows_no_key() {
    assert_eq!(format!("{:?}", new().certificate()), "Certificate { .. }");
}

// === Serving ===

/// A client that trusts `ca` and nobody else.
fn client_of(ca: &str) -> reqwest::Client {
    // An error says that another test has installed it.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()])
        .build()
        .unwrap()
}

fn today() -> Bundle {
    #[allow(clippy::disallowed_methods)] // the client compares with its own clock
    let today = Timestamp::now();
    Bundle::create(&names(), LIVES, today).unwrap()
}

/// A server of `/healthz` on a free port, for as long as the sender lives.
fn serving(served: Arc<Served>, limits: Limits) -> (u16, tokio::sync::oneshot::Sender<()>) {
    let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = Router::new().route("/healthz", get(|| async { "ok" }));
    tokio::spawn(async move {
        let told = async {
            stopped.await.ok();
        };
        serve(listener, router, served, limits, told).await
    });
    (port, stop)
}

async fn answers(client: &reqwest::Client, host: &str, port: u16) -> bool {
    let url = format!("https://{host}:{port}/healthz");
    match client.get(&url).send().await {
        Ok(answer) => answer.text().await.unwrap() == "ok",
        Err(_) => false,
    }
}

#[tokio::test]
async fn a_client_that_knows_the_ca_reaches_the_router_and_another_does_not() {
    let (bundle, stranger) = (today(), today());
    let served = Arc::new(Served::default());
    let (port, _stop) = serving(served.clone(), Limits::default());
    assert!(
        !answers(&client_of(&bundle.ca), "localhost", port).await,
        "there is no certificate yet"
    );
    served.load(&bundle.certificate()).unwrap();
    for host in ["localhost", "127.0.0.1"] {
        assert!(answers(&client_of(&bundle.ca), host, port).await);
        assert!(!answers(&client_of(&stranger.ca), host, port).await);
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_open_ones_stay() {
    let (first, second) = (today(), today());
    let served = Arc::new(Served::default());
    served.load(&first.certificate()).unwrap();
    let (port, _stop) = serving(served.clone(), Limits::default());
    let kept = client_of(&first.ca);
    assert!(answers(&kept, "localhost", port).await);

    served.load(&second.certificate()).unwrap();
    assert!(
        answers(&kept, "localhost", port).await,
        "the same connection"
    );
    assert!(answers(&client_of(&second.ca), "localhost", port).await);
    assert!(!answers(&client_of(&first.ca), "localhost", port).await);

    let mut torn = today().certificate();
    torn.key = second.certificate().key;
    assert!(served.load(&torn).is_err(), "a key of another certificate");
    assert!(answers(&client_of(&second.ca), "localhost", port).await);
}

#[tokio::test]
async fn connections_that_say_nothing_or_are_too_many_are_closed() {
    let bundle = today();
    let served = Arc::new(Served::default());
    served.load(&bundle.certificate()).unwrap();
    let limits = Limits {
        connections: 2,
        handshake: Duration::from_millis(300),
        silence: Duration::from_secs(60),
    };
    let (port, _stop) = serving(served, limits);
    let connect = || tokio::net::TcpStream::connect(("127.0.0.1", port));
    let (mut one, _two) = (connect().await.unwrap(), connect().await.unwrap());
    // Connections are taken in order, so that the third finds no room.
    let mut third = connect().await.unwrap();
    let mut buffer = [0; 1];
    let closed = async |stream: &mut tokio::net::TcpStream, buffer: &mut [u8]| {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(buffer));
        !matches!(read.await.unwrap(), Ok(1..))
    };
    assert!(closed(&mut third, &mut buffer).await);
    assert!(closed(&mut one, &mut buffer).await, "no handshake in time");
    assert!(answers(&client_of(&bundle.ca), "localhost", port).await);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let first = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = first.local_addr().unwrap();
    let error = listen(address).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {address}")),
        "{error}"
    );
}
