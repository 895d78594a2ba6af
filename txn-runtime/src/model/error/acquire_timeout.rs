//! The figures of a wait for a session that timed out, or that would never end, and their texts.

use std::fmt;
use std::time::Duration;

use super::cause::{write_holders, write_stuck};
use crate::model::open_scope::OpenScope;

/// A caller waited for a session until its `acquire_timeout` was over.
#[derive(Debug)]
pub(crate) struct AcquireTimeout {
    /// The limit that was over.
    pub(crate) limit: Duration,
    /// How long the caller has waited in fact.
    pub(crate) waited: Duration,
    /// The resource that did not become free.
    pub(crate) waited_for: WaitedFor,
}

/// The resource that the caller waited for.
#[derive(Debug)]
pub(crate) enum WaitedFor {
    /// The one session of a sandbox.
    Sandbox {
        /// The scope that has it.
        holder: &'static str,
        /// That scope, and all others that have a session of the pool.
        holders: Vec<OpenScope>,
    },
    /// The consent of the user's `before_acquire` to a session that was there.
    Callback,
    /// Its turn to write, on an engine with one writer.
    Turn(PoolFigures),
    /// A session that the server did not open in time.
    Connection(PoolFigures),
    /// A session, while all were in use.
    Session {
        pool: PoolFigures,
        /// No session was given back during the whole wait.
        is_stuck: bool,
    },
}

/// The state of the pool when the wait was over.
#[derive(Debug)]
pub(crate) struct PoolFigures {
    /// `max_sessions`.
    pub(crate) max: usize,
    /// Sessions that scopes and callers have.
    pub(crate) in_use: usize,
    /// Sessions that a cleanup has.
    pub(crate) settling: usize,
    /// Callers that wait, without this one.
    pub(crate) waiting: usize,
    /// The scopes that hold what was waited for, the one that has held it for longest first.
    pub(crate) holders: Vec<OpenScope>,
}

/// A scope that would wait for ever, because all holders of a session wait for a second one.
#[derive(Debug)]
pub(crate) struct Starved {
    /// `max_sessions`.
    pub(crate) max: usize,
    /// The names of the other scopes that wait for a second session.
    pub(crate) others: Vec<&'static str>,
}

impl AcquireTimeout {
    /// See [`Error::holders`](crate::Error::holders).
    pub(crate) fn holders(&self) -> &[OpenScope] {
        match &self.waited_for {
            WaitedFor::Sandbox { holders, .. } => holders,
            WaitedFor::Callback => &[],
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
            Self::Callback => f.write_str("`before_acquire` took too long about one"),
            Self::Turn(pool) => write!(
                f,
                "{pool}: another scope writes for that long, and this engine has one writer at a \
                 time; mark what only reads `read_only`, and write through the `tx` of the scope \
                 that you are in"
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
            "of {max} sessions {in_use} are in use and {settling} are settling, \
             {waiting} other callers wait"
        )?;
        write_holders(f, holders)
    }
}

impl fmt::Display for Starved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "would wait for a second session for ever, all {max} are held by scopes that do: \
             this one"
        )?;
        for other in &self.others {
            write!(f, ", `{other}`")?;
        }
        f.write_str("; raise `max_sessions`, set `reserve`, or make it `nested`")
    }
}
