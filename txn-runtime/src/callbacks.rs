//! What is done with a session beside its use: the user's callbacks when it is opened, taken and given back, and bringing it
//! back to how it was opened.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use sqlx::{Connection, Database, SqlSafeStr};

use crate::engine::Engine;

/// What is known of a session that a callback of the pool is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionMeta {
    /// How long it has been open. Nothing for [`after_connect`](crate::DbBuilder::after_connect).
    pub age: Duration,
    /// How long it has lain in the pool. Nothing but for [`before_acquire`](crate::DbBuilder::before_acquire).
    pub idle_for: Duration,
}

impl SessionMeta {
    pub(crate) const NEW: Self = Self {
        age: Duration::ZERO,
        idle_for: Duration::ZERO,
    };

    pub(crate) fn idle(opened: Instant, returned: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            idle_for: returned.elapsed(),
        }
    }

    pub(crate) fn in_use(opened: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            ..Self::NEW
        }
    }
}

/// How clean a session is made before others get it. Set with [`DbBuilder::reset`](crate::DbBuilder::reset).
///
/// In any case it is in no transaction, and no operation is under way on it. This is about what a scope, a statement or a
/// [`Session`](crate::Session) leaves behind beyond that: settings (`SET`, `PRAGMA`), a role, temporary tables, session locks
/// (`pg_advisory_lock`, `GET_LOCK`), `LISTEN`, prepared statements, attached databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// What was set stays set for whoever gets the session next. It costs nothing.
    #[default]
    Nothing,
    /// A session is reset when something was seen on it that may leave something behind: a statement that says so by its keywords or by a function
    /// that it calls (in a script, any of its statements), or the raw connection in the user's hands. What a function of the user's
    /// own does out of sight is not seen. It costs a look at each statement, and a round trip in the background where something was seen.
    Noticed,
    /// A session is reset after each use, whatever was seen. On PostgreSQL, where nothing was seen, that rides in front of the next BEGIN
    /// (so that a lock which a function took out of sight is held until then), and costs no round trip but for `&db` and
    /// [`Db::session`](crate::Db::session); on MySQL/MariaDB, and for files of SQLite, each use costs a new session.
    Everything,
}

/// What the user of a session has left on it, as far as one can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Left {
    /// No statement of the user's has run.
    #[default]
    Nothing,
    /// Nothing that was seen.
    Unseen,
    Seen,
}

/// When a session is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Never,
    /// Before others get it.
    Now,
    /// In front of what it is used for next.
    WithNext,
}

impl Reset {
    /// `rides` says that it can be sent in front of a BEGIN.
    pub(crate) fn when(self, left: Left, rides: bool) -> When {
        match (self, left) {
            (Self::Nothing, _) | (_, Left::Nothing) | (Self::Noticed, Left::Unseen) => When::Never,
            (Self::Everything, Left::Unseen) if rides => When::WithNext,
            _ => When::Now,
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_reset_when_that_was_asked_for_and_there_is_reason_to() {
        let when = |reset: Reset| {
            [Left::Nothing, Left::Unseen, Left::Seen]
                .map(|left| (reset.when(left, true), reset.when(left, false)))
        };
        use When::{Never, Now, WithNext};
        assert_eq!(when(Reset::Nothing), [(Never, Never); 3]);
        assert_eq!(
            when(Reset::Noticed),
            [(Never, Never), (Never, Never), (Now, Now)]
        );
        assert_eq!(
            when(Reset::Everything),
            [(Never, Never), (WithNext, Now), (Now, Now)]
        );
    }
}
