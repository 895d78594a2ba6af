//! What the runtime does with a session by itself.

use std::io::ErrorKind;
use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;

use super::Session;
use super::epochs::{Epoch, Epochs};
use super::pooled::Pooled;
use crate::engine::{Engine, OwnLimits, timed_out};
use crate::model::deadline::LONGEST;
use crate::model::transaction::{Access, Wire};

impl<DB: Engine> Session<DB> {
    /// Finishes what a dropped operation left on the wire, because all of it is to be undone: what still runs is cancelled on
    /// the server, a row stream that was read in part like everything else. Returns that operation's own error.
    pub(crate) async fn drain(&mut self) -> Result<Option<sqlx::Error>, sqlx::Error> {
        self.finish_exchange(true).await
    }

    /// The same where its scope goes on: what is left of a row stream is read, for as long as that takes. To cancel it would
    /// fail a transaction on some engines, and undo a statement that writes on all.
    pub(crate) async fn read_on(&mut self) -> Result<Option<sqlx::Error>, sqlx::Error> {
        let ends = self.state.wire() != Wire::Partial;
        self.finish_exchange(ends).await
    }

    async fn finish_exchange(&mut self, ends: bool) -> Result<Option<sqlx::Error>, sqlx::Error> {
        if self.state.is_idle() {
            return Ok(None);
        }
        let lost = self.is_lost_by_a_drop();
        let left = self.state.drains(DB::DROPS_BREAK);
        let drained = match left {
            Wire::Broken(_) => Err(sqlx::Error::Io(ErrorKind::NotConnected.into())),
            _ => self.wait_for_answer(left, ends).await,
        };
        match drained {
            Ok(_) => self.state.drained(),
            Err(_) => self.state.given_up(lost),
        }
        drained
    }

    async fn wait_for_answer(
        &mut self,
        left: Wire,
        ends: bool,
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
        let limit = if ends { db.settle_timeout() } else { LONGEST };
        let answered = timeout(limit, db.cancelling(backend, left, ends, answer));
        answered.await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// What limits it has by itself. They are known from when it was opened, unless something may have changed them since.
    pub(crate) async fn limits_of_its_own(&mut self) -> Result<OwnLimits, sqlx::Error> {
        let known = self.pooled.as_ref();
        let known = known.and_then(|pooled| pooled.backend.limits);
        let (None, Some(question)) = (known, DB::ASK_LIMITS) else {
            return Ok(known.unwrap_or_default());
        };
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

    /// Something is about to happen that may change them.
    pub(crate) fn forget_limits(&mut self) {
        if let Some(pooled) = &mut self.pooled {
            pooled.backend.limits = None;
        }
    }

    /// Whether user code left a transaction open behind our back.
    pub(crate) async fn probe(&mut self) -> Result<bool, sqlx::Error> {
        let limit = self.db.settle_timeout();
        self.attend(limit, |connection| DB::in_transaction(connection))
            .await
    }

    /// It was used last before something happened that made all sessions suspect.
    pub(crate) fn is_behind(&self) -> bool {
        let behind = |pooled: &Pooled<DB>| pooled.epoch != self.db.epochs().now();
        self.pooled.as_deref().is_some_and(behind)
    }

    fn has_lost_its_runtime(&self) -> bool {
        let runtime = self.pooled.as_deref().and_then(|pooled| pooled.runtime);
        DB::LIVES_IN_RUNTIME && runtime.is_some_and(|runtime| !self.db.goes_on(runtime))
    }

    /// What it remembers of the schema is out of date, and that of all others most likely is.
    pub(super) fn note_stale(&mut self) {
        if let Some(pooled) = &self.pooled {
            self.db.epochs().end(pooled.epoch);
        }
    }

    /// Forgets what may be out of date.
    pub(crate) async fn catch_up(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        if self.has_lost_its_runtime() {
            self.state.lost();
            return Err(sqlx::Error::Io(ErrorKind::NotConnected.into()));
        }
        // Should a runtime have ended, this one may have no keeper yet.
        self.db.ensure_reaper();
        let epoch = self.db.epochs().now();
        self.attend(limit, Connection::clear_cached_statements)
            .await?;
        if let Some(pooled) = &mut self.pooled {
            pooled.epoch = epoch;
        }
        Ok(())
    }

    /// Makes sure of the schema, where the driver does not before it runs this statement.
    #[inline]
    pub(crate) async fn look_at_schema(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        match DB::LOOK_AT_SCHEMA {
            Some(look) if !DB::may_keep_prepared(sql) => Box::pin(self.run(look)).await,
            _ => Ok(()),
        }
    }

    /// Whether a scope that writes would be served on it. If not, it is of no more use.
    pub(crate) async fn check_writes(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        self.state.begins(Access::default());
        self.attend(limit, |connection| DB::check_writes(connection))
            .await?;
        self.state.ended();
        Ok(())
    }

    /// Whether the server is there.
    pub(crate) async fn ping(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        if self.is_behind() {
            self.catch_up(limit).await?;
        }
        self.attend(limit, Connection::ping).await
    }

    /// An operation of the runtime's own, guarded and bounded. Failed, the connection is of no more use.
    pub(super) async fn attend<'a, T, F: Future<Output = Result<T, sqlx::Error>> + 'a>(
        &'a mut self,
        limit: Duration,
        operation: impl FnOnce(&'a mut DB::Connection) -> F,
    ) -> Result<T, sqlx::Error> {
        let (connection, state, _, mut busy) = self.split();
        state.sent();
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

async fn forget<DB: Engine>(
    connection: &mut DB::Connection,
    epoch: &mut Epoch,
    epochs: &Epochs,
) -> Result<(), sqlx::Error> {
    epochs.end(*epoch);
    let now = epochs.now();
    connection.clear_cached_statements().await?;
    *epoch = now;
    Ok(())
}
