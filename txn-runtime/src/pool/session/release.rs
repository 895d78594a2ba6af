//! The ways in which a session leaves its user: back to the pool after the work between two users,
//! closed, or back to the sandbox that has lent it.
//!
//! The work between two users is the user's `after_release` callback, and the reset to the state in
//! which the session was opened:
//!
//! ```text
//!   a statement runs ──► look_for_leftovers notes whether it may leave something behind
//!   the session is dropped ──► has_release_work
//!         │ no work                               │ work
//!         ▼                                       ▼
//!      idle, maybe with `to_be_reset` set      make_ready_for_others, in the background
//! ```
//!
//! A reset that costs no round trip in front of a BEGIN is not run in the background: `to_be_reset`
//! is set, and the next user sends it along. What runs here counts as a cleanup, so the session
//! keeps its slot until it is done.
//!
//! What closes a session takes it, so nobody can use it afterwards. Its slot, its permits and its
//! lease are released by the drop that follows, and the hooks that it still has are dropped unrun.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use tokio::sync::OwnedSemaphorePermit;

use super::pooled::Pooled;
use super::{Session, TAKEN};
use crate::engine::{Engine, Renewal, statement};
use crate::model::labels::CloseReason;
use crate::model::reset::{Left, SessionMeta, When};
use crate::model::transaction::Wire;
use crate::pool::hooks::{Due, Fate};
use crate::pool::{Bounds, Db};

impl<DB: Engine> Session<DB> {
    /// Notes, before a statement is sent, whether it may leave something behind on the session.
    pub(crate) fn look_for_leftovers(&mut self, sql: &str) {
        if self.db.acts_on_release() && self.left != Left::Seen {
            self.note_leftovers(sql);
        }
    }

    /// Reads the statement. It is a function of its own so that the check above can be inlined.
    fn note_leftovers(&mut self, sql: &str) {
        self.left = match statement::leaves_something::<DB>(sql) {
            true => Left::Seen,
            false => Left::Unseen,
        };
    }

    /// Decides whether the session is reset now, by its next user, or not at all.
    fn when_to_reset(&self) -> When {
        let callbacks = self.db.callbacks();
        callbacks.reset.when(self.left, callbacks.reset_rides())
    }

    /// Returns true if there is work to do before the session may go back to the pool. Sets
    /// `to_be_reset` if the next user can do it instead.
    pub(super) fn has_release_work(&self, pooled: &mut Pooled<DB>) -> bool {
        if !self.db.acts_on_release() || self.state.needs_nothing_before_others() {
            return false;
        }
        let callbacks = self.db.callbacks();
        let when = self.when_to_reset();
        // The drop may still close or settle the session; then the flag does no harm.
        if when == When::WithNext {
            pooled.to_be_reset = true;
        }
        when == When::Now || callbacks.after_release.is_some()
    }

    /// Runs the user's `after_release`, and resets the session if that is due. Returns the reason
    /// if the session is to be closed. After an error it is broken.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the wire `Busy`, so that nobody else gets the session as it is.
    pub(crate) async fn make_ready_for_others(
        &mut self,
    ) -> Result<Option<CloseReason>, sqlx::Error> {
        if self.bounds.are_a_savepoint()
            || self.db.is_closed()
            || self.state.needs_nothing_before_others()
        {
            return Ok(None);
        }
        let db = self.db.clone();
        let limit = db.settle_timeout();
        if db.callbacks().after_release.is_some() {
            self.forget_limits(); // the callback may set timeouts
        }
        let meta = self
            .pooled
            .as_ref()
            .map(|pooled| SessionMeta::in_use(pooled.opened));
        let meta = meta.unwrap_or(SessionMeta::NEW);
        let keeps = self
            .run_guarded(limit, |on| db.callbacks().run_after_release(on, meta))
            .await?;
        if !keeps {
            return Ok(Some(CloseReason::Rejected));
        }
        if self.when_to_reset() == When::Now && !self.reset(limit).await? {
            return Ok(Some(CloseReason::Reset));
        }
        self.state.is_ready_for_others();
        Ok(None)
    }

    /// Resets the session to the state in which it was opened. Returns false if its engine can only
    /// replace it with a new one. After an error it is broken.
    pub(crate) async fn reset(&mut self, limit: Duration) -> Result<bool, sqlx::Error> {
        let db = self.db.clone();
        self.forget_limits();
        let pooled = self.pooled.as_ref().expect(TAKEN);
        let (options, as_opened) = (Arc::clone(&pooled.options), Arc::clone(&pooled.as_opened));
        let renewal = self
            .run_guarded(limit, |on| DB::reset(on, &options, &as_opened))
            .await?;
        match renewal {
            Renewal::Close => return Ok(false),
            Renewal::AsOpened => {}
            Renewal::AsNew => {
                let connected = self.run_guarded(limit, |on| db.callbacks().run_after_connect(on));
                connected.await?;
            }
        }
        self.was_reset();
        Ok(true)
    }

