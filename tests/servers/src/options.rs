use std::ffi::OsString;

use crate::Result;
use crate::engine::Engine;
use crate::mariadb::MariaDb;
use crate::postgres::Postgres;
use crate::server::Server;

/// The options of a server that is to be started.
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

    /// Sets whether every acknowledged commit must survive [`Server::crash`]. It is off by default,
    /// which is faster.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets whether the server also listens on a free loopback port, with a password. See
    /// [`Server::tcp_url`].
    pub fn tcp(mut self, tcp: bool) -> Self {
        self.tcp = tcp;
        self
    }

    /// Adds arguments for the server program. They override those that this crate passes.
    pub fn arguments(mut self, more: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }

    /// Starts the server and waits until it accepts connections.
    pub fn start(self) -> Result<Server> {
        Server::start_new(self)
    }
}
