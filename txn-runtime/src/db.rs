//! The handle as its users know it: connecting, beginning, its settings, and the handle as an
//! executor. What the handle shares with its sessions is in `pool`.

use std::fmt;
use std::panic::Location;

mod builder;
mod executor;
#[cfg(feature = "migrate")]
mod migrate;

pub use self::builder::DbBuilder;
pub use self::executor::Autocommit;
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::open_scope::OpenScope;
use crate::model::options::BeginOptions;
use crate::model::request::{Need, Request};
use crate::pool::{Db, Session};
use crate::tx::Tx;

/// The options of a transaction that is begun by hand.
static BY_HAND: BeginOptions = BeginOptions::named("a transaction begun by hand");

impl<DB: Engine> Db<DB> {
    /// Connects with default settings.
    ///
    /// # Errors
    ///
    /// If the URL does not belong to this engine, or no session can be opened: the server cannot be
    /// reached ([`Error::is_connection`]), or refuses ([`Error::code`] says why).
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped, the connection attempt is given up.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        // sqlx would accept the URL of another engine, and then try to reach a server that does not
        // exist.
        let scheme = url.split(':').next().unwrap_or_default();
        if !DB::URL_SCHEMES.contains(&scheme) {
            return Err(Error::connect(invalid::<DB>(&"another scheme, or none")));
        }
        let options = url
            .parse()
            .map_err(|error: sqlx::Error| Error::connect(invalid::<DB>(&error)))?;
        Self::builder(options).connect().await
    }

    /// Returns a builder, for settings beyond the URL.
    pub fn builder(options: ConnectOptionsOf<DB>) -> DbBuilder<DB> {
        DbBuilder::new(options)
    }

    /// Begins a transaction by hand. Annotated functions begin one by themselves.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, too many callers
    /// wait for one ([`Error::is_overloaded`]), the server has been out of reach for a while
    /// ([`Error::is_unavailable`]), the handle is closed, or the server refused the BEGIN.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped while it waits, it leaves the queue. If it is
    /// dropped during BEGIN, the session is settled.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Tx<DB>, Error>> + Send {
        self.begin_with(&BY_HAND)
    }

    /// Begins a transaction by hand, with a name and with options.
    ///
    /// The name is what [`scopes`](Self::scopes), errors and spans show. The options are a constant,
    /// as those of an annotation are, so that nothing is copied.
    ///
    /// ```
    /// # use txn_runtime::{BeginOptions, Db, Error, Sqlite};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// const REPORT: BeginOptions = BeginOptions::named("bank.report").read_only();
    ///
    /// let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// let mut tx = db.begin_with(&REPORT).await?;
    /// let one: i64 = sqlx::query_scalar("SELECT 1").fetch_one(&mut tx).await?;
    /// # assert_eq!(one, 1);
    /// assert_eq!(db.scopes().await[0].name, "bank.report");
    /// tx.rollback().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), or if the engine lacks one of the options.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, as with [`begin`](Self::begin).
    #[track_caller]
    pub fn begin_with(
        &self,
        options: &'static BeginOptions,
    ) -> impl Future<Output = Result<Tx<DB>, Error>> + Send {
        let request = Request::by_hand(&options.0, Location::caller());
        Tx::begin_by_hand(self, request)
    }

    /// Takes a session in autocommit mode.
    ///
    /// # Errors
    ///
    /// If no session was free within the `acquire_timeout`, none could be opened, too many callers
    /// wait for one ([`Error::is_overloaded`]), the server has been out of reach for a while
    /// ([`Error::is_unavailable`]), or the handle is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped, it leaves the queue.
    #[track_caller]
    pub fn session(&self) -> impl Future<Output = Result<Session<DB>, Error>> + Send {
        self.autocommit_session(Need {
            location: Some(Location::caller().into()),
            ..Need::AUTOCOMMIT
        })
    }
}

/// The error of a URL that does not belong to the engine.
fn invalid<DB: Engine>(error: &dyn fmt::Display) -> sqlx::Error {
    let schemes = DB::URL_SCHEMES.join("` or `");
    sqlx::Error::Configuration(
        format!(
            "not a database URL of {} (it begins with `{schemes}`): {error}",
            DB::NAME
        )
        .into(),
    )
}

impl<DB: Engine> Db<DB> {
    /// Lists the scopes that are open, the oldest first.
    ///
    /// These are the scopes that have a session or wait for one, those whose hooks run, and those
    /// that were dropped and are being settled. Sessions in autocommit mode are listed too. A
    /// joined or nested scope is part of its root scope. Between two attempts of a `retry` there is
    /// no scope. A scope that is given its session at this moment may be missing.
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
