//! A transaction: a session inside one, and what is known of its state.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

mod begin;
mod end;
mod executor;
mod hooks;
mod late;
mod level;
mod sandbox;
pub(crate) mod shield;
mod state;
mod verify;

pub(crate) use self::end::{end, end_attempt};
use self::hooks::Checks;
pub(crate) use self::late::left_behind;
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
/// An annotated function gets it as its parameter. By hand it comes from [`Db::begin`] and ends with
/// [`commit`](Self::commit) or [`rollback`](Self::rollback).
///
/// # Cancel safety
///
/// Dropping a `Tx` rolls back: in the background its session is brought to a known state before anybody else gets
/// it, or closed. A statement that is dropped in flight (a `timeout` around it) fails the transaction, since nobody
/// knows whether it took effect: further statements are refused. A row stream may be dropped between two rows at
/// no loss.
pub struct Tx<DB: Engine> {
    pub(crate) session: Session<DB>,
    /// Tells it from every other one: a body can put another in its place.
    pub(crate) serial: u64,
    owner: Owner,
    /// What it was opened with, for another attempt.
    pub(crate) request: Request,
    pub(crate) conflicts: ConflictHistory,
    /// The innermost savepoint level; the outer ones are kept by the scopes inside them.
    pub(crate) level: Level,
    checks: Checks<DB>,
    /// Its name on the server, where commits are verified.
    id: Option<String>,
    depth: u32,
}

/// Who is to end a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The caller who began it by hand.
    Caller,
    /// The root scope whose body runs in it.
    Scope,
}

fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<DB: Engine> Tx<DB> {
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
            checks: Checks::default(),
            id: None,
            depth: 0,
        }
    }

    /// The handle that this transaction's session came from.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        self.session.db()
    }

    /// The name of the innermost open scope: the `name` of its annotation, or the path of its function.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.level.scope
    }

    /// The isolation that the transaction was begun with; `None` where that is the database's default.
    #[must_use]
    pub fn isolation(&self) -> Option<Isolation> {
        self.level.terms.isolation
    }

    /// Whether the database refuses writes in it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.level.terms.read_only
    }

    /// How many nested scopes this point is inside of; 0 in the transaction itself.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Which attempt at the root scope this is, from 1; more than 1 only with `retry`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.conflicts.attempts.count()
    }

    /// How it has gone so far, what a dropped scope has left to be undone included.
    pub(crate) fn conflicts(&self) -> ConflictHistory {
        let mut conflicts = self.conflicts;
        if let Some(savepoint) = self.session.state.to_roll_back_to() {
            conflicts.undo(savepoint);
        }
        conflicts
    }

    /// The raw sqlx connection, for what no executor offers (COPY, advisory locks), and for code that
    /// wants one.
    ///
    /// The driver is told that a transaction is open, so that code which begins another on the
    /// connection ([`sqlx::Connection::begin`]) gets a savepoint in this one. The first call in a
    /// transaction costs a round trip for it.
    ///
    /// What is done to the connection is out of sight. The transaction is looked at before the next
    /// statement, or before it ends, which costs another round trip: if it was ended meanwhile (a
    /// COMMIT sent as SQL), everything further is refused, and the scope's own end is an error that
    /// says so ([`Error::is_partly_committed`]).
    ///
    /// # Errors
    ///
    /// If an earlier statement of the transaction had failed and none may follow
    /// ([`Error::is_aborted`]), or the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for the server, it fails the transaction as any statement does.
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
            return Err(self.not_lent(error));
        }
        Ok(self.session.connection())
    }

    fn not_lent(&mut self, error: sqlx::Error) -> Error {
        let scope = self.level.scope;
        if let sqlx::Error::BeginFailed = error {
            return Error::ended_unseen(scope, error);
        }
        learns::<DB>(&mut self.session.state, &mut self.conflicts, &error);
        Error::aborted(scope, REFUSED, Cause::of(&error))
    }

    /// Makes sure that nothing is written: the scope will roll back whatever it returns, and return it.
    ///
    /// In a nested scope it holds for that scope. In a joined one it holds for the transaction that was joined, whose
    /// own scope is told: it gets an error ([`Error::is_rollback_only`]) instead of an `Ok` that would not be true.
    pub fn set_rollback_only(&mut self, why: impl Into<String>) {
        self.level.set_rollback_only(Cause::new(why));
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// If the server did not confirm the commit of a healthy transaction: a joined scope had failed
    /// ([`Error::is_rollback_only`]), a statement had ([`Error::is_aborted`]), the engine refused
    /// ([`Error::is_serialization_failure`] among others), the transaction had been ended by something that ran in it
    /// ([`Error::is_partly_committed`]), or the answer was lost ([`Error::is_commit_unknown`]).
    /// In all but the last two nothing was written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the commit is finished in the background; its result is then an event.
    pub async fn commit(self) -> Result<(), Error> {
        let mut tx = self;
        if tx.owner == Owner::Scope || tx.depth > 0 || tx.level.joined > 0 {
            // A body has moved it out of the scope that is open in it.
            tx.level.exchanged(tx.level.scope);
        }
        end(tx, Verdict::Commit.into()).await
    }

    /// The transaction belongs to a root scope from now on.
    pub(crate) fn owned_by_scope(&mut self) {
        self.owner = Owner::Scope;
    }

    /// Rolls back.
    ///
    /// # Errors
    ///
    /// If there was nothing to roll back any more, because the transaction had been ended by something that ran in it: a part
    /// of it may be committed ([`Error::is_partly_committed`]). A session on which the ROLLBACK fails is closed, which rolls
    /// back too, and is no error.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the rollback is finished in the background.
    pub async fn rollback(self) -> Result<(), Error> {
        end(self, Verdict::Rollback.into()).await
    }

    // -- joining

    /// Why a scope with these options cannot run inside of this transaction, if it cannot.
    #[inline(always)]
    pub(crate) fn conflict(&self, options: &Options) -> Option<String> {
        // Where there is one level only, the default is no other.
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
                "asks for isolation {wanted}, but joins a transaction whose isolation is {has}; open the outer scope \
                 with it, or make this one `requires_new`"
            ));
        }
        (read_only && !options.read_only).then(|| {
            "may write, but joins a read-only transaction; mark it `read_only`, or make it `requires_new`".into()
        })
    }

    /// The request of a scope that runs on a second session beside this one.
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