    /// Resets the session in front of a BEGIN. One that cannot be reset counts as lost, which has
    /// the BEGIN repeated on another session.
    pub(super) async fn reset_or_break(&mut self) -> Result<(), sqlx::Error> {
        let limit = self.db.settle_timeout();
        if self.reset(limit).await? {
            return Ok(());
        }
        self.state.lost();
        Err(sqlx::Error::Io(ErrorKind::NotConnected.into()))
    }

    /// Returns true if the session is still as its last user left it, and a reset is due.
    pub(crate) fn is_to_be_reset(&self) -> bool {
        self.pooled
            .as_ref()
            .is_some_and(|pooled| pooled.to_be_reset)
    }

    /// The session was reset, here or along with a BEGIN.
    pub(crate) fn was_reset(&mut self) {
        if let Some(pooled) = &mut self.pooled {
            pooled.to_be_reset = false;
        }
    }
}

impl<DB: Engine> Session<DB> {
    /// Closes the connection without a word to the server, and frees the slot. The reason for the
    /// metrics is derived from the state of the connection.
    pub(crate) fn discard(self) {
        let why = match self.state.wire() {
            _ if self.is_lost_by_a_drop() => CloseReason::DroppedOperation,
            Wire::Broken(_) => CloseReason::Broken,
            _ => CloseReason::Unsettled,
        };
        self.discard_because(why);
    }

    /// Closes the connection without a word to the server, for this reason.
    pub(crate) fn discard_because(mut self, why: CloseReason) {
        self.closes(why);
        self.take();
    }

    /// Notes the reason for which the session is about to be closed. A later one replaces it.
    pub(crate) fn closes(&mut self, why: CloseReason) {
        if let Some(pooled) = &mut self.pooled {
            pooled.tracker.closes(why);
        }
    }

    /// Closes the connection with a goodbye to the server.
    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// Takes the connection out of the session. The drop of the session then only frees the slot.
    fn take(&mut self) -> Option<DB::Connection> {
        Some(self.pooled.take()?.connection)
    }

    /// Returns true if the connection broke inside of a transaction on a server that does not
    /// notice this soon: it may go on with the query that was running, and keep its locks, until
    /// the end of that query.
    pub(super) fn lingers(&self) -> bool {
        let lingers = |pooled: &Pooled<DB>| pooled.backend.lingers;
        self.state.is_broken()
            && self.state.is_inside()
            && self.pooled.as_deref().is_some_and(lingers)
    }

    /// Ends the session on the server if it [`lingers`](Self::lingers) there.
    pub(crate) async fn kill_if_it_lingers(&mut self) {
        if let (true, Some(pooled)) = (self.lingers(), &mut self.pooled) {
            self.db.kill(&mut pooled.backend).await;
        }
        self.state.ended();
    }
}

impl<DB: Engine> Session<DB> {
    /// Moves everything into a new session that belongs to another handle.
    pub(super) fn moved(&mut self, pooled: Box<Pooled<DB>>, db: Db<DB>) -> Self {
        Self {
            pooled: Some(pooled),
            bounds: Bounds::of(&db),
            slot: std::mem::take(&mut self.slot),
            hooks: std::mem::take(&mut self.hooks),
            trace: self.trace.take(),
            db,
            lease: self.lease.clone(),
            state: std::mem::take(&mut self.state),
            left: self.left,
        }
    }

    /// What a transaction on it begins and ends with.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Lends the session to one scope of the sandbox that `db` is the handle of. The scope begins
    /// and ends with a savepoint, and does not see the sandbox's own transaction.
    pub(crate) fn lend(mut self, db: Db<DB>, turn: OwnedSemaphorePermit) -> Option<Self> {
        let pooled = self.pooled.take()?;
        let mut session = self.moved(pooled, db);
        session.slot.sandbox = Some(turn);
        session.state.is_lent();
        Some(session)
    }

    /// Takes the session back into the sandbox's transaction. Returns the permit that the next
    /// scope waits for.
    pub(crate) fn unlend(&mut self) -> Option<OwnedSemaphorePermit> {
        self.activity().close();
        self.db = self.db.outside_of_sandbox();
        self.bounds = Bounds::of(&self.db);
        self.state.is_back();
        self.slot.is_back();
        self.slot.sandbox.take()
    }

    /// Takes the hooks that run now that the transaction has ended like this.
    pub(crate) fn due(&mut self, fate: &Fate) -> Due {
        let hooks = std::mem::take(&mut self.hooks);
        let hooks = match self.db.sandbox_session() {
            Some(lent) => lent.due(hooks, fate),
            None => hooks.after(fate),
        };
        if hooks.is_empty() {
            return Due::default();
        }
        let ending = |scope| {
            let statements = self.activity().statements();
            self.db.scopes_here().ending(scope, statements)
        };
        Due {
            ending: self.activity().holding().map(ending),
            token: Some(self.db.hooks_run()),
            hooks,
        }
    }
}
