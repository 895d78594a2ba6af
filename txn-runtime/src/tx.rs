//! A transaction: a session that is inside of one, and the state that belongs to it.
//!
//! ```text
//!             begin                 commit, rollback, or the scope's end
//!   Session ─────────► Tx open ───────────────────────────────────────────► ended
//!                      │     ▲
//!                      ▼     │
//!               nested and joined scopes
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `begin` | takes a session and sends BEGIN |
//! | `state` | brings the state up to date before a statement or an end, and decides how to end |
//! | `level` | opens and undoes nested levels |
//! | `hooks` | keeps and runs what was registered for the end |
//! | `end`, `late` | commit or roll back, without and with a time limit |
//! | `shield` | lets an end outlive its caller |
//! | `verify` | asks what became of a COMMIT whose answer was lost |
//! | `sandbox` | a transaction that never commits, for tests |
//!
//! A [`Tx`] has no `Drop` of its own. Dropped, it drops its session, whose state says that a
//! transaction is open, so that the session is settled.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

mod begin;
mod end;
mod hooks;
mod late;
mod level;
mod sandbox;
pub(crate) mod shield;
mod state;
mod verify;

pub(crate) use self::end::{end, end_attempt};
use self::hooks::BeforeCommitHooks;
pub(crate) use self::late::result_if_unfinished;
pub(crate) use self::level::{Level, Terms};
pub use self::sandbox::Sandbox;
pub(crate) use self::state::Decision;
use self::state::REFUSED;
use crate::engine::Engine;
use crate::model::conflicts::ConflictHistory;
use crate::model::error::{Cause, Error};
use crate::model::options::{Isolation, Options};
use crate::model::outcome::Verdict;
use crate::model::request::Request;
use crate::pool::executor::learns;
use crate::pool::{Db, Session};

/// An open transaction; `&mut Tx` is a [`sqlx::Executor`].
///
/// An annotated function gets it as its parameter. By hand, [`Db::begin`] returns it, and
/// [`commit`](Self::commit) or [`rollback`](Self::rollback) ends it.
///
/// # Cancel safety
///
/// Dropping a `Tx` rolls back. In the background its session is brought to a known state before
/// anybody else gets it, or it is closed. If a statement is dropped in flight (by a `timeout`
/// around it), the transaction fails, since nobody knows whether the statement took effect, and
/// further statements are refused. A row stream may be dropped between two rows at no loss.
pub struct Tx<DB: Engine> {
    /// The session that the transaction runs on. Its state says how the transaction is doing.
    pub(crate) session: Session<DB>,
    /// A number that no other transaction of the process has. Scopes recognise their transaction
    /// by it, since a body can put another one in its place.
    pub(crate) serial: u64,
    /// The one who is to end the transaction. It becomes `Scope` at most once, and never changes
    /// back.
    owner: Owner,
    /// The request that it was opened with, for another attempt.
    pub(crate) request: Request,
    /// The conflicts that were met so far, by which `retry` decides.
    pub(crate) conflicts: ConflictHistory,
    /// The innermost level. The levels around it are kept by the nested scopes that are open.
    pub(crate) level: Level,
    /// The `before_commit` hooks that have not run.
    before_commit: BeforeCommitHooks<DB>,
    /// The id of the transaction on the server, if commits are verified.
    id: Option<String>,
    /// How many nested scopes are open in the transaction.
    depth: u32,
}

/// The one who is to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The caller who began it by hand.
    Caller,
    /// The root scope whose body runs in it.
    Scope,
}

