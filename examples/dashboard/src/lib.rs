//! What the example `dashboard` is made of; `main.rs` runs it, the tests look at its page.
//!
//! - `load.rs`, `order.rs`, `strike.rs`: workers, what each scope is to do, and the storm that drops it.
//! - `scopes.rs`: the scopes, annotated functions; `schema.rs`, `handle.rs`: the rest of the bank.
//! - `sqlite.rs`, `postgres.rs`, `mysql.rs`: what differs between the engines; each includes these three.
//! - `place.rs`, `faults.rs`: a database, and what can be done to it.
//! - `recorder.rs`, `exposition.rs`, `figures.rs`: the metrics, and what the page makes of them.
//! - `audit.rs`: the proof that no money is lost.
//! - `feed.rs`, `open.rs`, `server.rs`, `page.html`: what is told to the page, and the page.

#![allow(
    clippy::duplicate_mod,
    reason = "the files that know their engine are compiled once per engine"
)]

mod audit;
mod bank;
mod exposition;
mod faults;
mod feed;
mod figures;
mod load;
mod mysql;
#[path = "../../storm/network.rs"]
mod network;
mod open;
mod order;
mod place;
mod postgres;
mod recorder;
mod server;
mod settings;
mod sqlite;
mod strike;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crate::audit::Audit;
use crate::bank::Bank;
use crate::exposition::Exposition;
use crate::faults::Faults;
use crate::feed::Feed;
use crate::load::Load;
use crate::place::Place;
pub use crate::settings::Arguments;

/// What all that serves the page looks at.
struct Core {
    bank: Arc<dyn Bank>,
    faults: Arc<Faults>,
    load: Arc<Load>,
    feed: Feed,
    audit: watch::Receiver<Option<Audit>>,
    metrics: PrometheusHandle,
    /// The engine's.
    name: &'static str,
    /// The pool's, in the metrics.
    pool: String,
    over: CancellationToken,
}

/// A dashboard that is served.
pub struct Dashboard {
    address: SocketAddr,
    core: Arc<Core>,
    tasks: JoinSet<()>,
    /// Goes after all that uses it.
    _directory: Option<TempDir>,
}

impl Dashboard {
    /// Opens the bank, begins the load and serves the page.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let metrics = recorder::install()?;
        let listener = listen(arguments.port).await?;
        let address = listener.local_addr()?;
        let place = Box::pin(Place::find(arguments)).await?;
        let load = Load::start(Arc::clone(&place.bank), arguments.workers, arguments.storm).await;
        let (latest, audit) = watch::channel(None);
        let core = Arc::new(Core {
            bank: place.bank,
            faults: Arc::new(place.faults),
            load,
            feed: Feed::new(),
            audit,
            metrics,
            name: place.name,
            pool: arguments.name.clone(),
            over: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(audit::keep(Arc::clone(&core), latest));
        tasks.spawn(feed::feed(Arc::clone(&core)));
        tasks.spawn(serve(listener, Arc::clone(&core)));
        Ok(Self {
            address,
            core,
            tasks,
            _directory: place.directory,
        })
    }

    /// Of the page.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the load, closes the bank, and looks whether all is there.
    pub async fn stop(mut self) -> Result<Audit> {
        let core = &self.core;
        core.over.cancel();
        core.load.stop().await;
        core.faults.stop().await;
        core.bank.close().await;
        self.tasks.shutdown().await;
        let audit = Audit::take(&*core.bank, &core.load).await;
        audit.context("look whether all is there")
    }
}

impl Core {
    /// What the metrics say of our pool.
    fn exposition(&self) -> Exposition {
        let text = Exposition::read(&self.metrics.render());
        text.only("db_client_connection_pool_name", &self.pool)
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} is in use: choose another with `--port N`, or any free one with `--port 0`"
        ),
        _ => anyhow::Error::new(error).context(format!("listen on port {port}")),
    })
}

async fn serve(listener: TcpListener, core: Arc<Core>) {
    let over = core.over.clone().cancelled_owned();
    let served = axum::serve(listener, server::router(core));
    if let Err(error) = served.with_graceful_shutdown(over).await {
        eprintln!("the page is served no more: {error}");
    }
}
