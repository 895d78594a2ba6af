//! What is done with a clean session before others get it: the user's callback, and bringing it back to how it was opened.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::pooled::Pooled;
use crate::engine::{Engine, Renewal, statement};
use crate::model::labels::CloseReason;
use crate::model::reset::{Left, SessionMeta, When};

impl<DB: Engine> Session<DB> {
    /// Notes whether a statement may leave something behind, before it is sent.
    pub(crate) fn look_for_leftovers(&mut self, sql: &str) {
        if self.db.acts_on_release() && self.left != Left::Seen {
            self.look_at(sql);
        }
    }

    fn look_at(&mut self, sql: &str) {
        self.left = match statement::leaves_something::<DB>(sql) {
            true => Left::Seen,
            false => Left::Unseen,
        };
    }

    fn when_to_reset(&self) -> When {
        let callbacks = self.db.callbacks();
        callbacks.reset.when(self.left, callbacks.reset_rides())
    }

    /// Whether something is to be done with it before others get it; what can wait until then is noted.
    pub(super) fn has_work_before_others(&self, pooled: &mut Pooled<DB>) -> bool {
        if !self.db.acts_on_release() || self.state.needs_nothing_before_others() {
            return false;
        }
        let callbacks = self.db.callbacks();
        let when = self.when_to_reset();
        if when == When::WithNext {
            pooled.to_be_reset = true;
        }
        when == When::Now || callbacks.after_release.is_some()
    }

    /// Does it. Why the session is to be closed, if it is; one that fails in this is of no more use.
    ///
    /// Dropped in flight its wire is busy, so that nobody else gets it.
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
            self.forget_limits();
        }
        let meta = self
            .pooled
            .as_ref()
            .map(|pooled| SessionMeta::in_use(pooled.opened));
        let meta = meta.unwrap_or(SessionMeta::NEW);
        let keeps = self
            .attend(limit, |on| db.callbacks().keeps(on, meta))
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

    /// Brings it back to how it was opened; false if that cannot be done.
    pub(crate) async fn reset(&mut self, limit: Duration) -> Result<bool, sqlx::Error> {
        let db = self.db.clone();
        self.forget_limits();
        let as_opened = self
            .pooled
            .as_ref()
            .map(|pooled| Arc::clone(&pooled.as_opened));
        let as_opened = as_opened.unwrap_or_default();
        let renewal = self
            .attend(limit, |on| DB::reset(on, db.options(), &as_opened))
            .await?;
        match renewal {
            Renewal::Close => return Ok(false),
            Renewal::AsOpened => {}
            Renewal::AsNew => {
                let connected = self.attend(limit, |on| db.callbacks().connected(on));
                connected.await?;
            }
        }
        self.was_reset();
        Ok(true)
    }

    /// The same in front of a BEGIN: what cannot be brought back is replaced there.
    pub(super) async fn reset_or_break(&mut self) -> Result<(), sqlx::Error> {
        let limit = self.db.settle_timeout();
        if self.reset(limit).await? {
            return Ok(());
        }
        self.state.lost();
        Err(sqlx::Error::Io(ErrorKind::NotConnected.into()))
    }

    /// It is as its last user has left it.
    pub(crate) fn is_to_be_reset(&self) -> bool {
        self.pooled
            .as_ref()
            .is_some_and(|pooled| pooled.to_be_reset)
    }

    pub(crate) fn was_reset(&mut self) {
        if let Some(pooled) = &mut self.pooled {
            pooled.to_be_reset = false;
        }
    }
}
