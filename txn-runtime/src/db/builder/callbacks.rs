//! Settings of a `Db` that are about what is done with its sessions beside their use.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::DbBuilder;
use crate::engine::Engine;
use crate::model::reset::{Reset, SessionMeta};

impl<DB: Engine> DbBuilder<DB> {
    /// How clean a session is made before others get it. Default: [`Reset::Nothing`], as in sqlx.
    ///
    /// A session that is reset is as it was opened: what the connect options say holds, and [`after_connect`](Self::after_connect) is run on it
    /// again. By engine:
    ///
    /// - PostgreSQL: what `DISCARD ALL` does, but that the driver's prepared statements stay.
    /// - MySQL/MariaDB: the session is closed, since the driver has no other way.
    /// - SQLite: the session is closed; a database in memory, which would be lost with it, gets its settings back, and keeps nothing
    ///   temporary or attached.
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

    /// Runs a callback on each session when it is opened, and when it was [reset](Self::reset): for settings that no connect option has, `ATTACH`,
    /// extensions. It takes the place of the callback of this name in sqlx.
    ///
    /// The callback has the raw connection, outside of a transaction, and leaves it there. If it fails, the session is closed, and whoever
    /// asked for it gets the error. It counts as part of opening a session, with all limits of that; it is run for [`Db::check`](crate::Db::check) too,
    /// where that opens a connection of its own.
    ///
    /// # Cancel safety
    ///
    /// A callback that is dropped in flight, with the caller who waited for the session, closes that session.
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

    /// Asks a callback whether a session that lay in the pool is to be used: with `Ok(false)`, or an error (which is an event), it is closed, and
    /// the caller gets another. Sessions that were just opened are not asked about. It takes the place of the callback of this
    /// name in sqlx.
    ///
    /// The callback has the raw connection, outside of a transaction, and leaves it there. The caller who is to get the session waits for it, within
    /// his `acquire_timeout`.
    ///
    /// # Cancel safety
    ///
    /// A callback that is dropped in flight, with the caller who waited for the session, closes that session.
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

    /// Asks a callback whether a session that was used is to be kept: with `Ok(false)`, or an error (which is an event), it is closed. It takes
    /// the place of the callback of this name in sqlx.
    ///
    /// The callback has the raw connection, outside of a transaction, as its user has left it (it is [reset](Self::reset) afterwards), and leaves
    /// it outside of one. With it, sessions are given back in the background: nobody waits for the callback but callers who need the
    /// session, and [`Db::settled`](crate::Db::settled). It has the [`settle_timeout`](Self::settle_timeout); past that the session is closed.
    ///
    /// It is not run on sessions that are to be closed in any case.
    ///
    /// # Cancel safety
    ///
    /// It is dropped in flight only with its runtime, or by the `settle_timeout`; that closes the session.
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
