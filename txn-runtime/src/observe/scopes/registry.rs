//! The list of what is open.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::activity::{Activity, Holding, Registered};
use super::sessionless::{Sessionless, Waiter};
use crate::engine::Backend;
use crate::model::open_scope::OpenScope;

/// The open scopes of one `Db`.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    /// Of all sessions that are open, those in the pool included.
    sessions: Mutex<Vec<Arc<Activity>>>,
    /// Scopes without a session, in the order in which they came.
    outside: Mutex<SessionlessList>,
}

#[derive(Debug, Default)]
struct SessionlessList {
    all: BTreeMap<NonZeroU64, Sessionless>,
    last: u64,
    /// Where sessions have no name on the server, they are counted.
    sessions: u64,
}

/// An open scope, and what is known of it beside.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) scope: OpenScope,
    pub(crate) holding: Option<Holding>,
    pub(super) waiter: Option<Waiter>,
    /// To be reported.
    pub(crate) overdue: bool,
}

impl Scopes {
    /// Enters a session that was opened, until it is closed.
    pub(crate) fn register(self: &Arc<Self>, backend: &Backend) -> Registered {
        let mut sessionless = lock(&self.outside);
        let counted = NonZeroU64::MIN.saturating_add(sessionless.sessions);
        let session = NonZeroU64::new(backend.target.id).unwrap_or(counted);
        sessionless.sessions += 1;
        drop(sessionless);
        let activity = Arc::new(Activity::new(session, Arc::downgrade(self)));
        lock(&self.sessions).push(Arc::clone(&activity));
        Registered(activity)
    }

    pub(super) fn forget(&self, activity: &Arc<Activity>) {
        lock(&self.sessions).retain(|other| !Arc::ptr_eq(other, activity));
    }

    pub(super) fn enter(&self, outside: Sessionless) -> NonZeroU64 {
        let mut sessionless = lock(&self.outside);
        sessionless.last += 1;
        let place = NonZeroU64::MIN.saturating_add(sessionless.last);
        sessionless.all.insert(place, outside);
        place
    }

    pub(super) fn leave(&self, place: NonZeroU64) {
        lock(&self.outside).all.remove(&place);
    }

    /// All that is open. Sessions first: a scope enters the other list before its session leaves this one.
    pub(crate) fn look(&self, overdue: Option<Instant>) -> Vec<Seen> {
        let sessions = lock(&self.sessions).clone();
        let held = sessions.iter().filter_map(|session| session.look(overdue));
        let mut seen: Vec<_> = held.collect();
        let mut sessionless = lock(&self.outside);
        let outside = sessionless.all.values_mut();
        let outside = outside.filter_map(|outside| outside.look(overdue, &seen));
        let outside: Vec<_> = outside.collect();
        seen.extend(outside);
        seen
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
