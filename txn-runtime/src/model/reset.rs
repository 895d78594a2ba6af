//! When a session is reset before others get it, and what its user may have left on it.

use std::time::{Duration, Instant};

/// Facts about a session, for the callbacks of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionMeta {
    /// How long it has been open. Zero for [`after_connect`](crate::DbBuilder::after_connect).
    pub age: Duration,
    /// How long it has been idle in the pool. Zero for every callback but
    /// [`before_acquire`](crate::DbBuilder::before_acquire).
    pub idle_for: Duration,
}

impl SessionMeta {
    /// A session that was opened just now.
    pub(crate) const NEW: Self = Self {
        age: Duration::ZERO,
        idle_for: Duration::ZERO,
    };

    /// A session that is about to be checked out of the pool.
    pub(crate) fn idle(opened: Instant, returned: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            idle_for: returned.elapsed(),
        }
    }

    /// A session that is about to go back to the pool.
    pub(crate) fn in_use(opened: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            ..Self::NEW
        }
    }
}

/// How clean a session is made before others get it. Set with
/// [`DbBuilder::reset`](crate::DbBuilder::reset).
///
/// A session in the pool is never in a transaction, and no operation is in flight on it. This is
/// about what a scope, a statement or a [`Session`](crate::Session) leaves behind beyond that:
/// settings (`SET`, `PRAGMA`), a role, temporary tables, session locks (`pg_advisory_lock`,
/// `GET_LOCK`), `LISTEN`, prepared statements, attached databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// Nothing is reset: what was set stays set for whoever gets the session next. This costs
    /// nothing.
    #[default]
    Nothing,
    /// A session is reset if something ran on it that may leave something behind: a statement that
    /// says so by its keywords or by a function that it calls (in a script, any of its statements),
    /// or code that had the raw connection. What a function of the user's own does is not seen.
    /// This costs a look at each statement, and a round trip in the background for each reset.
    Noticed,
    /// A session is reset after each use, whatever ran on it. On PostgreSQL, if nothing was seen to
    /// leave anything behind and there is no `after_connect`, the reset is sent in front of the
    /// next BEGIN: a lock that a function took unseen is held until then, and only `&db` and
    /// [`Db::session`](crate::Db::session) cost a round trip. On MySQL/MariaDB, and for files of
    /// SQLite, each use costs a new session.
    Everything,
}

/// The state that the user of a session may have left on it, as far as the runtime can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: no statement of the user's has run.
    #[default]
    Nothing,
    /// Nothing that was seen. A function may have left something nevertheless.
    Unseen,
    /// Something ran that may leave something behind.
    Seen,
}

/// The moment when a session is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It is not reset.
    Never,
    /// It is reset before it goes back to the pool.
    Now,
    /// It goes back to the pool, and the reset is sent in front of its next BEGIN.
    WithNext,
}

impl Reset {
    /// Returns when a session is reset on which this was left. `rides` says that the engine can
    /// send the reset in front of a BEGIN.
    pub(crate) fn when(self, left: Left, rides: bool) -> When {
        match (self, left) {
            (Self::Nothing, _) | (_, Left::Nothing) | (Self::Noticed, Left::Unseen) => When::Never,
            (Self::Everything, Left::Unseen) if rides => When::WithNext,
            _ => When::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_reset_when_that_was_asked_for_and_there_is_reason_to() {
        let when = |reset: Reset| {
            [Left::Nothing, Left::Unseen, Left::Seen]
                .map(|left| (reset.when(left, true), reset.when(left, false)))
        };
        use When::{Never, Now, WithNext};
        assert_eq!(when(Reset::Nothing), [(Never, Never); 3]);
        assert_eq!(
            when(Reset::Noticed),
            [(Never, Never), (Never, Never), (Now, Now)]
        );
        assert_eq!(
            when(Reset::Everything),
            [(Never, Never), (WithNext, Now), (Now, Now)]
        );
    }
}
