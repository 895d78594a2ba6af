use std::env;
use std::sync::OnceLock;

use crate::engine::Engine;
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::{Result, Server, template};

const POSTGRES_URL: &str = "TXN_TEST_POSTGRES_URL";
const MYSQL_URL: &str = "TXN_TEST_MYSQL_URL";

/// The URL of the PostgreSQL server that tests share.
///
/// It is the value of `TXN_TEST_POSTGRES_URL`, which `cargo xtask test` sets. Without it, the first
/// call starts a server, which ends with this process.
///
/// # Panics
///
/// Panics with the reason if that server cannot be started.
pub fn shared_postgres_url() -> &'static str {
    static SHARED: Shared = OnceLock::new();
    shared(&SHARED, POSTGRES_URL, Server::postgres)
}

/// The URL of the MariaDB server that tests share, from `TXN_TEST_MYSQL_URL`, or otherwise as in
/// [`shared_postgres_url`].
///
/// # Panics
///
/// Panics with the reason if that server cannot be started.
pub fn shared_mariadb_url() -> &'static str {
    static SHARED: Shared = OnceLock::new();
    shared(&SHARED, MYSQL_URL, Server::mariadb)
}

/// Replaces the database in `url`, as in `with_database(shared_postgres_url(), "test_7")`.
#[must_use]
pub fn with_database(url: &str, database: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let scheme_end = address.find("://").map_or(0, |at| at + 3);
    let authority_end = address[scheme_end..]
        .find('/')
        .map_or(address.len(), |at| scheme_end + at);
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}/{database}{separator}{query}", &address[..authority_end])
}

/// The servers and templates of one run of the whole test suite. Dropping it ends them.
pub struct Run {
    postgres: Server,
    mariadb: Server,
}

impl Run {
    /// Starts both servers.
    pub fn start() -> Result<Self> {
        Ok(Self {
            postgres: Server::postgres()?,
            mariadb: Server::mariadb()?,
        })
    }

    /// The environment variables that make a process use these servers and templates instead of its
    /// own.
    pub fn environment(&self) -> Result<[(&'static str, String); 4]> {
        Ok([
            (POSTGRES_URL, self.postgres.url()),
            (MYSQL_URL, self.mariadb.url()),
            template_of(&Postgres)?,
            template_of(&MariaDb)?,
        ])
    }
}

/// A shared server and its URL. A static is never dropped, so the server is ended by its
/// supervisor.
type Shared = OnceLock<(String, Option<Server>)>;

fn shared(
    shared: &'static Shared,
    variable: &str,
    start: impl Fn() -> Result<Server>,
) -> &'static str {
    let (url, _) = shared.get_or_init(|| match env::var(variable) {
        Ok(url) => (url, None),
        Err(_) => {
            let server = start().unwrap_or_else(|error| panic!("{error}"));
            (server.url(), Some(server))
        }
    });
    url
}

fn template_of(engine: &dyn Engine) -> Result<(&'static str, String)> {
    let template = template::own(engine)?;
    Ok((engine.template_variable(), template.display().to_string()))
}
