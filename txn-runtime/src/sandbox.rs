//! A sandbox: one transaction that never commits, for tests to run in.
//!
//! Its session is taken out of the pool, begins, and is lent to one scope after the other. Each finds the savepoint `txn_box`
//! set: to commit is to set it anew, to roll back is to go back to it. Everything else (settling, hooks, nested scopes) is
//! as it is outside.

use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::db::Need;
use crate::engine::Engine;
use crate::hooks::{CommittedHook, Fate, Hooks};
use crate::options::Options;
use crate::scope::Request;
use crate::scope::trace::Trace;
use crate::{Db, Error, Session, Tx, control, settle};

static SANDBOX: Options = Options::new("a sandbox");

const LOST: &str = "the sandbox has lost its transaction: the server has ended it (a deadlock with another sandbox?), or its \
     connection broke, or on MySQL/MariaDB a statement was dropped in flight";

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
    lent: Arc<Lent<DB>>,
}

impl<DB: Engine> Sandbox<DB> {
    fn new(mut session: Session<DB>) -> Self {
        let db = session.db().clone();
        session.access = Default::default();
        let lent = Arc::new(Lent {
            id: session.activity().session(),
            session: Mutex::new(Some(session)),
            turns: Arc::new(Semaphore::new(1)),
            holder: Mutex::new(""),
            spoilt: OnceLock::new(),
            captures: AtomicBool::new(false),
            committed: Mutex::default(),
        });
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
        self.lent.captures.store(true, Ordering::Relaxed);
    }

    /// Takes the hooks of `after_commit` that were due since [`capture_hooks`](Self::capture_hooks), in their order.
    #[must_use]
    pub fn committed_hooks(&self) -> Vec<CommittedHook> {
        std::mem::take(&mut *lock(&self.lent.committed))
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
        self.lent.turns.close();
        drop(lock(&self.lent.session).take());
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
        if self.lent().is_some() {
            let why = "refused: this is the handle of a sandbox already";
            return Err(Error::refused(SANDBOX.name, why));
        }
        // It is no scope.
        let mut trace = Trace::none();
        let mut tx = Tx::begin(self, &Request::outside(&SANDBOX), &mut trace).await?;
        let opened = control::open_sandbox(&mut tx.session).await;
        opened.map_err(|error| Error::begin(SANDBOX.name, error))?;
        Ok(Sandbox::new(tx.session))
    }
}

/// The session of a sandbox, which its scopes have in turn.
pub(crate) struct Lent<DB: Engine> {
    id: NonZeroU64,
    /// `None` while a scope has it, and when it is lost.
    session: Mutex<Option<Session<DB>>>,
    turns: Arc<Semaphore>,
    /// Who had the last turn.
    holder: Mutex<&'static str>,
    /// Why it would not be true to life any more.
    spoilt: OnceLock<String>,
    captures: AtomicBool,
    committed: Mutex<Vec<CommittedHook>>,
}

/// Why a scope cannot be opened in a sandbox.
pub(crate) enum Refusal {
    Held(&'static str),
    Closed,
    Over(String),
}

impl<DB: Engine> Lent<DB> {
    pub(crate) async fn lend(
        &self,
        db: &Db<DB>,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, Refusal> {
        let turn = match timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(Refusal::Closed),
            Err(_) => return Err(Refusal::Held(*lock(&self.holder))),
        };
        if let Some(why) = self.spoilt.get() {
            return Err(Refusal::Over(why.clone()));
        }
        *lock(&self.holder) = need.scope;
        let session = lock(&self.session).take();
        let lent = session.and_then(|session| session.lend(db.clone(), turn));
        lent.ok_or_else(|| Refusal::Over(LOST.to_owned()))
    }

    pub(crate) fn take_back(&self, mut session: Session<DB>) {
        let turn = session.unlend();
        let mut place = lock(&self.session);
        if !self.is_closed() {
            *place = Some(session);
        }
        drop(place);
        drop(turn);
    }

    pub(crate) async fn close(&self) {
        // Fails only if it is closed already.
        let last = self.turns.acquire().await;
        self.turns.close();
        drop(last);
        let session = lock(&self.session).take();
        if let Some(session) = session {
            settle::settle_session(session).await;
        }
    }

    /// What the session is called in the list of open scopes.
    pub(crate) fn id(&self) -> Option<NonZeroU64> {
        Some(self.id)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.turns.is_closed()
    }

    /// What is to run of the hooks of a scope that has ended.
    pub(crate) fn due(&self, mut hooks: Hooks<DB>, fate: &Fate) -> Vec<BoxFuture<'static, ()>> {
        if let (Fate::Committed, true) = (fate, self.captures.load(Ordering::Relaxed)) {
            lock(&self.committed).extend(hooks.committed());
        }
        hooks.after(fate)
    }

    /// Notes that `scope` has committed inside of `tx`, and would stay committed outside of a sandbox.
    pub(crate) fn spoil_if_undone(self: &Arc<Self>, tx: &mut Tx<DB>, scope: &'static str) {
        let (lent, around) = (Arc::clone(self), tx.name());
        tx.after_rollback(move |_| async move {
            let why = format!(
                "the sandbox cannot go on: `{scope}` (`requires_new`) had committed inside of `{around}`, which was rolled back; \
                 elsewhere its work would have stayed, here it is undone as well. Test this on a database of its own"
            );
            // The first is the one that explains.
            lent.spoilt.set(why).ok();
        });
    }
}

impl<DB: Engine> std::fmt::Debug for Lent<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent")
            .field("holder", &*lock(&self.holder))
            .field("spoilt", &self.spoilt.get())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
