//! The values of labels, each set of them complete.

use crate::model::error::{Class, Error};
use crate::model::transaction::Wire;

/// The value of a label, or of several at a time, one of a few that are known beforehand.
#[cfg(feature = "metrics")]
pub(crate) trait Labels: Copy {
    /// Something for each of the values.
    type Table<T>: AsRef<[T]>;

    /// Makes it for one after the other, in order.
    fn table<T>(make: impl FnMut() -> T) -> Self::Table<T>;

    /// Its place in a table.
    fn index(self) -> usize;

    /// Its text, for each of the labels.
    fn words(self) -> Vec<&'static str>;
}

/// The value of one label, of which all are listed.
#[cfg(feature = "metrics")]
pub(crate) trait Listed: Labels + 'static {
    const VALUES: &[Self];
}

/// Labels that have one value: there are none.
#[cfg(feature = "metrics")]
impl Labels for () {
    type Table<T> = [T; 1];

    fn table<T>(mut make: impl FnMut() -> T) -> [T; 1] {
        [make()]
    }

    fn index(self) -> usize {
        0
    }

    fn words(self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// A set of words: an enumeration whose variants have a text and a place in a table.
macro_rules! labels {
    ($(#[$about:meta])* $name:ident { $($(#[$one:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($(#[$one])* $variant,)+ }

        #[allow(dead_code, reason = "not every set is for spans, nor for tables")]
        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        #[cfg(feature = "metrics")]
        impl Labels for $name {
            type Table<T> = [T; Self::ALL.len()];

            fn table<T>(mut make: impl FnMut() -> T) -> Self::Table<T> {
                std::array::from_fn(|_| make())
            }

            fn index(self) -> usize {
                self as usize
            }

            fn words(self) -> Vec<&'static str> {
                vec![self.as_str()]
            }
        }

        #[cfg(feature = "metrics")]
        impl Listed for $name {
            const VALUES: &[Self] = Self::ALL;
        }
    };
}

labels! {
    /// What a scope is in its transaction.
    ScopeKind {
        Root = "root",
        Nested = "nested",
    }
}

labels! {
    /// Where a session is that is open.
    SessionState {
        Idle = "idle",
        /// It may be settling.
        Used = "used",
    }
}

labels! {
    /// Why a session was closed.
    CloseReason {
        /// It lay in the pool for too long.
        IdleTimeout = "idle_timeout",
        MaxLifetime = "max_lifetime",
        /// Its BEGIN, before which it may have been dead, left it beyond use.
        BeginFailed = "begin_failed",
        /// It lay in the pool, and was dead when it was asked.
        PingFailed = "ping_failed",
        /// The connection was lost in use.
        Broken = "broken",
        /// The driver does not survive an operation that is dropped in flight.
        DroppedOperation = "dropped_operation",
        /// A cleanup failed, or was not done in time.
        Unsettled = "unsettled",
        /// A migration failed on it, and may have left its lock.
        MigrationFailed = "migration_failed",
        /// It could not be brought back to how it was opened.
        Reset = "reset",
        /// A callback of the pool did not want it, or failed.
        Rejected = "rejected",
        /// It refused to write, though it was not asked to only read.
        ReadOnly = "read_only",
        /// With all the others.
        WithPool = "pool_closed",
    }
}

labels! {
    /// Why a caller was refused before its time was over.
    RejectionLabel {
        Overloaded = "overloaded",
        /// The server was out of reach.
        Unavailable = "unavailable",
    }
}

labels! {
    /// How a cleanup ended for its session.
    SettleOutcome {
        Clean = "clean",
        /// The driver does not survive what was dropped on it.
        DroppedOperation = "dropped_operation",
        /// There was nothing to settle on it any more.
        Broken = "broken",
        Failed = "failed",
        TimedOut = "timed_out",
    }
}

labels! {
    /// Why a transaction was rolled back.
    RollbackCause {
        /// Its outcome said so.
        Outcome = "outcome",
        /// `set_rollback_only`.
        Asked = "asked",
        /// A scope that had joined failed.
        Joined = "joined_scope",
        /// A statement had failed, and its outcome said nothing of it.
        Aborted = "aborted",
        /// `before_commit`.
        Hook = "hook",
        /// The engine refused the COMMIT.
        Commit = "commit",
        TimedOut = "timed_out",
        Dropped = "dropped",
        Panicked = "panicked",
        Serialization = "serialization",
        Deadlock = "deadlock",
        /// A lock that was not to be had in time.
        Busy = "busy",
        /// A statement that was prepared before the schema changed.
        Stale = "stale",
        Connection = "connection",
    }
}

impl RollbackCause {
    /// What the engine had said explains more than what the scope made of it.
    pub(crate) fn after(self, class: Class) -> Self {
        match (self, class) {
            (Self::Asked | Self::TimedOut, _) | (_, Class::Other) => self,
            (_, Class::Serialization) => Self::Serialization,
            (_, Class::Deadlock) => Self::Deadlock,
            (_, Class::Busy) => Self::Busy,
            (_, Class::Stale) => Self::Stale,
            (_, Class::Connection | Class::HungUp) => Self::Connection,
        }
    }
}

labels! {
    /// Which hook failed.
    HookKind {
        BeforeCommit = "before_commit",
        /// After the end of a transaction, commit or rollback.
        After = "after",
    }
}

labels! {
    /// How a scope ended, for its caller.
    ScopeOutcome {
        Committed = "committed",
        /// A nested scope: what it did goes the way of what is around it.
        Kept = "kept",
        Joined = "joined",
        RolledBack = "rolled_back",
        Failed = "failed",
        TimedOut = "timed_out",
        /// Nobody knows whether it was committed.
        Unknown = "unknown",
        Dropped = "dropped",
        Panicked = "panicked",
    }
}

impl ScopeOutcome {
    /// How a scope comes out that is rolled back.
    pub(crate) fn undone(result: &Result<(), Error>, why: RollbackCause) -> Self {
        match (why, result) {
            (RollbackCause::TimedOut, _) => Self::TimedOut,
            (_, Err(_)) => Self::Failed,
            (_, Ok(())) => Self::RolledBack,
        }
    }

    /// What makes a scope end that nobody has ended.
    pub(crate) fn unasked() -> Self {
        match std::thread::panicking() {
            true => Self::Panicked,
            false => Self::Dropped,
        }
    }
}

labels! {
    /// Where a scope was when it ended.
    ScopePhase {
        Waiting = "waiting",
        Beginning = "beginning",
        Body = "body",
        /// In the body, a statement in flight.
        Statement = "statement",
        Committing = "committing",
        RollingBack = "rolling_back",
        Hooks = "hooks",
        /// Between two attempts.
        Pausing = "pausing",
        /// It ran to its end.
        End = "end",
    }
}

impl ScopePhase {
    /// A body was waiting for the answer to a statement, or it was not.
    pub(crate) fn seen_with(self, wire: Wire) -> Self {
        match (self, wire) {
            (Self::Body, Wire::Busy) => Self::Statement,
            _ => self,
        }
    }
}
