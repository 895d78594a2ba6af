//! The user's callbacks: when a session is opened, checked out, and given back.
//!
//! A callback may do anything to the connection, so after each one the runtime checks that no
//! transaction was left open (invariant 1). While a callback runs, its connection is in no pool: if
//! the callback fails or is dropped in flight, whoever called it closes the connection.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database, SqlSafeStr};

use crate::engine::Engine;
use crate::model::reset::{Reset, SessionMeta};

/// The driver's connection of an engine.
type ConnectionOf<DB> = <DB as Database>::Connection;
/// The future that a callback returns.
type Answer<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;
/// A callback that sets a connection up.
type Setup<DB> =
    dyn for<'c> Fn(&'c mut ConnectionOf<DB>, SessionMeta) -> Answer<'c, ()> + Send + Sync;
/// A callback that decides whether a session is kept. If it answers false, the session is closed.
type Decide<DB> =
    dyn for<'c> Fn(&'c mut ConnectionOf<DB>, SessionMeta) -> Answer<'c, bool> + Send + Sync;

/// The callbacks that the user has set, and whether sessions are reset between two users.
pub(crate) struct Callbacks<DB: Engine> {
    /// Called when a connection was opened, and when a reset has made it as good as new.
    pub(crate) after_connect: Option<Arc<Setup<DB>>>,
    /// Called before an idle session is handed out.
    pub(crate) before_acquire: Option<Arc<Decide<DB>>>,
    /// Called before a session that was used goes back to the pool.
    pub(crate) after_release: Option<Arc<Decide<DB>>>,
    /// The rule by which sessions are reset between two users.
    pub(crate) reset: Reset,
}

/// The error of a callback that broke invariant 1.
const LEFT_OPEN: &str = "a callback of the pool left a transaction open";

impl<DB: Engine> Callbacks<DB> {
    /// Calls `after_connect` on a connection that is new, or that a reset has made as good as new.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped in flight, the connection is in an unknown state and has to be closed.
    pub(crate) async fn run_after_connect(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), sqlx::Error> {
        let Some(callback) = &self.after_connect else {
            return Ok(());
        };
        callback(connection, SessionMeta::NEW).await?;
        is_outside::<DB>(connection).await
    }

    /// Asks `before_acquire` whether an idle session may be used. Cancel safety is that of
    /// [`run_after_connect`](Self::run_after_connect).
    ///
    /// The driver's own transaction count is checked instead of the server's state, because a round
    /// trip here would be paid by every caller.
    pub(crate) async fn run_before_acquire(
        &self,
        connection: &mut DB::Connection,
        meta: SessionMeta,
    ) -> Result<bool, sqlx::Error> {
        let Some(callback) = &self.before_acquire else {
            return Ok(true);
        };
        let wanted = callback(connection, meta).await?;
        match connection.is_in_transaction() {
            true => Err(sqlx::Error::Protocol(LEFT_OPEN.into())),
            false => Ok(wanted),
        }
    }

    /// Asks `after_release` whether a session that was used is kept. Cancel safety is that of
    /// [`run_after_connect`](Self::run_after_connect).
    pub(crate) async fn run_after_release(
        &self,
        connection: &mut DB::Connection,
        meta: SessionMeta,
    ) -> Result<bool, sqlx::Error> {
        let Some(callback) = &self.after_release else {
            return Ok(true);
        };
        let kept = callback(connection, meta).await?;
        is_outside::<DB>(connection).await?;
        Ok(kept)
    }

    /// Returns true if a session that was used may need work before it goes back to the pool.
    pub(crate) fn act_on_release(&self) -> bool {
        self.after_release.is_some() || self.reset != Reset::Nothing
    }

    /// Returns true if a reset can be sent along with the next BEGIN. That is not so if
    /// `after_connect` has to run after the reset.
    pub(crate) fn reset_rides(&self) -> bool {
        DB::RESET.is_some() && self.after_connect.is_none()
    }
}

/// Checks, after a callback, that the connection is outside of a transaction (invariant 1), and
/// restores the settings that the runtime relies on.
async fn is_outside<DB: Engine>(connection: &mut DB::Connection) -> Result<(), sqlx::Error> {
    if DB::in_transaction(connection).await? {
        return Err(sqlx::Error::Protocol(LEFT_OPEN.into()));
    }
    match DB::RESTORE {
        Some(restore) => DB::fetch_optional(connection, restore.into_sql_str())
            .await
            .map(drop),
        None => Ok(()),
    }
}

impl<DB: Engine> Default for Callbacks<DB> {
    fn default() -> Self {
        Self {
            after_connect: None,
            before_acquire: None,
            after_release: None,
            reset: Reset::default(),
        }
    }
}

impl<DB: Engine> fmt::Debug for Callbacks<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks")
            .field("after_connect", &self.after_connect.is_some())
            .field("before_acquire", &self.before_acquire.is_some())
            .field("after_release", &self.after_release.is_some())
            .field("reset", &self.reset)
            .finish()
    }
}
