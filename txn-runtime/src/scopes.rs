//! The open scopes of a `Db`, for the operator who asks what holds, what waits, and why.
//!
//! What goes on in a session is noted in its [`Activity`], which is made once per connection: a scope allocates nothing for it,
//! a statement costs a few relaxed stores. Who has no session, because he waits for one or has given it back, is in a list of
//! its own.

use std::time::Duration;

use tokio::time::Instant;

mod activity;
mod outside;
mod registry;
mod text;
mod waits;
mod watch;

pub(crate) use self::activity::{Activity, Busy, Holding, Registered};
pub(crate) use self::outside::{Ending, SoFar};
use self::registry::Seen;
pub(crate) use self::registry::{Need, Scopes};
pub(crate) use self::watch::Watch;
use crate::engine::Engine;
use crate::location::Location;
use crate::{Db, Session};

/// A scope that is open, from [`Db::scopes`]. Its `Display` is one line for an operator:
///
/// ```text
/// `bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 3 statements, session 4711, waits for a lock held by `bank::report` (src/report.rs:10, session 4712)
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenScope {
    /// The `name` of its annotation, or the path of its function.
    pub name: &'static str,
    /// The annotated function, or the call that began it by hand. A statement on the handle itself has none.
    pub location: Option<Location>,
    /// For how long it has had its session; while it waits for one, for how long it has waited.
    pub age: Duration,
    /// What it is doing.
    pub state: ScopeState,
    /// What the server calls its session: the process id on PostgreSQL, the connection id on MySQL/MariaDB. On SQLite, sessions are
    /// numbered in the order in which this handle opened them. `None` while it has none.
    pub session: Option<u64>,
    /// Statements that it has sent so far, transaction control left out, and whatever is done through `connection()`.
    pub statements: u64,
    /// What it waits for, as far as one knows.
    pub waits_for: Option<WaitsFor>,
    /// Who has that, the one who has had it for longest first.
    pub waits_on: Vec<Holder>,
}

/// What an open scope is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeState {
    /// It waits for a session.
    Waiting,
    /// Its BEGIN is on its way.
    Beginning,
    /// It is in its body, and asks nothing of the database.
    Idle,
    /// A statement of its body is on its way, or its rows are being read.
    Running,
    /// Its COMMIT is on its way.
    Committing,
    /// Its ROLLBACK is on its way.
    RollingBack,
    /// Its transaction has ended and its session is back in the pool; its hooks run.
    Hooks,
    /// It was dropped, and its session is being brought to a known state.
    Settling,
}

/// What a scope waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A session: all that it may have are in use. Of a scope that has one, it is the second one (`requires_new`).
    Session,
    /// The server, to open a session: there may be more of them.
    Connection,
    /// Its own caller: what it waited for is there, and its future is not polled. Nobody else can have it meanwhile.
    Poll,
    /// Its turn to write, on an engine that has one writer at a time.
    Turn,
    /// A lock on the server.
    Lock,
}

/// Who has what a scope waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The name of the scope; `None` where it is none of this handle's.
    pub name: Option<&'static str>,
    /// Where that scope is.
    pub location: Option<Location>,
    /// Its session, as in [`OpenScope::session`].
    pub session: Option<u64>,
}

impl<DB: Engine> Db<DB> {
    /// The scopes that are open, the oldest first: those that have a session or wait for one, those whose hooks run, and those
    /// that were dropped and are being settled. Sessions in autocommit mode are among them.
    ///
    /// A joined or nested scope is part of its root scope. Between two attempts of a `retry` there is no scope.
    ///
    /// Whom a scope waits on for a lock is asked of the server, over a connection of its own, if a statement runs; that takes a second
    /// at most. It is not known, and `waits_for` empty, on SQLite (where another process has the lock), with [`Cancel::Close`](crate::Cancel::Close),
    /// where the user may not ask (MySQL/MariaDB: the privilege `PROCESS`, on MySQL 8 also `SELECT` on `performance_schema`), and if there is no answer in time.
    /// MariaDB answers from a copy that is renewed when nobody has asked for 100 ms.
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
    ///     println!("{scope}"); // `a transaction begun by hand` (src/main.rs:7) for 0.1ms: between statements, …
    /// }
    /// # assert_eq!(db.scopes().await.len(), 1);
    /// tx.commit().await?;
    /// assert!(db.scopes().await.is_empty());
    /// # Ok(()) }
    /// ```
    pub async fn scopes(&self) -> Vec<OpenScope> {
        let mut seen = self.look(None);
        self.see_locks(&mut seen).await;
        seen.into_iter().map(|seen| seen.scope).collect()
    }

    /// Those that hold what somebody waits for in vain, the oldest first.
    pub(crate) fn holders(&self, of_turn: bool) -> Vec<OpenScope> {
        let seen = self.look(None).into_iter();
        let seen = seen.filter(|seen| seen.has(of_turn));
        seen.map(|seen| seen.scope).collect()
    }

    /// Notes whose a session is from now on.
    pub(crate) fn opened(&self, session: Session<DB>, need: &Need) -> Session<DB> {
        let has_turn = DB::ONE_WRITER && need.writes;
        session.activity().open(Holding::new(need, has_turn));
        self.watch_scopes();
        if !session.is_reused() {
            self.keep();
        }
        session
    }

    /// What there is to be seen without asking the server. Those that began before `overdue` and were not reported are, now.
    fn look(&self, overdue: Option<Instant>) -> Vec<Seen> {
        let mut seen = self.scopes_here().look(overdue);
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.scope.age));
        waits::for_sessions(&mut seen);
        seen
    }
}
