//! The database that a run is on: one that was given, or a throwaway one.

use std::future::Future;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use txn::ConnectOptionsOf;
use txn_test_servers::{Options, Server};

use crate::engine::Engine;
use crate::network::Network;

/// Which database, on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// `sqlite://FILE`, `postgres://…` or `mysql://…`; default: SQLite in a temporary file.
    #[arg(long, value_name = "URL", conflicts_with = "engine")]
    database: Option<String>,
    /// A throwaway database of this engine, on a server of our own: one that can be faulted.
    #[arg(long, default_value = "sqlite")]
    engine: EngineName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    Sqlite,
    #[value(alias = "postgresql")]
    Postgres,
    #[value(alias = "mariadb")]
    Mysql,
}

impl EngineName {
    /// The engine of a URL. It may hold a password, so no message repeats it.
    pub fn of_url(url: &str) -> Result<Self> {
        Ok(match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "sqlite" => Self::Sqlite,
            "postgres" | "postgresql" => Self::Postgres,
            "mysql" | "mariadb" => Self::Mysql,
            _ => bail!("--database: expected sqlite://FILE, postgres://… or mysql://…"),
        })
    }
}

impl Target {
    pub fn engine(&self) -> Result<EngineName> {
        match &self.database {
            None => Ok(self.engine),
            Some(url) => EngineName::of_url(url),
        }
    }

    /// Whether it is somebody else's.
    pub fn is_given(&self) -> bool {
        self.database.is_some()
    }
}

/// A database, and the ways to it.
pub struct Database<E: Engine> {
    /// The way there, on which faults may happen.
    pub options: ConnectOptionsOf<E>,
    /// The way that nothing happens on.
    pub direct: ConnectOptionsOf<E>,
    /// Where faults can be injected.
    pub server: Option<FaultyServer>,
    /// What goes when we do: a directory, a server.
    _keep: Option<Box<dyn Send + Sync>>,
}

impl<E: Engine> Database<E> {
    /// The database that is asked for; `faulty`: with a server that faults can be injected into.
    pub async fn open(target: &Target, faulty: bool) -> Result<Self> {
        match (&target.database, E::server()) {
            (Some(url), _) => Ok(Self::new(Self::given(url)?)),
            (None, None) => Self::in_a_file(),
            (None, Some(options)) if faulty => Self::on_a_faulty_server(options).await,
            (None, Some(options)) => Self::on_a_server(options),
        }
    }

    pub fn given(url: &str) -> Result<ConnectOptionsOf<E>> {
        E::options(url).with_context(|| format!("--database: not a {} URL", E::SYSTEM_NAME))
    }

    /// A connection of its own: txn not in between.
    pub async fn connect(options: &ConnectOptionsOf<E>) -> Result<E::Connection, sqlx::Error> {
        <E::Connection as sqlx::Connection>::connect_with(options).await
    }

    fn new(options: ConnectOptionsOf<E>) -> Self {
        Self {
            direct: options.clone(),
            options,
            server: None,
            _keep: None,
        }
    }

    fn in_a_file() -> Result<Self> {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let file = directory.path().join("chaos.db");
        let options = E::options(&format!("sqlite://{}", file.display()))?;
        Ok(Self {
            _keep: Some(Box::new(directory)),
            ..Self::new(options)
        })
    }

    fn on_a_server(options: Options) -> Result<Self> {
        let server = tokio::task::block_in_place(|| options.start())?;
        let options = E::options(&server.url())?;
        Ok(Self {
            _keep: Some(Box::new(server)),
            ..Self::new(options)
        })
    }

    /// It will be killed, and must then have what it acknowledged.
    async fn on_a_faulty_server(options: Options) -> Result<Self> {
        let server = tokio::task::block_in_place(|| options.durable(true).tcp(true).start())?;
        let options = E::options(&server.tcp_url())?;
        let network = Network::to(E::port(&options)).await?;
        Ok(Self {
            options: E::with_port(options, network.port()),
            direct: E::options(&server.url())?,
            server: Some(FaultyServer { server, network }),
            _keep: None,
        })
    }
}

/// A server of our own, and the network to it.
pub struct FaultyServer {
    server: Server,
    /// Between the pool and the server.
    pub network: Network,
}

impl FaultyServer {
    /// Kills the server, and starts it again after a while: what it has acknowledged must be there
    /// then.
    pub async fn crash(&mut self, down: impl Future<Output = ()>) -> Result<()> {
        tokio::task::block_in_place(|| self.server.crash())?;
        down.await;
        tokio::task::block_in_place(|| self.server.start())?;
        Ok(())
    }
}
