//! The database that a run uses: one that was given on the command line, or a throwaway one.

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
    /// Returns the engine of a URL. No message repeats the URL, because it may contain a password.
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

    /// Returns whether the database was given, so that it belongs to somebody else.
    pub fn is_given(&self) -> bool {
        self.database.is_some()
    }
}

/// A database, and the options to connect to it.
pub struct Database<E: Engine> {
    /// Options that connect through the network in which faults are injected.
    pub options: ConnectOptionsOf<E>,
    /// Options that connect directly, without faults.
    pub direct: ConnectOptionsOf<E>,
    /// The server that faults can be injected into, if any.
    pub server: Option<FaultyServer>,
    /// The directory or server that is removed together with this.
    _keep: Option<Box<dyn Send + Sync>>,
}

impl<E: Engine> Database<E> {
    /// Opens the database that `target` asks for. If `faulty`, faults can be injected into its
    /// server.
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

    /// Opens a connection that bypasses txn.
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

    /// Starts a server that keeps what it acknowledged, because it will be killed.
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

/// A server that this process started, and the network to it.
pub struct FaultyServer {
    server: Server,
    /// The network between the pool and the server.
    pub network: Network,
}

impl FaultyServer {
    /// Kills the server, and starts it again once `down` is ready. It must then have everything
    /// that it acknowledged.
    pub async fn crash(&mut self, down: impl Future<Output = ()>) -> Result<()> {
        tokio::task::block_in_place(|| self.server.crash())?;
        down.await;
        tokio::task::block_in_place(|| self.server.start())?;
        Ok(())
    }
}
