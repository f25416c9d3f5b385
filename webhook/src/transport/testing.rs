//! Servers on loopback, for the tests of everything that calls one.

use std::net::SocketAddr;

use axum::Router;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Settings, Transport};

pub(crate) fn transport() -> Transport {
    transport_with(&Settings::default())
}

pub(crate) fn transport_with(settings: &Settings) -> Transport {
    // The second test of a process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Transport::new(settings).unwrap()
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves until the test's runtime ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A port that nothing listens on: bound once, and given back.
pub(crate) async fn closed() -> SocketAddr {
    listen().await.1
}

/// Accepts connections and never answers.
pub(crate) async fn hanging() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok(connection) = listener.accept().await {
            open.push(connection);
        }
    });
    address
}

/// Writes these bytes to every connection, and closes it.
pub(crate) async fn raw(answer: &'static [u8]) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.write_all(answer).await;
            let _ = connection.shutdown().await;
        }
    });
    address
}
