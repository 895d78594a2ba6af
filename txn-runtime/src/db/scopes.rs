//! The list of open scopes.

use crate::engine::Engine;
use crate::model::open_scope::OpenScope;
use crate::pool::Db;

impl<DB: Engine> Db<DB> {
    /// Lists the scopes that are open, the oldest first.
    ///
    /// These are the scopes that have a session or wait for one, those whose hooks run, and those
    /// that were dropped and are being settled. Sessions in autocommit mode are listed too. A
    /// joined or nested scope is part of its root scope. Between two attempts of a `retry` there is
    /// no scope.
    ///
    /// If a statement runs, the server is asked which scopes wait for which locks, over a
    /// connection of its own. That takes a second at most. In these cases it is not known, and
    /// `waits_for` is empty:
    ///
    /// - on SQLite, where another process has the lock,
    /// - with [`Cancel::Close`](crate::Cancel::Close),
    /// - if the user may not ask (MySQL/MariaDB: the privilege `PROCESS`, on MySQL 8 also `SELECT`
    ///   on `performance_schema`), and
    /// - if there is no answer in time.
    ///
    /// MariaDB answers from a copy, which is renewed when nobody has asked for 100 ms.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// let tx = db.begin().await?;
    /// for scope in db.scopes().await {
    ///     // `a transaction begun by hand` (src/main.rs:7) for 0.1ms: between statements, …
    ///     println!("{scope}");
    /// }
    /// # assert_eq!(db.scopes().await.len(), 1);
    /// tx.commit().await?;
    /// assert!(db.scopes().await.is_empty());
    /// # Ok(()) }
    /// ```
    pub async fn scopes(&self) -> Vec<OpenScope> {
        let mut seen = self.list_scopes(None);
        self.add_lock_waits(&mut seen).await;
        seen.into_iter().map(|seen| seen.scope).collect()
    }
}
