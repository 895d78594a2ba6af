//! The open scopes of a `Db`, for the operator who asks what holds, what waits, and why.
//!
//! A session notes what it is doing in its [`Activity`], which is made once per connection: a scope
//! allocates nothing for that, and a statement costs a few relaxed stores. Scopes that have given
//! their session back and run hooks are in a second list, with callers that wait for the session of
//! a sandbox or for a callback. Whoever waits in the queue of the pool is found there.
//!
//! [`Scopes::look`] reads both lists one after the other, without stopping anybody. What it returns
//! is therefore no consistent snapshot of all scopes at one moment, but every scope that has its
//! session, or its hooks to run, during the whole call is in it exactly once. One that is given its
//! session meanwhile may be missing.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

mod activity;
mod sessionless;
mod waits;

pub(crate) use self::activity::{Activity, Busy, Holding, OfTask, Registered};
use self::sessionless::Sessionless;
pub(crate) use self::sessionless::{EndedScope, WaitPlace};
use self::waits::Waiter;
pub(crate) use self::waits::for_sessions;
use crate::engine::Backend;
use crate::model::open_scope::OpenScope;

/// The open scopes of one `Db`.
///
/// The two lists have a mutex each, and no code holds both at once. A scope that gives its session
/// back enters `sessionless` before its session shows that nobody holds it.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    /// The activities of all open sessions, those in the pool included.
    sessions: Mutex<Vec<Arc<Activity>>>,
    /// Scopes without a session, in the order in which they came.
    sessionless: Mutex<SessionlessList>,
}

/// Scopes without a session, by a key that only counts up.
#[derive(Debug, Default)]
struct SessionlessList {
    /// The scopes by key, and therefore in the order in which they came.
    all: BTreeMap<NonZeroU64, Sessionless>,
    /// The key that was given last. Keys are never used twice.
    last_key: u64,
    /// How many sessions were opened. The count is the id of a session that has none on a server.
    sessions_opened: u64,
}

/// An open scope, and what else is known of it.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The scope as it is shown.
    pub(crate) scope: OpenScope,
    /// Its hold on a session, if it has a session or has had one.
    pub(crate) holding: Option<Holding>,
    /// Its wait, if it waits for a session.
    waiter: Option<Waiter>,
    /// It is to be reported as open for too long.
    pub(crate) overdue: bool,
}

impl Scopes {
    /// Lists a session that was opened, until what is returned is dropped.
    pub(crate) fn register(self: &Arc<Self>, backend: &Backend) -> Registered {
        let mut sessionless = lock(&self.sessionless);
        let number = NonZeroU64::MIN.saturating_add(sessionless.sessions_opened);
        let session = NonZeroU64::new(backend.target.id).unwrap_or(number);
        sessionless.sessions_opened += 1;
        drop(sessionless);
        let activity = Arc::new(Activity::new(session, Arc::downgrade(self)));
        lock(&self.sessions).push(Arc::clone(&activity));
        Registered(activity)
    }

    /// Takes a session that is closed off the list.
    fn forget(&self, activity: &Arc<Activity>) {
        lock(&self.sessions).retain(|other| !Arc::ptr_eq(other, activity));
    }

    /// Returns those of these sessions, named by their [`Activity::id`], that are in this list and
    /// have a holder.
    pub(crate) fn of_task(&self, sessions: &[NonZeroUsize]) -> Vec<OfTask> {
        let listed = lock(&self.sessions);
        let of_task = sessions.iter().filter_map(|id| {
            let session = listed.iter().find(|session| session.id() == *id)?;
            session.of_task()
        });
        of_task.collect()
    }

    /// Lists a scope without a session, until [`leave`](Self::leave) is called with the key.
    fn enter(&self, scope: Sessionless) -> NonZeroU64 {
        let mut sessionless = lock(&self.sessionless);
        sessionless.last_key += 1;
        let key = NonZeroU64::MIN.saturating_add(sessionless.last_key);
        sessionless.all.insert(key, scope);
        key
    }

    /// Takes a scope without a session off the list.
    fn leave(&self, key: NonZeroU64) {
        lock(&self.sessionless).all.remove(&key);
    }

    /// All open scopes; those that have been open since `overdue` are marked, once.
    ///
    /// Sessions are read first: a scope enters the other list before its session shows that nobody
    /// holds it, so that a scope on its way from one list to the other is not missed.
    pub(crate) fn look(&self, overdue: Option<Instant>) -> Vec<Seen> {
        let sessions = lock(&self.sessions).clone();
        let held = sessions.iter().filter_map(|session| session.look(overdue));
        let mut seen: Vec<_> = held.collect();
        let mut sessionless = lock(&self.sessionless);
        let listed = sessionless.all.values_mut();
        let others = listed.filter_map(|other| other.look(overdue, &seen));
        let others: Vec<_> = others.collect();
        seen.extend(others);
        seen
    }
}

/// Locks, also after a panic: all values behind these locks are plain data that is never left half
/// written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