/// A serial number that was not used before.
fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<DB: Engine> Tx<DB> {
    /// A transaction on `session`, before its BEGIN is sent.
    pub(super) fn new(session: Session<DB>, request: Request) -> Self {
        let options = request.options;
        let terms = match session.bounds().check_by_keyword::<DB>() {
            true => Terms::checked_by_keyword(options),
            false => Terms::of(options),
        };
        Self {
            session,
            serial: next_serial(),
            owner: Owner::Caller,
            request,
            conflicts: ConflictHistory::new(),
            level: Level::new(options.name, None, terms),
            before_commit: BeforeCommitHooks::default(),
            id: None,
            depth: 0,
        }
    }

    /// Returns the handle that this transaction's session came from.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        self.session.db()
    }

    /// Returns the name of the innermost open scope: the `name` of its annotation, or the path of
    /// its function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.level.scope
    }

    /// Returns the isolation that the transaction was begun with, or `None` if it is the database's
    /// default.
    #[must_use]
    pub fn isolation(&self) -> Option<Isolation> {
        self.level.terms.isolation
    }

    /// Returns whether writes are refused in the transaction.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.level.terms.read_only
    }

    /// Returns how many nested scopes are open; 0 in the transaction itself.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Returns which attempt at the root scope this is. It starts at 1, and is more than 1 only
    /// with `retry`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.conflicts.attempts.count()
    }

    /// The conflicts that were met so far, without those in work that is still to be undone.
    pub(crate) fn conflicts(&self) -> ConflictHistory {
        let mut conflicts = self.conflicts;
        if let Some(savepoint) = self.session.state.to_roll_back_to() {
            conflicts.undo(savepoint);
        }
        conflicts
    }

    /// Returns the raw sqlx connection, for features that no executor offers (COPY, advisory
    /// locks), and for code that takes a connection.
    ///
    /// The driver is told that a transaction is open. So code that begins another one on the
    /// connection ([`sqlx::Connection::begin`]) gets a savepoint in this one. The first call in a
    /// transaction costs a round trip for that.
    ///
    /// The runtime does not see what is done to the connection. So before the next statement, or
    /// before the transaction ends, the server is asked whether the transaction is still open,
    /// which costs another round trip. If it was ended meanwhile (by a COMMIT sent as SQL),
    /// everything further is refused, and the end of the scope returns an error that says so
    /// ([`Error::is_partly_committed`]).
    ///
    /// A savepoint that is set on it by hand lasts on MySQL and MariaDB until the transaction is
    /// checked, which is before the next use of this `Tx`.
    ///
    /// # Errors
    ///
    /// If an earlier statement of the transaction had failed and none may follow
    /// ([`Error::is_aborted`]), or the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while it waits for the server, the transaction fails, as with any
    /// statement.
    ///
    /// # Examples
    ///
    /// ```
    /// # use txn_runtime::{Db, Error, Sqlite};
    /// use sqlx::Connection;
    ///
    /// async fn library(on: &mut sqlx::SqliteConnection) -> Result<(), sqlx::Error> {
    ///     let mut own = on.begin().await?; // a savepoint here
    ///     sqlx::query("INSERT INTO t VALUES (1)").execute(&mut *own).await?;
    ///     own.commit().await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    /// # sqlx::query("CREATE TABLE t (n INTEGER)").execute(&db).await?;
    /// let mut tx = db.begin().await?;
    /// library(tx.connection().await?).await?;
    /// tx.rollback().await?;
    ///
    /// let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM t");
    /// assert_eq!(count.fetch_one(&db).await?, 0);
    /// # Ok(()) }
    /// ```
    pub async fn connection(&mut self) -> Result<&mut DB::Connection, Error> {
        let scope = self.level.scope;
        self.ensure_usable(scope, REFUSED).await?;
        if let Err(error) = self.session.let_the_driver_count().await {
            return Err(self.connection_refused(error));
        }
        Ok(self.session.connection())
    }

    /// The error of [`connection`](Self::connection) if the driver could not be told that a
    /// transaction is open.
    fn connection_refused(&mut self, error: sqlx::Error) -> Error {
        let scope = self.level.scope;
        if let sqlx::Error::BeginFailed = error {
            return Error::ended_unseen(scope, error);
        }
        learns::<DB>(&mut self.session.state, &mut self.conflicts, &error);
        Error::aborted(scope, REFUSED, Cause::of(&error))
    }

    /// Makes sure that nothing is written: the scope rolls back, whatever it returns, and the
    /// caller still gets what it returns.
    ///
    /// In a nested scope this holds for that scope. In a joined scope it holds for the transaction
    /// that was joined, and the scope of that transaction gets an error
    /// ([`Error::is_rollback_only`]) instead of an `Ok` that would not be true.
    pub fn set_rollback_only(&mut self, why: impl Into<String>) {
        self.level.set_rollback_only(Cause::new(why));
    }

    /// Commits the transaction.
    ///
    /// # Errors
    ///
    /// If the server did not confirm the commit of a healthy transaction:
    ///
    /// - a joined scope had failed ([`Error::is_rollback_only`]),
    /// - a statement had failed ([`Error::is_aborted`]),
    /// - the engine refused the commit ([`Error::is_serialization_failure`] among others),
    /// - something that ran in the transaction had ended it ([`Error::is_partly_committed`]), or
    /// - the answer was lost ([`Error::is_commit_unknown`]).
    ///
    /// In all but the last two cases nothing was written.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the commit is finished in the background, and its result is logged
    /// as an event.
    pub async fn commit(self) -> Result<(), Error> {
        let mut tx = self;
        if tx.owner == Owner::Scope || tx.depth > 0 || tx.level.joined > 0 {
            // The body of an open scope has moved the transaction out of its place.
            tx.level.mark_exchanged(tx.level.scope);
        }
        end(tx, Verdict::Commit.into()).await
    }

    /// Gives the transaction to a root scope, which alone may commit it from now on.
    pub(crate) fn owned_by_scope(&mut self) {
        self.owner = Owner::Scope;
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    ///
    /// If there was nothing left to roll back, because something that ran in the transaction had
    /// ended it: a part of it may be committed ([`Error::is_partly_committed`]). It is not an error
    /// if the ROLLBACK fails, because the session is closed then, which rolls back too.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the rollback is finished in the background.
    pub async fn rollback(self) -> Result<(), Error> {
        end(self, Verdict::Rollback.into()).await
    }

    // -- joining

    /// Returns why a scope with these options cannot run inside of this transaction, if that is so.
    #[inline(always)]
    pub(crate) fn conflict(&self, options: &Options) -> Option<String> {
        // With an engine that has only one level, the default is that level.
        let one_level = DB::LACKS.weak_isolation.is_some();
        let Terms {
            isolation,
            read_only,
            ..
        } = self.level.terms;
        if let Some(wanted) = options.isolation
            && isolation != Some(wanted)
            && !one_level
        {
            let has = isolation.map_or("the default".into(), |has| has.to_string());
            return Some(format!(
                "asks for isolation {wanted}, but joins a transaction whose isolation is {has}; \
                 open the outer scope with it, or make this one `requires_new`"
            ));
        }
        (read_only && !options.read_only).then(|| {
            "may write, but joins a read-only transaction; mark it `read_only`, or make it \
             `requires_new`"
                .into()
        })
    }

    /// The request of a scope that runs on a second session while this transaction stays open.
    pub(crate) fn request_inside(&self, options: &'static Options) -> Request {
        Request {
            depth: self.depth + 1,
            held: self.request.held + u32::from(self.session.has_place()),
            outer: Some(self.session.activity().session()),
            ..Request::outside(options)
        }
    }
}

impl<DB: Engine> fmt::Debug for Tx<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("scope", &self.level.scope)
            .field("begun_at", &self.session.activity().location())
            .field("depth", &self.depth)
            .field("health", &self.session.state.health())
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
