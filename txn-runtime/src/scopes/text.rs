//! One line that says it all.

use std::fmt;

use super::{Holder, OpenScope, ScopeState, WaitsFor};

/// So many holders are named; of a large pool an operator wants the oldest.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::location::Location;

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
            "`bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 1 statement, session 4711"
        );
        running.statements = 3;
        running.waits_for = Some(WaitsFor::Lock);
        running.waits_on = vec![holder(Some("bank::report"), 4712), holder(None, 9)];
        assert_eq!(
            running.to_string(),
            "`bank::transfer` (src/bank.rs:42) for 31.2s: running a statement, 3 statements, session 4711, waits for a lock held by \
             `bank::report` (src/report.rs:10, session 4712), session 9, which is not of this handle"
        );
    }

    #[test]
    fn of_many_holders_the_oldest_are_named() {
        let mut waiting = scope(ScopeState::Waiting, None);
        waiting.waits_for = Some(WaitsFor::Session);
        waiting.waits_on = (1..=5).map(|n| holder(Some("f"), n)).collect();
        assert_eq!(
            waiting.to_string(),
            "`bank::transfer` (src/bank.rs:42) for 31.2s: waiting for a session held by `f` (src/report.rs:10, session 1), \
             `f` (src/report.rs:10, session 2), `f` (src/report.rs:10, session 3) and 2 more"
        );
    }
}
