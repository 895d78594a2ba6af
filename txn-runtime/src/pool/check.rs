//! Whether the database can be used, for those who watch over the service.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Timeouts;
use sqlx::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

use super::Db;
use super::acquire::Permits;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::pool::Session;

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
        // Half of it, so that there is time for another if that one has gone bad.
        let look = async |limit| match self.ping_idle(limit / 2).await {
            true => Ok(()),
            false => self.check_on_new_connection(false).await,
        };
        self.in_time(look).await
    }

    /// Asks whether the database takes writes: a [`check`](Self::check) that finds out what a standby, a server that was set to
    /// `default_transaction_read_only` or `read_only`, and a file without permission to write do not tell to those who read.
    ///
    /// It does what a scope that writes would be refused, and leaves nothing behind. Sessions that were opened while the server only read
    /// may go on to, when it takes writes again: those that lie in the pool are asked one after the other until one will write, else a
    /// connection of its own is; those that will not are closed. (Otherwise each is closed when it has refused a scope.)
    ///
    /// On SQLite somebody of this handle who writes just now is taken for the proof that it works. A database in memory can always be written to.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check); and the server's refusal.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, its session is settled, or its connection is given up.
    pub async fn check_writable(&self) -> Result<(), Error> {
        if DB::session_limit(self.options()).is_some() {
            return self.check().await;
        }
        let look = async |limit| {
            let Ok(_turn) = self.try_turn() else {
                return Ok(());
            };
            while let Some(mut session) = self.idle().await {
                match session.check_writes(limit / 2).await {
                    Ok(()) => return Ok(()),
                    Err(error) => session.discard_because(why_closed::<DB>(&error)),
                }
            }
            self.check_on_new_connection(true).await
        };
        self.in_time(look).await
    }

    async fn in_time(
        &self,
        look: impl AsyncFnOnce(Duration) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let limit = self.shared.gate.settings().check;
        let closing = &self.shared.pool.manager().closing;
        let looked = timeout(limit, Box::pin(closing.run_until_cancelled(look(limit))));
        match looked.await {
            Ok(Some(looked)) if !self.is_closed() => looked,
            Ok(_) => Err(Error::closed()),
            Err(_) => Err(unanswered(limit)),
        }
    }

    /// The turn to write, where there is one; an error if somebody else has it.
    fn try_turn(&self) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        let writers = self.shared.writers.clone();
        writers.map(Semaphore::try_acquire_owned).transpose()
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
    async fn check_on_new_connection(&self, writes: bool) -> Result<(), Error> {
        let manager = self.shared.pool.manager();
        if DB::session_limit(&manager.options).is_some() {
            return Ok(());
        }
        let _one = self.shared.checks.lock().await;
        let mut attempt = manager.switch.admit_always();
        let opened = manager.open(&mut attempt).await;
        let mut opened = opened.map_err(Error::connect)?;
        if writes {
            DB::check_writes(&mut opened.connection).await?;
        }
        // The server was there; it notices if it does not hear this.
        opened.connection.close().await.ok();
        Ok(())
    }
}

fn why_closed<DB: Engine>(error: &sqlx::Error) -> CloseReason {
    match error.as_database_error() {
        Some(error) if DB::only_reads(error) => CloseReason::ReadOnly,
        _ => CloseReason::PingFailed,
    }
}

fn unanswered(limit: Duration) -> Error {
    let why = format!("no answer within {limit:?}");
    Error::connect(sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, why)))
}
