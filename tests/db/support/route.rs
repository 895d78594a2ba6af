//! The network route to a database, which a test can block for new connections. Sessions that are
//! open already go on.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use txn::{ConnectOptionsOf, Db, DbBuilder};

use crate::support::fixture::{Fixture, connect};
use crate::support::observer::Observed;
use crate::support::proxy::Proxy;

pub(crate) struct Route<DB: Observed> {
    /// The fixture that owns the database.
    _fixture: Fixture<DB>,
    /// The proxy on the route, for an engine with a server.
    pub(crate) proxy: Option<Proxy>,
    options: ConnectOptionsOf<DB>,
    open: PathBuf,
    blocked: PathBuf,
}

impl<DB: Observed> Route<DB> {
    pub(crate) async fn new() -> Self {
        let fixture = Fixture::<DB>::new().await;
        // SQLite closes no file that the process has open elsewhere.
        fixture.close().await;
        let (proxy, options) = DB::wired(fixture.place());
        let open = match &proxy {
            Some(proxy) => only_file(proxy.directory()),
            None => Path::new(&fixture.place().name).parent().unwrap().into(),
        };
        Self {
            blocked: open.with_extension("blocked"),
            open,
            _fixture: fixture,
            proxy,
            options,
        }
    }

    /// Opens a handle whose sessions take this route.
    pub(crate) async fn connect(
        &self,
        configure: impl Fn(DbBuilder<DB>) -> DbBuilder<DB>,
    ) -> Db<DB> {
        connect(&self.options, configure).await
    }

    pub(crate) fn block(&self) {
        fs::rename(&self.open, &self.blocked).unwrap();
    }

    /// Puts another listener in the place of the server, for those who connect from now on.
    pub(crate) fn replace(&self) -> Option<UnixListener> {
        self.proxy.as_ref()?;
        self.block();
        Some(UnixListener::bind(&self.open).unwrap())
    }

    pub(crate) fn unblock(&self) {
        fs::rename(&self.blocked, &self.open).unwrap();
    }
}

fn only_file(directory: &Path) -> PathBuf {
    let mut files = fs::read_dir(directory).unwrap();
    files.next().unwrap().unwrap().path()
}
