//! Whether the database can be used, for those who watch over the service.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Timeouts;
use sqlx::Connection;
use tokio::time::timeout;

use super::Db;
use super::acquire::Permits;
use crate::engine::Engine;
use crate::{Error, Session};

const AT_ONCE: Timeouts = Timeouts {
    wait: Some(Duration::ZERO),
    create: None,
    recycle: None,
};

impl<DB: Engine> Db<DB> {
    /// Asks whether the database can be used: for a readiness probe.
    ///
    /// Asks on a session that lies in the pool, else on a connection of its own, which does not count as a session; so it neither waits
    /// for callers nor makes them wait, and `Ok` says nothing of how many there are ([`status`](Self::status) does). Several at a time
    /// take turns for that one connection. While the breaker is open it tries, and success closes it. It takes no longer than
    /// [`check_timeout`](crate::DbBuilder::check_timeout).
    ///
    /// A database in memory has one session: if that is in use, it is taken to work.
    ///
    /// # Errors
    ///
    /// If the handle is closed, or what stood in the way: no connection, or no answer in time ([`Error::is_connection`]), or a
    /// refusal ([`Error::code`] tells why).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, its session is settled, or its connection is given up.
    ///
    /// # Examples
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// let status = match db.check().await {
    ///     Ok(()) => 200,
    ///     Err(error) => {
    ///         eprintln!("not ready: {error}");
    ///         503
    ///     }
    /// };
    /// # assert_eq!(status, 200);
    /// # Ok(()) }
    /// ```
    pub async fn check(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Err(Error::closed());
        }
        let limit = self.shared.gate.settings().check;
        // Half of it, so that there is time for another if that one has gone bad.
        let look = async {
            match self.ping_idle(limit / 2).await {
                true => Ok(()),
                false => self.knock().await,
            }
        };
        let looked = timeout(limit, Box::pin(look)).await;
        looked.unwrap_or_else(|_| Err(unanswered(limit)))
    }

    /// Whether a session that lies in the pool has answered.
    async fn ping_idle(&self, limit: Duration) -> bool {
        let Some(mut session) = self.idle().await else {
            return false;
        };
        let answered = session.ping(limit).await.is_ok();
        if !answered {
            session.discard();
        }
        answered
    }

    async fn idle(&self) -> Option<Session<DB>> {
        let shared = &*self.shared;
        let first = match &shared.firsts {
            Some(firsts) => Some(Arc::clone(firsts).try_acquire_owned().ok()?),
            None => None,
        };
        if shared.pool.status().available == 0 {
            return None;
        }
        let object = shared.pool.timeout_get(&AT_ONCE).await.ok()?;
        let db = self.outside_of_sandbox();
        let lease = shared.leases.token();
        Some(Session::new(object, db, lease, Permits::first(first)))
    }

    /// Connects outside of the pool, and hangs up.
    async fn knock(&self) -> Result<(), Error> {
        let manager = self.shared.pool.manager();
        if DB::session_limit(&manager.options).is_some() {
            return Ok(());
        }
        let _one = self.shared.checks.lock().await;
        let mut attempt = manager.switch.insist();
        let opened = manager.open(&mut attempt).await;
        let opened = opened.map_err(Error::connect)?;
        // The server was there; it notices if it does not hear this.
        opened.connection.close().await.ok();
        Ok(())
    }
}

fn unanswered(limit: Duration) -> Error {
    let why = format!("no answer within {limit:?}");
    Error::connect(sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, why)))
}
