//! A sandbox: one transaction that never commits, for tests to run in.
//!
//! Its session is taken out of the pool, begins, and is lent to one scope after the other. Each finds the savepoint `txn_box`
//! set: to commit is to set it anew, to roll back is to go back to it. Everything else (settling, hooks, nested scopes) is
//! as it is outside.

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

static SANDBOX: Options = Options::new("a sandbox");

/// A [`Db`] for tests, from [`Db::sandbox`]: all that is done through it happens in one transaction, which never commits.
///
/// It is used like the `Db` that it derefs to. What its scopes commit is seen by those that follow, and by nobody else; when the
/// sandbox ends, nothing is left of it. So tests can share a database and run at the same time, each in a sandbox of its
/// own, for as long as they do not wait for each other's locks: two that write the same row do.
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
/// - It has one session: scopes run one after the other, and one that is opened on the handle inside of another waits for its own
///   caller, until the `acquire_timeout` names that one. Statements on the handle (`&db`) are scopes of their own.
/// - `requires_new` is a savepoint with its own outcome and hooks. If it commits, and the scope around it then rolls back, it is
///   undone too, unlike outside: from then on the sandbox refuses to go on, and says so.
/// - `isolation` is met, there being nobody else; `retry` has nothing to do. `read_only` is enforced by the server for root scopes on
///   PostgreSQL and SQLite, by the first keyword of a statement elsewhere.
/// - Constraints that are deferred to the commit are checked at the end of a root scope on PostgreSQL, and not at all on SQLite.
/// - [`Db::session`] and `Db::migrate` are refused.
/// - `now()` and its like stand still on PostgreSQL, as they do within any transaction.
///
/// # Cancel safety
///
/// Dropped, it rolls back in the background. A scope that is open goes on to its end, and is rolled back with the rest.
#[derive(Debug)]
pub struct Sandbox<DB: Engine> {
    db: Db<DB>,
    lent: Arc<SandboxSession<DB>>,
}

impl<DB: Engine> Sandbox<DB> {
    fn new(session: Session<DB>) -> Self {
        let db = session.db().clone();
        let lent = Arc::new(SandboxSession::new(session));
        let db = db.inside_of_sandbox(Arc::clone(&lent));
        Self { db, lent }
    }

    /// The handle itself, to be cloned into what owns its `Db`.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// From now on keeps the hooks of `after_commit` instead of running them: [`committed_hooks`](Self::committed_hooks)
    /// has them.
    pub fn capture_hooks(&self) {
        self.lent.capture_hooks();
    }

    /// Takes the hooks of `after_commit` that were due since [`capture_hooks`](Self::capture_hooks), in their order.
    #[must_use]
    pub fn committed_hooks(&self) -> Vec<CommittedHook> {
        self.lent.committed_hooks()
    }

    /// Waits for the scope that is open, if one is, then rolls everything back and gives the session to the pool.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the rollback happens in the background.
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
    /// Begins a transaction that never commits, and returns a [`Sandbox`]: a handle whose scopes all run in it.
    ///
    /// For tests: [`#[txn::test]`](https://docs.rs/txn-rs/latest/txn/attr.test.html) makes one for each. It holds one session of the pool until it ends; on SQLite it
    /// is the database's one writer.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin); and in a sandbox, which has no room for another.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: dropped, the session is settled.
    pub async fn sandbox(&self) -> Result<Sandbox<DB>, Error> {
        if self.sandbox_session().is_some() {
            let why = "refused: this is the handle of a sandbox already";
            return Err(Error::refused(SANDBOX.name, why));
        }
        // It is no scope.
        let mut trace = Trace::none();
        let mut tx = Tx::begin(self, &Request::outside(&SANDBOX), &mut trace).await?;
        let opened = transaction_sql::open_sandbox(&mut tx.session).await;
        opened.map_err(|error| Error::begin(SANDBOX.name, error))?;
        Ok(Sandbox::new(tx.session))
    }
}

impl<DB: Engine> Tx<DB> {
    /// Notes that `scope` has committed inside of this transaction, and would stay committed outside of a sandbox.
    pub(crate) fn spoils_if_undone(&mut self, lent: &Arc<SandboxSession<DB>>, scope: &'static str) {
        let (lent, around) = (Arc::clone(lent), self.name());
        self.after_rollback(move |_| async move {
            let why = format!(
                "the sandbox cannot go on: `{scope}` (`requires_new`) had committed inside of `{around}`, which was rolled back; \
                 elsewhere its work would have stayed, here it is undone as well. Test this on a database of its own"
            );
            lent.spoil(why);
        });
    }
}
