use std::ffi::OsString;

use crate::Result;
use crate::engine::Engine;
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::server::Server;

/// How to start a server.
///
/// ```no_run
/// # use txn_test_servers::Options;
/// let server = Options::postgres()
///     .tcp(true)
///     .arguments(["-c", "max_prepared_transactions=5"])
///     .start()?;
/// # Ok::<(), txn_test_servers::Error>(())
/// ```
#[must_use]
pub struct Options {
    pub(crate) engine: &'static dyn Engine,
    pub(crate) durable: bool,
    pub(crate) tcp: bool,
    pub(crate) arguments: Vec<OsString>,
}

impl Options {
    /// A PostgreSQL server.
    pub fn postgres() -> Self {
        Self::new(&Postgres)
    }

    /// A MariaDB server.
    pub fn mariadb() -> Self {
        Self::new(&MariaDb)
    }

    fn new(engine: &'static dyn Engine) -> Self {
        Self {
            engine,
            durable: false,
            tcp: false,
            arguments: Vec::new(),
        }
    }

    /// Whether every acknowledged commit must survive [`Server::crash`]. Off by default: faster.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Whether to listen on a free loopback port as well, with a password: [`Server::tcp_url`].
    pub fn tcp(mut self, tcp: bool) -> Self {
        self.tcp = tcp;
        self
    }

    /// Further arguments of the server program; they win over this crate's own.
    pub fn arguments(mut self, more: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(self) -> Result<Server> {
        Server::start_new(self)
    }
}
