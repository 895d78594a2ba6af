//! Callers that hold a session and wait for another (`requires_new`): when all sessions are held by such, none of them can
//! ever go on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::error::{Error, Starved};
use crate::model::request::Need;

/// The callers that wait for a session while they hold some.
#[derive(Debug, Default)]
pub(crate) struct SecondSessions(Mutex<Vec<Need>>);

impl SecondSessions {
    /// Lets a caller wait, unless it would be the one with whom nobody can go on: then it is the youngest, and fails.
    pub(super) fn enter(&self, need: Need, max: usize) -> Result<Option<Entry<'_>>, Error> {
        if need.held == 0 {
            return Ok(None);
        }
        let mut waiting = self.lock();
        let held: u32 = waiting.iter().map(|other| other.held).sum();
        if (held + need.held) as usize >= max {
            let others = waiting.iter().map(|other| other.scope).collect();
            let starved = Starved { max, others };
            return Err(Error::starved(need.scope, starved));
        }
        waiting.push(need);
        Ok(Some(Entry {
            all: self,
            scope: need.scope,
            held: need.held,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Need>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, until it is dropped.
pub(super) struct Entry<'a> {
    all: &'a SecondSessions,
    scope: &'static str,
    held: u32,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut waiting = self.all.lock();
        let mine = |other: &Need| other.scope == self.scope && other.held == self.held;
        if let Some(at) = waiting.iter().position(mine) {
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
                .enter(need("first", 0), 1)
                .unwrap()
                .is_none()
        );
        let a = second_sessions.enter(need("a", 1), 3).unwrap();
        let b = second_sessions.enter(need("b", 1), 3).unwrap();
        let error = second_sessions
            .enter(need("c", 1), 3)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("`a`, `b`") && error.contains("(in `c`)"),
            "{error}"
        );
        drop(a);
        let deep = second_sessions.enter(need("deep", 2), 3).err();
        assert!(deep.unwrap().is_acquire_timeout());
        let c = second_sessions.enter(need("c", 1), 3).unwrap();
        drop((b, c));
        assert!(second_sessions.enter(need("deep", 2), 3).unwrap().is_some());
    }
}
