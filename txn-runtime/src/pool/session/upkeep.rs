//! The runtime's own work on a session: draining it, probing it, pinging it, and bringing it up to
//! date.
//!
//! All of this is guarded like the user's statements: the wire is `Busy` while something is in
//! flight (invariant 2), and what fails or times out leaves the session `Broken`.
//!
//! # Epochs
//!
//! Some things that a session remembers can become out of date for all sessions of a pool at once:
//! the statements that are prepared on it (a schema change), and the runtime that its connection
//! lives in (the end of that runtime). Each session notes the epoch in which it was last known to
//! be up to date. An event that makes all sessions suspect begins a new epoch, and whoever takes a
//! session of an older one checks it first. So only the sessions that were in use at that moment
//! can fail.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;

use super::Session;
use super::pooled::Pooled;
use crate::engine::{Engine, OwnLimits, timed_out};
use crate::model::deadline::LONGEST;
use crate::model::transaction::{Access, Wire};

impl<DB: Engine> Session<DB> {
    /// Finishes what a dropped operation left on the wire, in a transaction that is to be rolled
    /// back. Whatever still runs, be it a row stream that was read in part, is cancelled on the
    /// server. Returns the error of that operation, if it had one.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the wire `Busy`; the next drain goes on.
    pub(crate) async fn drain(&mut self) -> Result<Option<sqlx::Error>, sqlx::Error> {
        self.finish_exchange(true).await
    }

    /// Finishes what a dropped operation left on the wire, in a scope that goes on. The rest of a
    /// row stream is read, however long that takes: cancelling it would fail the transaction on
    /// some engines, and undo a statement that writes on all of them.
    pub(crate) async fn read_on(&mut self) -> Result<Option<sqlx::Error>, sqlx::Error> {
        let cancels = self.state.wire() != Wire::Partial;
        self.finish_exchange(cancels).await
    }

    /// Reads the rest of the last exchange, and cancels it on the server if `cancels`. The wire is
    /// then `Idle`, or `Broken` after an error.
    async fn finish_exchange(&mut self, cancels: bool) -> Result<Option<sqlx::Error>, sqlx::Error> {
        if self.state.is_idle() {
            return Ok(None);
        }
        // Asked before `drains`, which changes the state: it decides how a failure is accounted.
        let lost = self.is_lost_by_a_drop();
        let left = self.state.drains(DB::DROPS_BREAK);
        let drained = match left {
            Wire::Broken(_) => Err(sqlx::Error::Io(ErrorKind::NotConnected.into())),
            _ => self.wait_for_answer(left, cancels).await,
        };
        match drained {
            Ok(_) => self.state.drained(),
            Err(_) => self.state.given_up(lost),
        }
        drained
    }

    /// Waits for the end of the exchange that was left as `left` says. If `cancels`, the wait is
    /// bounded by `settle_timeout` (invariant 4). If not, it lasts as long as the rest takes: the
    /// scope's own time limit applies.
    async fn wait_for_answer(
        &mut self,
        left: Wire,
        cancels: bool,
    ) -> Result<Option<sqlx::Error>, sqlx::Error> {
        let db = self.db.clone();
        let Some(pooled) = self.pooled.as_mut() else {
            return Ok(None);
        };
        let Pooled {
            connection,
            backend,
            activity,
            epoch,
            ..
        } = &mut **pooled;
        let mut busy = activity.busy();
        busy.waits(true);
        if left == Wire::Stale {
            let forgotten = timeout(
                db.settle_timeout(),
                forget::<DB>(connection, epoch, db.epochs()),
            );
            return forgotten
                .await
                .unwrap_or_else(|_| Err(timed_out()))
                .map(|()| None);
        }
        let answer = DB::drain(connection, left);
        let limit = if cancels {
            db.settle_timeout()
        } else {
            LONGEST
        };
        let answered = timeout(limit, db.cancelling(backend, left, cancels, answer));
        answered.await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Returns the timeouts that are set on the session itself. They are known since it was opened;
    /// the server is asked only if something may have changed them since.
    pub(crate) async fn limits_of_its_own(&mut self) -> Result<OwnLimits, sqlx::Error> {
        let known = self.pooled.as_ref();
        let known = known.and_then(|pooled| pooled.backend.limits);
        let (None, Some(question)) = (known, DB::ASK_LIMITS) else {
            return Ok(known.unwrap_or_default());
        };
        // The timeouts of the last user do not count.
        if self.is_to_be_reset() {
            self.reset_or_break().await?;
        }
        let mut limits = OwnLimits::default();
        self.ask(question, |row| limits = DB::own_limits(row))
            .await?;
        if let Some(pooled) = &mut self.pooled {
            pooled.backend.limits = Some(limits);
        }
        Ok(limits)
    }

    /// Something is about to happen that may change the session's own timeouts.
    pub(crate) fn forget_limits(&mut self) {
        if let Some(pooled) = &mut self.pooled {
            pooled.backend.limits = None;
        }
    }

    /// Asks the server whether the connection is inside of a transaction that user code left open.
    pub(crate) async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        let limit = self.db.settle_timeout();
        self.run_guarded(limit, |connection| DB::in_transaction(connection))
            .await
    }

