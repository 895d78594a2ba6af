//! What the storm goes through: txn, or sqlx alone.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::record::{Fee, Record};

pub(crate) trait Subject: Clone + Send + Sync + 'static {
    /// Does what the record orders.
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static;

    /// Cleanups under way.
    fn settling(&self) -> usize;

    /// Waits until no cleanup is pending; what is left then.
    fn come_to_rest(&self) -> impl Future<Output = Rest> + Send;

    /// Takes that many sessions at once; how many there were.
    fn take_all(&self, sessions: usize) -> impl Future<Output = usize> + Send;

    /// Whether it came to an end.
    fn close(self) -> impl Future<Output = bool> + Send;
}

/// A pool that nobody uses any more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    pub(crate) in_use: usize,
    pub(crate) settling: usize,
    /// Callers would be refused: nobody is there who waits, and the server is.
    pub(crate) refuses: bool,
}

/// Why a scope returned no `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The debtor does not hold that much.
    Overdraft,
    /// The answer to the COMMIT was lost.
    Unknown,
    Other(&'static str),
}

impl Failure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overdraft => "overdraft",
            Self::Unknown => "commit unknown",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Failure {}

impl From<txn::Error> for Failure {
    fn from(error: txn::Error) -> Self {
        if error.is_commit_unknown() {
            return Self::Unknown;
        }
        let names = [
            (error.is_rollback_only(), "rollback-only"),
            (error.is_aborted(), "aborted"),
            (error.is_acquire_timeout(), "no session in time"),
            (error.is_overloaded(), "overloaded"),
            (error.is_timeout(), "over its timeout"),
            (error.is_deadlock(), "deadlock"),
            (error.is_connection(), "connection"),
            (error.is_retryable(), "lock not had in time"),
        ];
        let name = names.iter().find(|(is, _)| *is);
        Self::Other(name.map_or("other", |(_, name)| name))
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        txn::Error::from(error).into()
    }
}
