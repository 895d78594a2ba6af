//! Where the bank is: a database that was given, or a throwaway one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::sync::Mutex;
use txn_test_servers::Options;

use crate::bank::Bank;
use crate::faults::{Faults, Weather};
use crate::network::Network;
use crate::settings::{Arguments, Engine};
use crate::{mysql, postgres, sqlite};

const NO_SERVER: &str = "SQLite has no server and no network; begin with --engine postgres";
const NOT_OURS: &str =
    "only done to a server of our own; begin with --engine instead of --database";

/// For SQLite's lock: shorter than one can be held from the page, so that one sees it run out.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of a connection that is not in the pool's queue, and may not have its turn for long.
const MORE_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Place {
    pub(crate) bank: Arc<dyn Bank>,
    pub(crate) faults: Faults,
    /// For the page's head.
    pub(crate) name: &'static str,
    /// Goes when we do.
    pub(crate) directory: Option<TempDir>,
}

impl Place {
    pub(crate) async fn find(arguments: &Arguments) -> Result<Self> {
        match (arguments.engine()?, &arguments.database) {
            (Engine::Sqlite, Some(url)) => {
                let options = url.parse().context("--database: not a SQLite URL")?;
                on_sqlite(arguments, options, None).await
            }
            (Engine::Sqlite, None) => {
                let directory = tempfile::tempdir().context("make a temporary directory")?;
                let options =
                    SqliteConnectOptions::new().filename(directory.path().join("bank.db"));
                on_sqlite(arguments, options, Some(directory)).await
            }
            (Engine::Postgres, Some(url)) => given_postgres(arguments, url).await,
            (Engine::Postgres, None) => own_postgres(arguments).await,
            (Engine::Mysql, Some(url)) => given_mysql(arguments, url).await,
            (Engine::Mysql, None) => own_mysql(arguments).await,
        }
    }

    fn new(
        name: &'static str,
        bank: Arc<dyn Bank>,
        weather: Result<Weather, &'static str>,
    ) -> Self {
        Self {
            faults: Faults::new(Arc::clone(&bank), weather),
            bank,
            name,
            directory: None,
        }
    }
}

async fn on_sqlite(
    arguments: &Arguments,
    options: SqliteConnectOptions,
    directory: Option<TempDir>,
) -> Result<Place> {
    let direct = options.create_if_missing(true).busy_timeout(MORE_PATIENCE);
    let options = direct.clone().busy_timeout(PATIENCE);
    let bank = sqlite::handle::open(options, direct, arguments).await?;
    Ok(Place {
        directory,
        ..Place::new("SQLite", bank, Err(NO_SERVER))
    })
}

/// The two differ in names only.
macro_rules! on_a_server {
    ($given:ident, $own:ident, $engine:ident, $server:ident, $Options:ty, $name:literal) => {
        async fn $given(arguments: &Arguments, url: &str) -> Result<Place> {
            let options: $Options = url.parse().context("--database")?;
            let bank = $engine::handle::open(options.clone(), options, arguments).await?;
            Ok(Place::new($name, bank, Err(NOT_OURS)))
        }

        async fn $own(arguments: &Arguments) -> Result<Place> {
            // It will be killed, and must then have what it acknowledged.
            let options = Options::$server().durable(true).tcp(true);
            let server = tokio::task::block_in_place(|| options.start())?;
            let direct: $Options = server.url().parse()?;
            let options: $Options = server.tcp_url().parse()?;
            let network = Network::to(options.get_port()).await?;
            let options = options.port(network.port);
            let bank = $engine::handle::open(options, direct, arguments).await?;
            let server = Mutex::new(server);
            Ok(Place::new($name, bank, Ok(Weather { server, network })))
        }
    };
}

on_a_server!(
    given_postgres,
    own_postgres,
    postgres,
    postgres,
    sqlx::postgres::PgConnectOptions,
    "PostgreSQL"
);
on_a_server!(
    given_mysql,
    own_mysql,
    mysql,
    mariadb,
    sqlx::mysql::MySqlConnectOptions,
    "MySQL/MariaDB"
);
