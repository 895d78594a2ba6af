//! A sandbox: one transaction that never commits, for tests to run in.
//!
//! Its session is taken out of the pool, begins, and is lent to one scope after the other. Each
//! scope finds the savepoint `txn_box` set. To commit, it sets the savepoint anew; to roll back, it
//! goes back to it. Everything else (settling, hooks, nested scopes) is as it is outside.
//!
//! ```text
//!   session of the pool ──► in the sandbox ◄──────► lent to a scope
//!                                 │
//!                 close, or drop  ▼
//!                             ROLLBACK, back in the pool
//! ```
//!
//! If the sandbox ends while a scope has the session, the ROLLBACK waits for that scope.

use std::ops::Deref;
use std::sync::Arc;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::options::Options;
use crate::model::request::Request;
use crate::observe::trace::Trace;
use crate::pool::hooks::CommittedHook;
use crate::pool::sandbox_session::SandboxSession;
use crate::pool::{Db, Session, transaction_sql};
use crate::tx::Tx;

/// The options of the transaction that a sandbox is.
static SANDBOX: Options = Options::new("a sandbox");

/// A [`Db`] for tests, from [`Db::sandbox`]: everything that is done through it happens in one
/// transaction, which never commits.
///
/// It is used like the `Db` that it derefs to. The scopes that follow see what its scopes commit,
/// and nobody else does. When the sandbox ends, nothing of it is left. So tests can share a
/// database and run at the same time, each in a sandbox of its own, as long as they do not wait for
/// each other's locks, as two tests do that write the same row.
///
/// ```
/// # use txn_runtime::{Db, Error, Sqlite};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
/// sqlx::query("CREATE TABLE account (id INTEGER PRIMARY KEY)").execute(&db).await?;
///
/// let sandbox = db.sandbox().await?;
/// sqlx::query("INSERT INTO account VALUES (1)").execute(&sandbox).await?;
/// let count = "SELECT count(*) FROM account";
/// assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&sandbox).await?, 1);
/// sandbox.close().await;
///
/// assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&db).await?, 0);
/// # Ok(()) }
/// ```
///
/// # What is different in it
///
/// - It has one session, so scopes run one after the other. What is asked of the handle inside of a
///   scope would wait for its own caller: in the body of an annotated function it is refused at
///   once, and inside of a transaction that was begun by hand it waits for the `acquire_timeout`.
///   Statements on the handle (`&db`) are scopes of their own.
/// - `requires_new` is a savepoint with its own outcome and hooks. If it commits and the scope
///   around it then rolls back, it is undone too, unlike outside of a sandbox. From then on the
///   sandbox refuses to go on, and says so.
/// - `isolation` is always met, since nobody else is in the transaction, and `retry` has nothing to
///   do. `read_only` is enforced by the server for root scopes on PostgreSQL and SQLite, and by the
///   first keyword of a statement elsewhere.
/// - Constraints that are deferred to the commit are checked at the end of a root scope on
///   PostgreSQL, and not at all on SQLite.
/// - [`Db::session`] and `Db::migrate` are refused.
/// - `now()` and similar functions stand still on PostgreSQL, as within any transaction.
///
/// # Cancel safety
///
/// If a sandbox is dropped, it rolls back in the background. A scope that is open goes on to its
/// end, and is rolled back with the rest.
#[derive(Debug)]
pub struct Sandbox<DB: Engine> {
    /// The handle of the sandbox, whose scopes get the sandbox's session.
    db: Db<DB>,
    /// The session, which is here or lent to a scope. The handle shares it.
    lent: Arc<SandboxSession<DB>>,
}

impl<DB: Engine> Sandbox<DB> {
    /// A sandbox on a session that has begun and has the savepoint set.
    fn new(session: Session<DB>) -> Self {
        let db = session.db().clone();
        let lent = Arc::new(SandboxSession::new(session));
        let db = db.inside_of_sandbox(Arc::clone(&lent));
        Self { db, lent }
    }

    /// Returns the handle itself, to be cloned into a value that owns its `Db`.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// Captures the hooks of `after_commit` from now on, instead of running them.
    /// [`committed_hooks`](Self::committed_hooks) returns them.
    pub fn capture_hooks(&self) {
        self.lent.capture_hooks();
    }

    /// Takes the hooks of `after_commit` that were due since
    /// [`capture_hooks`](Self::capture_hooks), in their order.
    #[must_use]
    pub fn committed_hooks(&self) -> Vec<CommittedHook> {
        self.lent.committed_hooks()
    }

    /// Waits for the scope that is open, if one is, then rolls everything back and gives the
    /// session to the pool.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped, the rollback happens in the background.
    pub async fn close(self) {
        self.lent.close().await;
    }
}

impl<DB: Engine> Deref for Sandbox<DB> {
    type Target = Db<DB>;

    fn deref(&self) -> &Db<DB> {
        &self.db
    }
}

impl<DB: Engine> Drop for Sandbox<DB> {
    fn drop(&mut self) {
        self.lent.abandon();
    }
}

impl<DB: Engine> Db<DB> {
    /// Begins a transaction that never commits, and returns a [`Sandbox`]: a handle whose scopes
    /// all run in it.
    ///
    /// This is meant for tests. [`#[txn::test]`][test] creates a sandbox for each test. A sandbox
    /// holds one session of the pool until it ends; on SQLite it is the database's one writer.
    ///
    /// [test]: https://docs.rs/txn-rs/latest/txn/attr.test.html
    ///
    /// # Errors
    ///
    /// The same as [`begin`](Self::begin). In addition, it fails on the handle of a sandbox,
    /// because sandboxes cannot be nested.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. If the future is dropped, the session is settled.
    pub async fn sandbox(&self) -> Result<Sandbox<DB>, Error> {
        if self.sandbox_session().is_some() {
            let why = "refused: this is the handle of a sandbox already";
            return Err(Error::refused(SANDBOX.name, why));
        }
        // A sandbox is not a scope, so it is not traced.
        let mut trace = Trace::none();
        let mut tx = Tx::begin(self, &Request::outside(&SANDBOX), &mut trace).await?;
        let opened = transaction_sql::open_sandbox(&mut tx.session).await;
        opened.map_err(|error| Error::begin(SANDBOX.name, error))?;
        Ok(Sandbox::new(tx.session))
    }
}

impl<DB: Engine> Tx<DB> {
    /// Notes that `scope` (`requires_new`) has committed inside of this transaction. Outside of a
    /// sandbox it would stay committed, so if this transaction rolls back, the sandbox is spoiled.
    pub(crate) fn spoil_sandbox_if_undone(
        &mut self,
        lent: &Arc<SandboxSession<DB>>,
        scope: &'static str,
    ) {
        let (lent, around) = (Arc::clone(lent), self.name());
        self.after_rollback(move |_| async move {
            let why = format!(
                "the sandbox cannot go on: `{scope}` (`requires_new`) had committed inside of \
                 `{around}`, which was rolled back; elsewhere its work would have stayed, here it \
                 is undone as well. Test this on a database of its own"
            );
            lent.spoil(why);
        });
    }
}
