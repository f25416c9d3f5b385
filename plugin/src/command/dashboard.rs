//! `dashboard`, `open`: serve the page until Ctrl-C.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::args::dashboard::DashboardArgs;
use crate::client::Cluster;
use crate::dashboard::session::Session;
use crate::dashboard::{Dashboard, server};
use crate::exit::{Error, code};
use crate::output::{Output, interrupted};

pub async fn run(args: &DashboardArgs, cluster: Cluster, output: &Output) -> Result<u8, Error> {
    let namespace = (!args.all_namespaces).then(|| cluster.namespace.clone());
    let listener = listen(args.port).await?;
    // Errors of the first read are final; those of a watch may pass.
    cluster.canaries(namespace.as_deref()).await?;
    let session = Session::new(listener.local_addr()?.port())?;
    let address = session.address();
    let watch = cluster.watch_canaries(namespace.as_deref());
    let dashboard = Dashboard::new(session, cluster, namespace, args.read_only);
    output.print(&format!("{address}\n"))?;
    anstream::eprintln!("the address works once, for one browser; Ctrl-C ends the dashboard");
    if !args.no_browser {
        browse(&address);
    }
    let serve = axum::serve(listener, server::router(dashboard.clone()));
    tokio::select! {
        ended = serve.into_future() => ended?,
        () = dashboard.feed.keep(watch) => {}
        () = interrupted() => {}
    }
    dashboard.finish().await;
    Ok(code::OK)
}

/// Only this machine can reach it.
async fn listen(port: Option<u16>) -> Result<TcpListener, Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let listener = TcpListener::bind(address).await;
    listener.map_err(|cause| Error::Listen {
        address: address.to_string(),
        cause,
    })
}

/// A machine without a browser is no reason to end.
fn browse(address: &str) {
    if let Err(error) = open::that_detached(address) {
        anstream::eprintln!("no browser could be opened ({error}): open the address yourself");
    }
}
