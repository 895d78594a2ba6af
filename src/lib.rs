//! Transactions as an attribute: `#[transactional]` on an async function, for [sqlx] on PostgreSQL,
//! MySQL/MariaDB and SQLite.
//!
//! # In five minutes
//!
//! A [`Db`] is a handle to a database and its pool of sessions. It takes the place of `sqlx::Pool`.
//! A [`Tx`] is an open transaction. Both are sqlx executors: `&db` runs a statement by itself, and
//! `tx` runs it in the transaction.
//!
//! An annotated function says that it needs a transaction by a parameter `tx: &mut Tx<…>`. Its
//! caller decides which. If the caller passes `&db`, the function is a transaction of its own. If
//! it passes its own `tx`, the function joins that transaction.
//!
//! ```
//! use txn::{Db, Sqlite, Tx, transactional};
//!
//! #[transactional]
//! async fn open_account(tx: &mut Tx<Sqlite>, id: i64, cents: i64) -> Result<(), txn::Error> {
//!     sqlx::query("INSERT INTO account VALUES (?, ?)").bind(id).bind(cents).execute(tx).await?;
//!     Ok(())
//! }
//!
//! #[transactional]
//! async fn open_two(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
//!     open_account(tx, 1, 1000).await?; // joins
//!     open_account(tx, 2, 1000).await   // if this fails, neither is there
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), txn::Error> {
//! let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
//! sqlx::query("CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER)").execute(&db).await?;
//!
//! open_two(&db).await?;                 // BEGIN … COMMIT
//! assert!(open_two(&db).await.is_err()); // the accounts exist: ROLLBACK
//! # Ok(()) }
//! ```
//!
//! **The return value decides.** `Ok` commits. `Err` rolls back, and so do a panic and a future
//! that is dropped. `Ok` is returned only after the database has confirmed the commit. The error
//! type must be able to say that the transaction itself failed, so it implements
//! `From<txn::Error>`; `sqlx::Error` and `anyhow::Error` do. Implement [`Outcome`] for return types
//! of your own. `commit_on(…)` and `rollback_on(…)` make exceptions by value, and
//! [`Tx::set_rollback_only`] rolls back whatever is returned.
//!
//! **A scope that may fail alone** is `#[transactional(nested)]`: inside a transaction it is a
//! savepoint.
//!
//! ```
//! # use txn::{Db, Sqlite, Tx, transactional};
//! # #[derive(Debug)] enum Declined { Card, Txn(txn::Error) }
//! # impl From<txn::Error> for Declined { fn from(e: txn::Error) -> Self { Self::Txn(e) } }
//! # impl From<sqlx::Error> for Declined { fn from(e: sqlx::Error) -> Self { Self::Txn(e.into()) } }
//! #[transactional(nested)]
//! async fn charge_fee(tx: &mut Tx<Sqlite>, id: i64) -> Result<(), Declined> {
//!     sqlx::query("UPDATE account SET cents = cents - 5 WHERE id = ?").bind(id).execute(tx).await?;
//!     Err(Declined::Card)
//! }
//!
//! #[transactional]
//! async fn deposit(tx: &mut Tx<Sqlite>, id: i64, cents: i64) -> Result<(), Declined> {
//!     sqlx::query("UPDATE account SET cents = cents + ? WHERE id = ?").bind(cents).bind(id).execute(tx).await?;
//!     charge_fee(tx, id).await.ok(); // undone alone; the deposit stands
//!     Ok(())
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Declined> {
//! # let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
//! # sqlx::query("CREATE TABLE account (id INTEGER PRIMARY KEY, cents INTEGER)").execute(&db).await?;
//! # sqlx::query("INSERT INTO account VALUES (1, 0)").execute(&db).await?;
//! # deposit(&db, 1, 100).await?;
//! # let cents: i64 = sqlx::query_scalar("SELECT cents FROM account").fetch_one(&db).await?;
//! # assert_eq!(cents, 100);
//! # Ok(()) }
//! ```
//!
//! A *joined* scope that fails has no savepoint to go back to, so the transaction becomes
//! rollback-only. A root that returns `Ok` all the same gets an [`Error`] that says which scope
//! failed and why.
//!
//! **Services and traits** that own their `Db` name it in the attribute, and keep their signatures:
//!
//! ```
//! # use txn::{Db, Sqlite, Tx, transactional};
//! struct Shop { db: Db<Sqlite> }
//!
//! impl Shop {
//!     #[transactional(self.db as tx, read_only)]
//!     async fn orders(&self) -> Result<i64, sqlx::Error> {
//!         sqlx::query_scalar("SELECT COUNT(*) FROM orders").fetch_one(tx).await
//!     }
//! }
//! ```
//!
//! **Dropping is safe.** A future may be dropped at any await point. A session that was left in
//! doubt is brought to a known state in the background, or is closed. It holds its place in the
//! pool meanwhile, and nobody else gets it before. A commit that was already on its way is
//! finished. Each public operation says under *Cancel safety* what a drop loses.
//!
//! The query of a dropped future is cancelled on the server, so that its locks do not outlive it.
//! `timeout = "2s"` in the annotation ends a scope without a drop, and waits for the cleanup before
//! it returns the error. It waits a second at most: a COMMIT or a ROLLBACK that has no answer by
//! then goes on in the background. If that was a COMMIT, the error is a timeout and unknown
//! ([`Error::is_commit_unknown`]).
//!
//! **Hooks.** [`Tx::after_commit`] is for work that may happen only if the transaction has
//! committed. [`Tx::after_rollback`] and [`Tx::before_commit`] are its siblings.
//!
//! **Tests.** [`#[txn::test]`](macro@test) gives an async function its database, and leaves nothing
//! behind there.
//!
//! [`transactional`] lists all arguments of the attribute, [`Error`] describes the errors, and
//! [`DbBuilder`] has the settings.
//!
//! # What a drop costs
//!
//! | dropped while | what happens | the session |
//! |---|---|---|
//! | waiting for a session | it leaves the queue | untouched |
//! | BEGIN is in flight | rolled back, whether or not it arrived | clean or closed |
//! | the body runs, no query in flight | rolled back | clean or closed |
//! | the body runs, a query in flight | the query is cancelled on the server, then rolled back | clean or closed |
//! | a nested scope runs | its query is cancelled, its level undone before the outer scope sends anything else | stays with the outer scope |
//! | a joined scope runs | the transaction is rollback-only, with that as the cause | stays with the outer scope |
//! | a statement of a body that goes on | cancelled; the innermost scope has failed, since nobody knows what the statement did | stays with the scope |
//! | a row stream of a body that goes on, between two rows | nothing: what is left is read before the next statement, for as long as that takes | stays with the scope |
//! | a scope or a session with a row stream, between two rows | what is left is cancelled on the server, as a query in flight is | clean or closed |
//! | COMMIT or ROLLBACK is in flight | finished in the background, hooks run; given up after `settle_timeout` if the server does not answer | clean or closed |
//! | hooks run | they finish in the background | already back |
//!
//! On MySQL and MariaDB the driver does not survive a drop in flight. There such a session is
//! always closed and its query killed. A transaction that goes on around it is lost, and every
//! further statement says so.
//!
//! # Shutting down
//!
//! - [`Db::close`] refuses new scopes and callers that wait, lets open scopes end, waits for every
//!   cleanup, and says goodbye to the server.
//! - A runtime that shuts down while scopes are open drops them: their sessions are closed, and the
//!   server rolls back. Cleanups run on the runtime that the `Db` was made in. If that is gone,
//!   they run on the runtime of the thread that drops the session, or on a thread of their own. A
//!   drop itself needs no runtime.
//! - A process that is killed leaves the cleanup to the server. Between statements the server sees
//!   the end of the connection at once. While a query runs, PostgreSQL (14 or newer) looks every
//!   second. MySQL and MariaDB look when the query has ended, or when the `timeout` of the scope is
//!   over. They are told that limit along with BEGIN, with two seconds added, so that they end only
//!   what the client does not end itself. A shorter limit of the server (of a role, an account, a
//!   session) is left in force, and is restored when the scope has ended.
//!
//! # Features
//!
//! The engines are `sqlite` (default), `postgres` and `mysql` (also for MariaDB). `migrate` adds
//! `Db::migrate`, and `metrics` the [figures](#metrics) below. All other features of sqlx (types,
//! TLS) are turned on in sqlx itself, which is re-exported as [`txn::sqlx`](sqlx).
//!
//! # Spans and events
//!
//! Each scope is a `tracing` span `transaction` at level debug, target `txn`. The body runs in it,
//! so that sqlx's own events about statements are inside. With `retry`, each attempt has a span,
//! which *follows from* the one before (a link, in OpenTelemetry). The fields are:
//!
//! | field | is |
//! |---|---|
//! | `otel.name`, `txn.scope.name` | the `name` of the annotation, or the path of the function |
//! | `code.file.path`, `code.line.number` | where the function is, or the call of `begin` |
//! | `db.system.name` | `postgresql`, `mysql` or `sqlite` |
//! | `txn.propagation` | `required`, `nested`, `requires_new` or `mandatory` |
//! | `txn.depth`, `txn.attempt` | how many scopes it is nested in; which attempt it is, from 1 |
//! | `txn.outcome`, `txn.phase` | how it ended, and where it was then: as [below](#metrics), and `joined` for one that joined |
//! | `txn.elapsed_us` | from the call to its end |
//! | `otel.status_code`, `otel.status_description` | `ERROR` and the text, if the scope itself failed |
//!
//! The span is completed however the scope ends, and says in which phase a scope was dropped. A
//! fault that no caller can be told (a rollback that failed, a session that had to be closed) is an
//! event at level warn, or at level error if work was lost or a part may be committed.
//!
//! [`guide::operations`] tells whoever is on call what each of these means, and what to do first.
#![doc = include_str!("metrics.md")]

#[cfg(any(doc, doctest))]
pub mod guide;

pub use sqlx;
pub use txn_macros::{test, transactional};
#[cfg(feature = "mysql")]
pub use txn_runtime::MySql;
#[cfg(feature = "postgres")]
pub use txn_runtime::Postgres;
#[cfg(feature = "sqlite")]
pub use txn_runtime::Sqlite;
#[doc(inline)]
pub use txn_runtime::{
    Autocommit, BeginOptions, Breaker, Cancel, Cause, CommittedHook, ConnectOptionsOf, Db,
    DbBuilder, Engine, Error, Holder, Isolation, Joinable, Location, OpenScope, Outcome, Provide,
    Reset, Retry, Sandbox, ScopeState, Session, SessionMeta, Source, Status, Tx, Verdict, WaitsFor,
};

/// What the macros' expansions call.
#[doc(hidden)]
pub mod __private {
    pub use txn_runtime::private::*;

    #[cfg(feature = "migrate")]
    pub use crate::__migrate as migrate;
    #[cfg(not(feature = "migrate"))]
    pub use crate::__no_migrate as migrate;
}

/// The migrations of a `#[txn::test]`.
#[cfg(feature = "migrate")]
#[doc(hidden)]
#[macro_export]
macro_rules! __migrate {
    ($path:literal) => {{
        static MIGRATOR: $crate::sqlx::migrate::Migrator = $crate::sqlx::migrate!($path);
        ::core::option::Option::Some(&MIGRATOR)
    }};
}

/// The migrations of a `#[txn::test]`, which are not compiled in.
#[cfg(not(feature = "migrate"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __no_migrate {
    ($path:literal) => {
        ::core::compile_error!("`migrations` needs the feature `migrate`: write `features = [\"migrate\"]` for `txn-rs` in Cargo.toml")
    };
}

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
