//! Bringing a session back to how it was opened: when that is done, and what its user may have left on it.

use std::time::{Duration, Instant};

/// What is known of a session that a callback of the pool is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionMeta {
    /// How long it has been open. Nothing for [`after_connect`](crate::DbBuilder::after_connect).
    pub age: Duration,
    /// How long it has lain in the pool. Nothing but for [`before_acquire`](crate::DbBuilder::before_acquire).
    pub idle_for: Duration,
}

impl SessionMeta {
    pub(crate) const NEW: Self = Self {
        age: Duration::ZERO,
        idle_for: Duration::ZERO,
    };

    pub(crate) fn idle(opened: Instant, returned: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            idle_for: returned.elapsed(),
        }
    }

    pub(crate) fn in_use(opened: Instant) -> Self {
        Self {
            age: opened.elapsed(),
            ..Self::NEW
        }
    }
}

/// How clean a session is made before others get it. Set with [`DbBuilder::reset`](crate::DbBuilder::reset).
///
/// In any case it is in no transaction, and no operation is under way on it. This is about what a scope, a statement or a
/// [`Session`](crate::Session) leaves behind beyond that: settings (`SET`, `PRAGMA`), a role, temporary tables, session locks
/// (`pg_advisory_lock`, `GET_LOCK`), `LISTEN`, prepared statements, attached databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reset {
    /// What was set stays set for whoever gets the session next. It costs nothing.
    #[default]
    Nothing,
    /// A session is reset when something was seen on it that may leave something behind: a statement that says so by its keywords or by a function
    /// that it calls (in a script, any of its statements), or the raw connection in the user's hands. What a function of the user's
    /// own does out of sight is not seen. It costs a look at each statement, and a round trip in the background where something was seen.
    Noticed,
    /// A session is reset after each use, whatever was seen. On PostgreSQL, where nothing was seen, that rides in front of the next BEGIN
    /// (so that a lock which a function took out of sight is held until then), and costs no round trip but for `&db` and
    /// [`Db::session`](crate::Db::session); on MySQL/MariaDB, and for files of SQLite, each use costs a new session.
    Everything,
}

/// What the user of a session has left on it, as far as one can see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Left {
    /// No statement of the user's has run.
    #[default]
    Nothing,
    /// Nothing that was seen.
    Unseen,
    Seen,
}

/// When a session is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Never,
    /// Before others get it.
    Now,
    /// In front of what it is used for next.
    WithNext,
}

impl Reset {
    /// `rides` says that it can be sent in front of a BEGIN.
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
