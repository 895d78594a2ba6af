//! The address of a database, in the forms that the peers need.

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

/// The address of a database by one route.
#[derive(Clone, Debug)]
pub struct Place {
    pub engine: Engine,
    /// The URL in sqlx's form.
    pub url: String,
    /// The host name, the directory of a unix socket, or the file of SQLite.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
}

impl Place {
    /// Parses the URL of a test server, on its port or on its socket.
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

    /// Returns the address of the same database through a proxy on this loopback port.
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

/// The number of tasks, and of the sessions that they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    pub tasks: usize,
    pub sessions: usize,
}

impl Size {
    /// Returns a clone of the pool for each task.
    pub fn share<T: Clone>(self, pool: &T) -> Vec<T> {
        vec![pool.clone(); self.tasks]
    }

    /// Returns the number of tasks if each holds a session.
    pub fn holders(self) -> usize {
        self.tasks.min(self.sessions)
    }
}

/// Returns the options that all peers on SQLite use.
pub fn sqlite_options(place: &Place) -> Result<SqliteConnectOptions> {
    let options: SqliteConnectOptions = place.url.parse()?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal))
}
