//! Open scopes as an operator sees them: plain data, copied out of what the sessions and the
//! waiting callers note about themselves.

use std::fmt;
use std::time::Duration;

use crate::model::location::Location;

/// A scope that is open, from [`Db::scopes`](crate::Db::scopes). It is a snapshot: nothing in it
/// changes after it was taken. Its `Display` is one line for an operator (wrapped here):
///
/// ```text
/// `bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 3 statements, session 4711,
/// waits for a lock held by `bank::report` (src/report.rs:10, session 4712)
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenScope {
    /// The `name` of its annotation, or the path of its function.
    pub name: &'static str,
    /// The annotated function, or the call that began the scope by hand. `None` for a statement on
    /// the handle itself.
    pub location: Option<Location>,
    /// How long it has had its session; while it waits for one, how long it has waited.
    pub age: Duration,
    /// Its current activity.
    pub state: ScopeState,
    /// The id of its session on the server: the process id on PostgreSQL, the connection id on
    /// MySQL/MariaDB. On SQLite, sessions are numbered in the order in which this handle opened
    /// them. `None` while the scope has no session.
    pub session: Option<u64>,
    /// How many statements it has sent so far, without transaction control and without what is
    /// done through `connection()`.
    pub statements: u64,
    /// The resource that it waits for, if that is known.
    pub waits_for: Option<WaitsFor>,
    /// The scopes that hold this resource, the one that has held it for longest first.
    pub waits_on: Vec<Holder>,
}

/// The current activity of an open scope.
///
/// A root scope goes from `Waiting` over `Beginning` to its body, where it alternates between
/// `Idle` and `Running`, and ends over `Committing` or `RollingBack`, and `Hooks` if it has any. A
/// scope that is dropped goes to `Settling` from wherever it is, and stays there until its session
/// is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeState {
    /// It waits for a session.
    Waiting,
    /// Its BEGIN is in flight.
    Beginning,
    /// Its body runs, and no statement is in flight.
    Idle,
    /// A statement of its body is in flight, or its rows are being read.
    Running,
    /// Its COMMIT is in flight.
    Committing,
    /// Its ROLLBACK is in flight.
    RollingBack,
    /// Its transaction has ended and its session is back in the pool; its hooks run.
    Hooks,
    /// It was dropped, and a cleanup brings its session to a known state.
    Settling,
}

/// The resource that a scope waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A session: all that it may have are in use. A scope that has a session already waits for a
    /// second one (`requires_new`).
    Session,
    /// The server, which is opening a session: the pool is not full yet.
    Connection,
    /// A poll of its own future: what it waited for is there, and its caller does not poll it.
    /// Nobody else can have it meanwhile.
    Poll,
    /// Its turn to write, on an engine with one writer at a time.
    Turn,
    /// A lock on the server.
    Lock,
}

/// A scope, or a session, that holds what another scope waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The name of the scope; `None` if the session is not one of this handle.
    pub name: Option<&'static str>,
    /// The place of that scope in the source.
    pub location: Option<Location>,
    /// Its session, as in [`OpenScope::session`].
    pub session: Option<u64>,
}

impl ScopeState {
    /// All states in the order of their numbers, as they are stored in an atomic.
    const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Beginning,
        Self::Idle,
        Self::Running,
        Self::Committing,
        Self::RollingBack,
        Self::Hooks,
        Self::Settling,
    ];

    /// The state that was stored as this number.
    pub(crate) fn of(number: u8) -> Self {
        let known = Self::ALL.get(usize::from(number));
        known.copied().unwrap_or(Self::Idle)
    }

    /// Returns whether the scope waits for an answer of the server, which may be waiting for a
    /// lock.
    pub(crate) fn asks_server(self) -> bool {
        !matches!(self, Self::Waiting | Self::Idle | Self::Hooks)
    }
}

/// How many holders are named. In a large pool an operator wants to see the oldest.
const NAMED: usize = 3;

impl fmt::Display for OpenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, age, .. } = self;
        write!(f, "`{name}`")?;
        if let Some(location) = self.location {
            write!(f, " ({location})")?;
        }
        write!(f, " for {age:.1?}: {}", self.state)?;
        if self.state != ScopeState::Waiting {
            let s = if self.statements == 1 { "" } else { "s" };
            write!(f, ", {} statement{s}", self.statements)?;
        }
        if let Some(session) = self.session {
            write!(f, ", session {session}")?;
        }
        match self.waits_for {
            Some(what) => self.write_waits(f, what),
            None => Ok(()),
        }
    }
}

