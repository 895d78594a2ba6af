//! The reason that a scope did not return `Ok`.

use std::fmt;

/// The failures that matter to the accounts, and all others by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The debtor does not hold that much.
    Overdraft,
    /// The answer to the COMMIT was lost.
    Unknown,
    Other(&'static str),
}

impl Failure {
    pub const REFUSED: Self = Self::Other("refused");

    pub fn name(self) -> &'static str {
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
