//! The user's callbacks: when a session is opened, taken and given back.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database, SqlSafeStr};

use crate::engine::Engine;
use crate::model::reset::{Reset, SessionMeta};

type ConnectionOf<DB> = <DB as Database>::Connection;
type Answer<'c, T> = BoxFuture<'c, Result<T, sqlx::Error>>;
type Told<DB> =
    dyn for<'c> Fn(&'c mut ConnectionOf<DB>, SessionMeta) -> Answer<'c, ()> + Send + Sync;
type Asked<DB> =
    dyn for<'c> Fn(&'c mut ConnectionOf<DB>, SessionMeta) -> Answer<'c, bool> + Send + Sync;

/// The user's, and whether sessions are reset.
pub(crate) struct Callbacks<DB: Engine> {
    pub(crate) after_connect: Option<Arc<Told<DB>>>,
    pub(crate) before_acquire: Option<Arc<Asked<DB>>>,
    pub(crate) after_release: Option<Arc<Asked<DB>>>,
    pub(crate) reset: Reset,
}

const LEFT_OPEN: &str = "a callback of the pool left a transaction open";

impl<DB: Engine> Callbacks<DB> {
    /// Sets up a connection that is new, or as good as new.
    ///
    /// Dropped in flight the connection is in an unknown state: whoever calls this has it in no pool meanwhile.
    pub(crate) async fn connected(
        &self,
        connection: &mut DB::Connection,
    ) -> Result<(), sqlx::Error> {
        let Some(callback) = &self.after_connect else {
            return Ok(());
        };
        callback(connection, SessionMeta::NEW).await?;
        is_outside::<DB>(connection).await
    }

    /// Whether an idle session is to be used. The same goes for a drop.
    pub(crate) async fn wants(
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

    /// Whether a session that was used is to be kept. The same goes for a drop.
    pub(crate) async fn keeps(
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

    /// Whether a session that was used is, or may be, not just given back.
    pub(crate) fn act_on_release(&self) -> bool {
        self.after_release.is_some() || self.reset != Reset::Nothing
    }

    /// What a session brings along when it is reset has to be set again by a callback: it cannot ride in front of a BEGIN.
    pub(crate) fn reset_rides(&self) -> bool {
        DB::RESET.is_some() && self.after_connect.is_none()
    }
}

/// Invariant 1: a session is in the pool only if it is outside a transaction. What the runtime relies on besides is restored.
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
