//! Settings for what happens to a session before and after it is used: reset and callbacks.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::DbBuilder;
use crate::engine::Engine;
use crate::model::reset::{Reset, SessionMeta};

impl<DB: Engine> DbBuilder<DB> {
    /// Sets what is reset on a session before others get it. Default: [`Reset::Nothing`], as in
    /// sqlx.
    ///
    /// A session that was reset is like one that was just opened: the connect options hold, and
    /// [`after_connect`](Self::after_connect) is run on it again. How that is done depends on the
    /// engine:
    ///
    /// - PostgreSQL: everything that `DISCARD ALL` does, except that the driver's prepared
    ///   statements stay.
    /// - MySQL/MariaDB: the session is closed, since the driver has no other way.
    /// - SQLite: the session is closed. A database in memory would be lost with its session, so it
    ///   gets its settings back instead, and keeps nothing temporary or attached.
    ///
    /// A session that cannot be reset is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Reset, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let options = "sqlite::memory:".parse().expect("a URL");
    /// let db = Db::<Sqlite>::builder(options).reset(Reset::Noticed).connect().await?;
    ///
    /// sqlx::query("PRAGMA cache_size = 99").execute(&db).await?;
    /// db.settled().await;
    /// let size: i64 = sqlx::query_scalar("PRAGMA cache_size").fetch_one(&db).await?;
    /// assert_eq!(size, -2000);
    /// # Ok(()) }
    /// ```
    pub fn reset(mut self, reset: Reset) -> Self {
        self.0.callbacks.reset = reset;
        self
    }

    /// Runs a callback on each session when it is opened, and when it was [reset](Self::reset).
    ///
    /// Use it for settings that no connect option has, for `ATTACH`, and for extensions. It takes
    /// the place of the callback with this name in sqlx.
    ///
    /// The callback gets the raw connection, outside of a transaction, and has to leave it outside
    /// of one. If it fails, the session is closed, and the caller that asked for it gets the error.
    /// It counts as part of opening a session, with all limits on that. It is also run for
    /// [`Db::check`](crate::Db::check), if that opens a connection of its own.
    ///
    /// The callback runs in a task of its own, on the runtime of a caller that waits for a session.
    /// If it panics, so does that caller.
    ///
    /// # Cancel safety
    ///
    /// The callback goes on if the caller gives up. It is dropped after `acquire_timeout`, when the
    /// handle is closed, and at the end of its runtime. Then that session is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sqlx::Executor;
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// let options = "sqlite::memory:".parse().expect("a URL");
    /// let db = Db::<Sqlite>::builder(options)
    ///     .after_connect(|connection, _| {
    ///         Box::pin(async move {
    ///             connection.execute("ATTACH ':memory:' AS archive").await?;
    ///             Ok(())
    ///         })
    ///     })
    ///     .connect()
    ///     .await?;
    /// sqlx::query("CREATE TABLE archive.t (id INTEGER)").execute(&db).await?;
    /// # Ok(()) }
    /// ```
    pub fn after_connect<F>(mut self, callback: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut DB::Connection,
                SessionMeta,
            ) -> BoxFuture<'c, Result<(), sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        self.0.callbacks.after_connect = Some(Arc::new(callback));
        self
    }

    /// Asks a callback whether a session that was idle in the pool may be used.
    ///
    /// If it returns `Ok(false)` or an error, which is logged as an event, the session is closed,
    /// and the caller gets another one. It is not called for sessions that were just opened. It
    /// takes the place of the callback with this name in sqlx.
    ///
    /// The callback gets the raw connection, outside of a transaction, and has to leave it outside
    /// of one. The caller that is to get the session waits for it, within the `acquire_timeout`.
    ///
    /// # Cancel safety
    ///
    /// If the callback is dropped in flight, because its caller was dropped, the `acquire_timeout`
    /// is over or the handle is closed, that session is closed.
    pub fn before_acquire<F>(mut self, callback: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut DB::Connection,
                SessionMeta,
            ) -> BoxFuture<'c, Result<bool, sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        self.0.callbacks.before_acquire = Some(Arc::new(callback));
        self
    }

    /// Asks a callback whether a session that was used may be kept.
    ///
    /// If it returns `Ok(false)` or an error, which is logged as an event, the session is closed.
    /// It takes the place of the callback with this name in sqlx.
    ///
    /// The callback gets the raw connection as its user has left it, outside of a transaction, and
    /// has to leave it outside of one. A [reset](Self::reset) comes after it. With this callback,
    /// sessions are given back in the background: only callers that need the session and
    /// [`Db::settled`](crate::Db::settled) wait for it. If it takes longer than the
    /// [`settle_timeout`](Self::settle_timeout), the session is closed.
    ///
    /// It is not run on sessions that are closed in any case.
    ///
    /// # Cancel safety
    ///
    /// The callback is dropped in flight only by the `settle_timeout`, or together with its
    /// runtime. Either closes the session.
    pub fn after_release<F>(mut self, callback: F) -> Self
    where
        F: for<'c> Fn(
                &'c mut DB::Connection,
                SessionMeta,
            ) -> BoxFuture<'c, Result<bool, sqlx::Error>>
            + Send
            + Sync
            + 'static,
    {
        self.0.callbacks.after_release = Some(Arc::new(callback));
        self
    }
}
