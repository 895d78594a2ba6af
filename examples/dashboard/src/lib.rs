//! The parts of the example `dashboard`. `main.rs` runs it, and the tests look at its page.
//!
//! - `load.rs`: the workers, their transfers, and the storm that drops these.
//! - `bank.rs`: the bank, with the scopes that differ from those in `tests/chaos`.
//! - `faults.rs`: the faults that the page can inject into its server.
//! - `exposition.rs`, `figures.rs`: the metrics, and the figures on the page.
//! - `audit.rs`: the proof that no money is lost.
//! - `feed.rs`, `server.rs`, `page.html`: the data for the page, and the page.

mod audit;
mod bank;
mod exposition;
mod faults;
mod feed;
mod figures;
mod load;
mod server;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Parser, value_parser};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use txn_chaos::Target;

pub use crate::audit::Audit;
use crate::bank::Bank;
use crate::exposition::Exposition;
use crate::faults::Faults;
use crate::feed::Feed;
use crate::load::{Load, MAX_WORKERS};

const NO_SERVER: &str = "SQLite has no server and no network; begin with --engine postgres";
const NOT_OURS: &str =
    "only done to a server of our own; begin with --engine instead of --database";

/// Serves a page that shows a load on txn, and lets it be turned up, faulted and stormed.
#[derive(Clone, Parser)]
#[command(name = "dashboard")]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The port of the page on 127.0.0.1; 0 takes one that is free.
    #[arg(long, value_name = "N", default_value = "3000")]
    port: u16,
    /// End after so long; default: at Ctrl-C.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// How many workers there are at first.
    #[arg(long, value_name = "N", default_value = "12", value_parser = workers)]
    workers: usize,
    /// Begin with the storm on: half of the scopes are dropped.
    #[arg(long)]
    storm: bool,
    /// The most database sessions open at a time.
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    sessions: u16,
    /// What the metrics call the pool: `db.client.connection.pool.name`.
    #[arg(long, value_name = "NAME", default_value = "bank")]
    name: String,
}

/// The state that all handlers share.
struct Core {
    bank: Arc<dyn Bank>,
    faults: Arc<Faults>,
    load: Arc<Load>,
    feed: Feed,
    audit: watch::Receiver<Option<Audit>>,
    metrics: PrometheusHandle,
    /// The name of the pool in the metrics.
    pool: String,
    over: CancellationToken,
}

/// A running dashboard.
pub struct Dashboard {
    address: SocketAddr,
    core: Arc<Core>,
    tasks: JoinSet<()>,
}

impl Dashboard {
    /// Opens the bank, begins the load and serves the page.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let metrics = exposition::install_recorder()?;
        let listener = listen(arguments.port).await?;
        let address = listener.local_addr()?;
        let (bank, server) = Box::pin(bank::open(arguments)).await?;
        let server = server.ok_or(match arguments.target.is_given() {
            true => NOT_OURS,
            false => NO_SERVER,
        });
        let load = Load::start(Arc::clone(&bank), arguments.workers, arguments.storm).await;
        let (latest, audit) = watch::channel(None);
        let core = Arc::new(Core {
            faults: Arc::new(Faults::new(Arc::clone(&bank), server)),
            bank,
            load,
            feed: Feed::new(),
            audit,
            metrics,
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
        })
    }

    /// Returns the address of the page.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the load, closes the bank, and audits it.
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
    /// Returns the metrics of this dashboard's pool.
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

fn workers(text: &str) -> Result<usize> {
    let workers = text.parse().context("not a number")?;
    ensure!(workers <= MAX_WORKERS, "at most {MAX_WORKERS}");
    Ok(workers)
}
