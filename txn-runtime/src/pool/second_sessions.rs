//! Deadlock detection for callers that hold a session and wait for another (`requires_new`).
//!
//! If every session of the pool is held by such a caller, none of them can ever go on. The caller
//! that would complete this situation is refused instead of waiting: it is the last to come, and
//! has lost the least.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::error::{Error, Starved};
use crate::model::request::Need;

/// The callers of one `Db` that wait for a session while they hold at least one.
///
/// The check and the registration happen under one lock, so that two callers cannot both find
/// themselves the last but one.
#[derive(Debug, Default)]
pub(crate) struct SecondSessions(Mutex<Vec<Need>>);

impl SecondSessions {
    /// Registers a caller that is about to wait, or refuses it if then all `max` sessions would be
    /// held by waiting callers. A caller that holds no session is not registered.
    pub(super) fn register(&self, need: Need, max: usize) -> Result<Option<Entry<'_>>, Error> {
        if need.held == 0 {
            return Ok(None);
        }
        let mut waiting = self.lock();
        // Sessions that are held by callers that do not wait will come back, so these do not count.
        let held: u32 = waiting.iter().map(|other| other.held).sum();
        if (held + need.held) as usize >= max {
            let others = waiting.iter().map(|other| other.scope).collect();
            let starved = Starved { max, others };
            return Err(Error::starved(need.scope, starved));
        }
        waiting.push(need);
        Ok(Some(Entry {
            registry: self,
            scope: need.scope,
            held: need.held,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Need>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered caller. Dropping it, with its session or without, takes it off the list.
pub(super) struct Entry<'a> {
    /// The list that the caller is on.
    registry: &'a SecondSessions,
    /// The name of the scope that waits.
    scope: &'static str,
    /// How many sessions the caller holds already.
    held: u32,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut waiting = self.registry.lock();
        // Entries that are equal in these fields are interchangeable.
        let is_equal = |other: &Need| other.scope == self.scope && other.held == self.held;
        if let Some(at) = waiting.iter().position(is_equal) {
            waiting.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(scope: &'static str, held: u32) -> Need {
        Need {
            scope,
            writes: true,
            held,
            ..Need::AUTOCOMMIT
        }
    }

    #[test]
    fn the_one_with_whom_nobody_could_go_on_is_refused_and_told_who_waits() {
        let second_sessions = SecondSessions::default();
        assert!(
            second_sessions
                .register(need("first", 0), 1)
                .unwrap()
                .is_none()
        );
        let a = second_sessions.register(need("a", 1), 3).unwrap();
        let b = second_sessions.register(need("b", 1), 3).unwrap();
        let error = second_sessions
            .register(need("c", 1), 3)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("`a`, `b`") && error.contains("(in `c`)"),
            "{error}"
        );
        drop(a);
        let deep = second_sessions.register(need("deep", 2), 3).err();
        assert!(deep.unwrap().is_acquire_timeout());
        let c = second_sessions.register(need("c", 1), 3).unwrap();
        drop((b, c));
        assert!(
            second_sessions
                .register(need("deep", 2), 3)
                .unwrap()
                .is_some()
        );
    }
}