impl OpenScope {
    /// Writes what the scope waits for, and who holds it.
    fn write_waits(&self, f: &mut fmt::Formatter<'_>, what: WaitsFor) -> fmt::Result {
        let what = match what {
            WaitsFor::Session if self.session.is_some() => "a second session",
            WaitsFor::Session => "a session",
            WaitsFor::Connection => "the server to open a session",
            WaitsFor::Poll => "its own caller to poll its future",
            WaitsFor::Turn => "the turn to write",
            WaitsFor::Lock => "a lock",
        };
        let waits = match self.state {
            ScopeState::Waiting => "",
            _ => ", waits",
        };
        write!(f, "{waits} for {what}")?;
        for (n, holder) in self.waits_on.iter().take(NAMED).enumerate() {
            let before = if n == 0 { " held by" } else { "," };
            write!(f, "{before} {holder}")?;
        }
        match self.waits_on.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = self.name else {
            return match self.session {
                Some(session) => write!(f, "session {session}, which is not of this handle"),
                None => f.write_str("somebody unknown"),
            };
        };
        write!(f, "`{name}`")?;
        match (self.location, self.session) {
            (None, None) => Ok(()),
            (Some(location), None) => write!(f, " ({location})"),
            (None, Some(session)) => write!(f, " (session {session})"),
            (Some(location), Some(session)) => write!(f, " ({location}, session {session})"),
        }
    }
}

impl fmt::Display for ScopeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Beginning => "beginning",
            Self::Idle => "between statements",
            Self::Running => "running a statement",
            Self::Committing => "committing",
            Self::RollingBack => "rolling back",
            Self::Hooks => "running its hooks",
            Self::Settling => "settling",
        })
    }
}

impl Holder {
    /// A scope of this handle.
    pub(crate) fn of(scope: &OpenScope) -> Self {
        Self {
            name: Some(scope.name),
            location: scope.location,
            session: scope.session,
        }
    }

    /// A session that is not one of this handle.
    pub(crate) fn stranger(session: u64) -> Self {
        Self {
            name: None,
            location: None,
            session: Some(session),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::location::Location;

    fn scope(state: ScopeState, session: Option<u64>) -> OpenScope {
        OpenScope {
            name: "bank::transfer",
            location: Some(Location::new("src/bank.rs", 42)),
            age: Duration::from_millis(31_234),
            state,
            session,
            statements: 1,
            waits_for: None,
            waits_on: Vec::new(),
        }
    }

    fn holder(name: Option<&'static str>, session: u64) -> Holder {
        Holder {
            name,
            location: name.map(|_| Location::new("src/report.rs", 10)),
            session: Some(session),
        }
    }

    #[test]
    fn a_scope_is_one_line() {
        let mut running = scope(ScopeState::Running, Some(4711));
        assert_eq!(
            running.to_string(),
            "`bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 1 statement, \
             session 4711"
        );
        running.statements = 3;
        running.waits_for = Some(WaitsFor::Lock);
        running.waits_on = vec![holder(Some("bank::report"), 4712), holder(None, 9)];
        assert_eq!(
            running.to_string(),
            "`bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 3 statements, \
             session 4711, waits for a lock held by `bank::report` (src/report.rs:10, \
             session 4712), session 9, which is not of this handle"
        );
    }

    #[test]
    fn of_many_holders_the_oldest_are_named() {
        let mut waiting = scope(ScopeState::Waiting, None);
        waiting.waits_for = Some(WaitsFor::Session);
        waiting.waits_on = (1..=5).map(|n| holder(Some("f"), n)).collect();
        assert_eq!(
            waiting.to_string(),
            "`bank::transfer` (src/bank.rs:42) for 31.2s: waiting for a session held by \
             `f` (src/report.rs:10, session 1), `f` (src/report.rs:10, session 2), \
             `f` (src/report.rs:10, session 3) and 2 more"
        );
    }

    #[test]
    fn states_are_what_they_were_stored_as() {
        for state in ScopeState::ALL {
            assert_eq!(ScopeState::of(state as u8), state);
        }
    }
}
