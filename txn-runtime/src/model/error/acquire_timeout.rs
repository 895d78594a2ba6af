//! Waits for a session that were in vain.

use std::fmt;
use std::time::Duration;

use super::text::{write_holders, write_stuck};
use crate::model::open_scope::OpenScope;

/// A caller waited for a session until its `acquire_timeout` was over.
#[derive(Debug)]
pub(crate) struct AcquireTimeout {
    pub(crate) limit: Duration,
    pub(crate) waited: Duration,
    pub(crate) waited_for: WaitedFor,
}

/// What it waited for.
#[derive(Debug)]
pub(crate) enum WaitedFor {
    /// The one session of a sandbox.
    Sandbox {
        holder: &'static str,
        /// It, and whoever else has a session of the pool.
        holders: Vec<OpenScope>,
    },
    /// Its turn to write, where one scope can at a time.
    Turn(PoolFigures),
    /// A session that the server did not open in time.
    Connection(PoolFigures),
    /// A session, while all were in use.
    Session {
        pool: PoolFigures,
        /// All of them were in the same hands for the whole wait.
        is_stuck: bool,
    },
}

/// How the pool stood when the wait was over.
#[derive(Debug)]
pub(crate) struct PoolFigures {
    pub(crate) max: usize,
    pub(crate) in_use: usize,
    pub(crate) settling: usize,
    pub(crate) waiting: usize,
    /// Who had what was waited for, the one who had had it for longest first.
    pub(crate) holders: Vec<OpenScope>,
}

/// Who would wait for whom for ever.
#[derive(Debug)]
pub(crate) struct Starved {
    pub(crate) max: usize,
    pub(crate) others: Vec<&'static str>,
}

impl AcquireTimeout {
    pub(crate) fn holders(&self) -> &[OpenScope] {
        match &self.waited_for {
            WaitedFor::Sandbox { holders, .. } => holders,
            WaitedFor::Turn(pool)
            | WaitedFor::Connection(pool)
            | WaitedFor::Session { pool, .. } => &pool.holders,
        }
    }
}

impl fmt::Display for AcquireTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, waited, .. } = self;
        write!(
            f,
            "no session within {limit:?} (waited {waited:?}), {}",
            self.waited_for
        )
    }
}

impl fmt::Display for WaitedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox { holder, .. } => write!(
                f,
                "a sandbox has one and `{holder}` holds it: pass its `tx` on, or end it first"
            ),
            Self::Turn(pool) => write!(
                f,
                "{pool}: another scope writes for that long, and this engine has one writer at a time; \
                 mark what only reads `read_only`, and write through the `tx` of the scope that you are in"
            ),
            Self::Connection(pool) => write!(f, "{pool}: the server took too long to open one"),
            Self::Session { pool, is_stuck } => {
                write!(f, "{pool}: ")?;
                match is_stuck {
                    true => write_stuck(f, false),
                    false => f.write_str("raise `max_sessions`, or hold sessions for less long"),
                }
            }
        }
    }
}

impl fmt::Display for PoolFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max,
            in_use,
            settling,
            waiting,
            holders,
        } = self;
        write!(
            f,
            "of {max} sessions {in_use} are in use and {settling} are settling, {waiting} other callers wait"
        )?;
        write_holders(f, holders)
    }
}

impl fmt::Display for Starved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "would wait for a second session for ever, all {max} are held by scopes that do: this one"
        )?;
        for other in &self.others {
            write!(f, ", `{other}`")?;
        }
        f.write_str("; raise `max_sessions`, set `reserve`, or make it `nested`")
    }
}
