//! Where a database is, in the forms that the peers ask for.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use url::Url;

/// The database systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Postgres,
    MariaDb,
    Sqlite,
}

/// One database, by one way to it.
#[derive(Clone, Debug)]
pub struct Place {
    pub engine: Engine,
    /// As sqlx takes it.
    pub url: String,
    /// A name, or for a unix socket its directory, or for SQLite the file.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Place {
    /// From the URL of a test server: on its port, or on its socket.
    pub fn server(engine: Engine, url: &str) -> Result<Self> {
        let parsed = Url::parse(url)?;
        let mut query = parsed.query_pairs();
        let socket = query.find(|(key, _)| key == "host" || key == "socket");
        let host = socket.map(|(_, path)| path.into_owned());
        let host = host.or_else(|| parsed.host_str().map(str::to_owned));
        Ok(Self {
            engine,
            url: url.to_owned(),
            host: host.context("the URL names a host or a socket")?,
            port: parsed.port().unwrap_or(5432),
            user: parsed.username().to_owned(),
            password: parsed.password().unwrap_or_default().to_owned(),
            database: parsed.path().trim_start_matches('/').to_owned(),
        })
    }

    pub fn sqlite(file: &Path) -> Self {
        let file = file.display().to_string();
        Self {
            engine: Engine::Sqlite,
            url: format!("sqlite://{file}"),
            host: file,
            port: 0,
            user: String::new(),
            password: String::new(),
            database: String::new(),
        }
    }

    /// The same database through a proxy on this port of the loopback.
    pub fn through(&self, port: u16) -> Result<Self> {
        let mut url = Url::parse(&self.url)?;
        url.set_port(Some(port))
            .map_err(|()| anyhow::anyhow!("{url} has no port"))?;
        Ok(Self {
            url: url.into(),
            port,
            ..self.clone()
        })
    }
}

/// How many ask, and how many can be served at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    pub tasks: usize,
    pub sessions: usize,
}

impl Size {
    /// One clone for each task.
    pub fn share<T: Clone>(self, pool: &T) -> Vec<T> {
        vec![pool.clone(); self.tasks]
    }

    /// The tasks that can hold a session each.
    pub fn holders(self) -> usize {
        self.tasks.min(self.sessions)
    }
}

/// The same for all who use SQLite.
pub fn sqlite_options(place: &Place) -> Result<SqliteConnectOptions> {
    let options: SqliteConnectOptions = place.url.parse()?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal))
}
