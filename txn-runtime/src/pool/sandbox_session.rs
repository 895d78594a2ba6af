//! The session of a sandbox: one transaction, lent to one scope after the other.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::hooks::{CommittedHook, Fate, Hooks};
use super::{Db, Session, settle};
use crate::engine::Engine;
use crate::model::request::Need;

const LOST: &str = "the sandbox has lost its transaction: the server has ended it (a deadlock with \
     another sandbox?), or its connection broke, or on MySQL/MariaDB a statement was dropped in \
     flight";

/// The session of a sandbox, which its scopes have one after the other.
///
/// `turns` has one permit. A scope holds it together with the session, and gives both back with
/// `take_back` when it is dropped. Closing `turns` ends the sandbox: a session that comes back
/// later is not put into its place any more, and goes back to the pool.
pub(crate) struct SandboxSession<DB: Engine> {
    /// The name of the session in the list of open scopes.
    id: NonZeroU64,
    /// The same for the task that holds it: see
    /// [`Activity::id`](crate::observe::scopes::Activity::id).
    activity: NonZeroUsize,
    /// `None` while a scope has it, and when it is lost.
    session: Mutex<Option<Session<DB>>>,
    turns: Arc<Semaphore>,
    /// Held by whoever ends the sandbox, so that others wait until it has ended.
    ending: tokio::sync::Mutex<()>,
    /// The scope that had the last turn.
    holder: Mutex<&'static str>,
    /// Why the sandbox no longer behaves as a database does, if it does not.
    spoilt: OnceLock<String>,
    /// Hooks that are due after a commit are kept in `committed` instead of being run.
    captures: AtomicBool,
    committed: Mutex<Vec<CommittedHook>>,
}

/// Why a scope cannot be opened in a sandbox.
pub(crate) enum LendError {
    /// This scope had the session for the whole wait.
    Held(&'static str),
    Closed,
    /// The sandbox cannot go on, for this reason.
    Over(String),
}

impl<DB: Engine> SandboxSession<DB> {
    pub(crate) fn new(session: Session<DB>) -> Self {
        Self {
            id: session.activity().session(),
            activity: session.activity().id(),
            session: Mutex::new(Some(session)),
            turns: Arc::new(Semaphore::new(1)),
            ending: tokio::sync::Mutex::default(),
            holder: Mutex::new(""),
            spoilt: OnceLock::new(),
            captures: AtomicBool::new(false),
            committed: Mutex::default(),
        }
    }

    /// Returns whether it is this session.
    pub(crate) fn is(&self, activity: NonZeroUsize) -> bool {
        self.activity == activity
    }

    /// Keeps the hooks of `after_commit` from now on, instead of letting them run.
    pub(crate) fn capture_hooks(&self) {
        self.captures.store(true, Ordering::Relaxed);
    }

    /// Takes the hooks that were kept.
    pub(crate) fn committed_hooks(&self) -> Vec<CommittedHook> {
        std::mem::take(&mut *lock(&self.committed))
    }

    /// Ends the sandbox without waiting: nothing is lent any more, and the session is settled.
    pub(crate) fn abandon(&self) {
        self.turns.close();
        drop(lock(&self.session).take());
    }

    /// Waits until the session is free, and lends it to a scope.
    pub(crate) async fn lend(
        &self,
        db: &Db<DB>,
        deadline: Instant,
        need: &Need,
    ) -> Result<Session<DB>, LendError> {
        let turn = match timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(LendError::Closed),
            Err(_) => return Err(LendError::Held(*lock(&self.holder))),
        };
        if let Some(why) = self.spoilt.get() {
            return Err(LendError::Over(why.clone()));
        }
        *lock(&self.holder) = need.scope;
        let session = lock(&self.session).take();
        let lent = session.and_then(|session| session.lend(db.clone(), turn));
        lent.ok_or_else(|| LendError::Over(LOST.to_owned()))
    }

    /// Takes the session back from a scope, for the next one.
    pub(crate) fn take_back(&self, mut session: Session<DB>) {
        let turn = session.unlend();
        let mut place = lock(&self.session);
        if !self.is_closed() {
            *place = Some(session);
        }
        drop(place);
        drop(turn);
    }

    /// Waits for the scope that is open, then ends the sandbox and rolls everything back.
    pub(crate) async fn close(&self) {
        let _one = self.ending.lock().await;
        // Fails only if the sandbox is closed already.
        let last = self.turns.acquire().await;
        self.turns.close();
        drop(last);
        let session = lock(&self.session).take();
        if let Some(session) = session {
            settle::settle_session(session).await;
        }
    }

    /// The name of the session in the list of open scopes.
    pub(crate) fn id(&self) -> NonZeroU64 {
        self.id
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.turns.is_closed()
    }

    /// The hooks that are to run now that a scope has ended like this.
    pub(crate) fn due(&self, mut hooks: Hooks, fate: &Fate) -> Vec<BoxFuture<'static, ()>> {
        if let (Fate::Committed, true) = (fate, self.captures.load(Ordering::Relaxed)) {
            lock(&self.committed).extend(hooks.committed());
        }
        hooks.after(fate)
    }

    /// Notes why the sandbox no longer behaves as a database does. The first reason stands.
    pub(crate) fn spoil(&self, why: String) {
        self.spoilt.set(why).ok();
    }
}

impl<DB: Engine> std::fmt::Debug for SandboxSession<DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxSession")
            .field("holder", &*lock(&self.holder))
            .field("spoilt", &self.spoilt.get())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
