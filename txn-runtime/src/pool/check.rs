//! Health checks: whether the database can be reached, and whether it takes writes.

use std::io::{self, ErrorKind};
use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout_at;

use super::Db;
use super::sessions::Turn;
use crate::engine::{Engine, clock};
use crate::model::deadline::{Deadline, LONGEST};
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::model::request::{Kind, Need};
use crate::pool::Session;
use crate::pool::session::Slot;

impl<DB: Engine> Db<DB> {
    /// Checks whether the database can be used, for a readiness probe.
    ///
    /// The check pings an idle session of the pool. If there is none, or it does not answer, the
    /// check opens a connection of its own, which does not count as a session. So it neither waits
    /// for callers nor makes them wait, and `Ok` says nothing about how many callers there are
    /// ([`status`](Self::status) does). It takes no longer than
    /// [`check_timeout`](crate::DbBuilder::check_timeout).
    ///
    /// Concurrent checks take turns with that one connection. It is opened even while the breaker
    /// is open. Any answer of the server closes the breaker, and a refused connection counts like
    /// that of a caller. A check that is over before there is an answer changes nothing.
    ///
    /// A database in memory has one session. If that is in use, the check succeeds.
    ///
    /// # Errors
    ///
    /// Fails if the handle is closed, if there is no connection or no answer in time
    /// ([`Error::is_connection`]), or if the server refuses ([`Error::code`] tells why).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: its session is settled, or its own connection is closed.
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
        // Half of the time, so that some is left to connect if the idle session is dead.
        let check = async |within: Deadline| match self.ping_idle(within.limit() / 2).await {
            true => Ok(()),
            false => self.check_on_new_connection(false, within).await,
        };
        self.within_check_timeout(check).await
    }

    /// Checks whether the database takes writes.
    ///
    /// A standby, a server that was set to `default_transaction_read_only` or `read_only`, and a
    /// file without write permission all pass a [`check`](Self::check), and fail this one.
    ///
    /// The check does what a scope that writes would be refused, and leaves nothing behind. A
    /// session that was opened while the server was read-only may stay read-only when the server
    /// takes writes again. So the idle sessions are tried one after the other until one can write
    /// or does not answer, and those that cannot are closed. If none can, the check opens a
    /// connection of its own.
    /// (Without this check, each such session is closed when it has refused a scope.)
    ///
    /// On SQLite, the check succeeds while somebody writes through this handle. A database in
    /// memory can always be written to.
    ///
    /// # Errors
    ///
    /// Fails like [`check`](Self::check), and if the server refuses to write.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped: its session is settled, or its own connection is closed.
    pub async fn check_writable(&self) -> Result<(), Error> {
        if DB::session_limit(self.options()).is_some() {
            return self.check().await;
        }
        let check = async |within: Deadline| {
            let limit = within.limit();
            let Ok(_turn) = self.try_turn() else {
                return Ok(());
            };
            while let Some(mut session) = self.idle(limit / 4).await {
                let Err(error) = session.check_writes(limit / 2).await else {
                    return Ok(());
                };
                session.discard_because(why_closed::<DB>(&error));
                // What is left of the time is for a new connection: the others may be as silent.
                if is_timeout(&error) {
                    break;
                }
            }
            self.check_on_new_connection(true, within).await
        };
        self.within_check_timeout(check).await
    }

    /// Runs `check` with the configured timeout, and ends it when the handle is closed.
    async fn within_check_timeout(
        &self,
        check: impl AsyncFnOnce(Deadline) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let within = Deadline::after(self.shared.gate.settings().check.min(LONGEST));
        let closing = &self.connector().closing;
        let check = closing.run_until_cancelled(check(within));
        let checked = timeout_at(within.at(), Box::pin(check));
        match checked.await {
            Ok(Some(checked)) if !self.is_closed() => checked,
            Ok(_) => Err(Error::closed()),
            Err(_) => Err(unanswered(within)),
        }
    }

    /// Takes the turn to write, on engines that have one. Fails if somebody else has it.
    fn try_turn(&self) -> Result<Option<Turn<'_, DB>>, InUse> {
        if !DB::ONE_WRITER {
            return Ok(None);
        }
        self.sessions().try_turn().map(Some).ok_or(InUse)
    }

    /// Pings an idle session. Returns false if there is none, or if it did not answer.
    async fn ping_idle(&self, limit: Duration) -> bool {
        let Some(mut session) = self.idle(limit).await else {
            return false;
        };
        let answered = session.ping(limit).await.is_ok();
        if !answered {
            session.discard_because(CloseReason::PingFailed);
        }
        answered
    }

    /// Takes an idle session, without waiting and without opening one. A `before_acquire` callback
    /// may take as long as `limit`.
    async fn idle(&self, limit: Duration) -> Option<Session<DB>> {
        let db = self.outside_of_sandbox();
        let deadline = Deadline::after(limit.min(LONGEST)).at();
        loop {
            let (held, mut pooled) = self.sessions().take_idle(Kind::default())?;
            let slot = Slot::new(self.sessions(), held);
            let lease = self.shared.leases.token();
            pooled.reused = true;
            let usable = db.usable(pooled, &Need::AUTOCOMMIT, deadline);
            if let Some(pooled) = usable.await.ok()? {
                return Some(Session::new(pooled, slot, db, lease));
            }
        }
    }

    /// Connects outside of the pool, checks that connection, and closes it. One check does this at
    /// a time.
    async fn check_on_new_connection(&self, writes: bool, within: Deadline) -> Result<(), Error> {
        let connector = self.connector();
        if DB::session_limit(&connector.options).is_some() {
            return Ok(());
        }
        let _one = self.shared.checks.lock().await;
        let mut attempt = connector.breaker.admit_always();
        let opened = connector.connect_once(&mut attempt).await;
        let mut opened = opened.map_err(Error::connect)?;
        if writes {
            clock::real(DB::check_writes(&mut opened.connection)).await?;
        }
        // The check has succeeded, however long this takes. If the goodbye is lost, the server
        // notices by itself.
        let goodbye = clock::real(opened.connection.close());
        timeout_at(within.at(), goodbye).await.ok();
        Ok(())
    }
}

/// Somebody else has the turn to write.
struct InUse;

/// Says why a session is closed on which the check for writes failed.
fn why_closed<DB: Engine>(error: &sqlx::Error) -> CloseReason {
    match error.as_database_error() {
        Some(error) if DB::only_reads(error) => CloseReason::ReadOnly,
        _ => CloseReason::PingFailed,
    }
}

/// Returns true if there was no answer in time.
fn is_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut)
}

/// The error of a check that ran into its timeout.
fn unanswered(within: Deadline) -> Error {
    let why = format!("no answer within {:?}", within.limit());
    Error::connect(sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, why)))
}