    /// Asks the server whether the connection is still inside of the transaction that the runtime
    /// has begun on it, and not of a later one.
    pub(crate) async fn is_in_its_transaction(&mut self) -> Result<bool, sqlx::Error> {
        if self.bounds().are_a_savepoint() {
            return self.probe().await;
        }
        let limit = self.db.settle_timeout();
        self.run_guarded(limit, |connection| DB::in_begun_transaction(connection))
            .await
    }

    /// Returns true if the session is of an older epoch, and has to [`catch_up`](Self::catch_up).
    pub(crate) fn is_behind(&self) -> bool {
        let behind = |pooled: &Pooled<DB>| pooled.epoch != self.db.epochs().now();
        self.pooled.as_deref().is_some_and(behind)
    }

    /// Returns true if the runtime that drives the connection has ended.
    fn has_lost_its_runtime(&self) -> bool {
        let runtime = self.pooled.as_deref().and_then(|pooled| pooled.runtime);
        DB::LIVES_IN_RUNTIME && runtime.is_some_and(|runtime| !self.db.is_alive(runtime))
    }

    /// This session remembers a schema that is out of date. All others most likely do
    /// too, so a new epoch begins.
    pub(super) fn note_stale(&mut self) {
        if let Some(pooled) = &self.pooled {
            self.db.epochs().advance_from(pooled.epoch);
        }
    }

    /// Brings a session of an older epoch up to date: forgets its prepared statements, or gives the
    /// session up if its runtime has ended.
    pub(crate) async fn catch_up(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        if self.has_lost_its_runtime() {
            self.state.lost();
            return Err(sqlx::Error::Io(ErrorKind::NotConnected.into()));
        }
        // After the end of another runtime, the current one may have no reaper yet.
        self.db.ensure_reaper();
        // The epoch is read before the statements are forgotten: one that begins meanwhile counts.
        let epoch = self.db.epochs().now();
        self.run_guarded(limit, Connection::clear_cached_statements)
            .await?;
        if let Some(pooled) = &mut self.pooled {
            pooled.epoch = epoch;
        }
        Ok(())
    }

    /// Has the driver notice a schema change before it runs a statement, on engines where it would
    /// run the statement as it was prepared for the old schema.
    #[inline]
    pub(crate) async fn look_at_schema(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match DB::LOOK_AT_SCHEMA {
            Some(look) if !DB::may_keep_prepared(sql) => Box::pin(self.run(look)).await,
            _ => Ok(()),
        }
    }

    /// Checks that a scope could write on this session. After an error the session is of no more
    /// use.
    pub(crate) async fn check_writes(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        // Counted as a transaction, so that the session is settled if this is dropped in flight.
        self.state.begins(Access::default());
        self.run_guarded(limit, |connection| DB::check_writes(connection))
            .await?;
        self.state.ended();
        Ok(())
    }

    /// Checks that the server answers, and brings the session up to date. After an error the
    /// session is broken.
    pub(crate) async fn ping(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        if self.is_behind() {
            self.catch_up(limit).await?;
        }
        self.run_guarded(limit, Connection::ping).await
    }

    /// Runs an operation of the runtime's own, guarded like a statement and bounded by `limit`.
    /// After an error the session is broken.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the wire `Busy`; the next drain goes on from there.
    pub(super) async fn run_guarded<'a, T, F: Future<Output = Result<T, sqlx::Error>> + 'a>(
        &'a mut self,
        limit: Duration,
        operation: impl FnOnce(&'a mut DB::Connection) -> F,
    ) -> Result<T, sqlx::Error> {
        let (connection, state, _, mut busy) = self.split();
        state.sent(); // before the first poll (invariant 2)
        busy.waits(true);
        let result = timeout(limit, operation(connection)).await;
        let result = result.unwrap_or_else(|_| Err(timed_out()));
        match result {
            Ok(_) => state.answered(),
            Err(_) => state.lost(),
        }
        result
    }
}

/// Forgets the prepared statements of a connection, because one of them has turned out to be out of
/// date. Begins a new epoch, which is then that of this session.
async fn forget<DB: Engine>(
    connection: &mut DB::Connection,
    epoch: &mut Epoch,
    epochs: &Epochs,
) -> Result<(), sqlx::Error> {
    epochs.advance_from(*epoch);
    let now = epochs.now();
    connection.clear_cached_statements().await?;
    *epoch = now;
    Ok(())
}

/// The epoch in which a session was last known to be up to date. Epochs are only compared for
/// equality, so it does no harm that they wrap around.
pub(crate) type Epoch = u32;

/// The current epoch of one pool.
///
/// Reads acquire and writes release: whoever sees a new epoch also sees what led to it, such as the
/// end of a runtime in the list of reapers.
#[derive(Debug, Default)]
pub(crate) struct Epochs(AtomicU32);

impl Epochs {
    /// Returns the current epoch.
    pub(crate) fn now(&self) -> Epoch {
        self.0.load(Ordering::Acquire)
    }

    /// Begins a new epoch.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a new epoch if the current one is still `epoch`. Many sessions may notice the same
    /// event, and one new epoch is enough for it.
    pub(super) fn advance_from(&self, epoch: Epoch) {
        let next = epoch.wrapping_add(1);
        // It fails only if somebody else has begun a new epoch already.
        let _advanced = self
            .0
            .compare_exchange(epoch, next, Ordering::AcqRel, Ordering::Relaxed);
    }
}
