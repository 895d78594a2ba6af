//! What a transaction begins and ends with.
//!
//! A scope in a sandbox must not commit, so what it begins and ends with is a savepoint in the one
//! transaction that the sandbox has. Everything else about it is as it is outside. Which of the two
//! applies is decided when a session is handed out:
//!
//! | | [`Transaction`](Bounds::Transaction) | [`Savepoint`](Bounds::Savepoint) |
//! |---|---|---|
//! | begins with | BEGIN and its options | nothing: the savepoint is set already |
//! | commits with | a COMMIT that proves itself | RELEASE of the savepoint, and the same SAVEPOINT |
//! | rolls back with | ROLLBACK | ROLLBACK TO the savepoint |
//! | after a COMMIT that failed | is over where the engine says so | goes on |
//! | what else was changed is restored | before the next user | when the sandbox ends |

use sqlx::error::DatabaseError;

use super::Db;
use crate::engine::Engine;
use crate::model::transaction::Access;

/// See the table at the head of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    Transaction,
    Savepoint,
}

impl Bounds {
    /// The bounds of what is begun on the sessions of this handle.
    pub(super) fn of<DB: Engine>(db: &Db<DB>) -> Self {
        match db.sandbox_session() {
            Some(_) => Self::Savepoint,
            None => Self::Transaction,
        }
    }

    pub(crate) fn are_a_savepoint(self) -> bool {
        self == Self::Savepoint
    }

    pub(super) fn commit<DB: Engine>(self, access: Access) -> &'static str {
        match self {
            Self::Transaction => DB::commit(access),
            Self::Savepoint => DB::sandbox_commit(access),
        }
    }

    pub(super) fn rollback<DB: Engine>(self, access: Access) -> &'static str {
        match self {
            Self::Transaction => DB::rollback(access),
            Self::Savepoint => DB::sandbox_rollback(access),
        }
    }

    /// What follows each SAVEPOINT and each ROLLBACK TO, so that the transaction can be told from a
    /// later one. In a sandbox, the savepoints of the sandbox are all that counts.
    pub(super) fn anchor<DB: Engine>(self) -> &'static str {
        match self {
            Self::Transaction => DB::ANCHOR,
            Self::Savepoint => "",
        }
    }

    /// Whether the session is outside of the transaction for certain after this failed COMMIT.
    pub(super) fn are_ended_by<DB: Engine>(self, error: &dyn DatabaseError) -> bool {
        self == Self::Transaction && DB::ended_by_failed_commit(error)
    }

    /// Whether this answer to a COMMIT says that nobody knows what became of it.
    pub(super) fn are_left_open_by<DB: Engine>(self, error: &dyn DatabaseError) -> bool {
        self == Self::Transaction && DB::leaves_commit_open(error)
    }

    /// Whether a ROLLBACK failed only because there was nothing to roll back.
    pub(super) fn are_gone_by<DB: Engine>(self, error: &dyn DatabaseError) -> bool {
        self == Self::Transaction && DB::nothing_to_roll_back(error)
    }

    /// Whether statements of a read-only scope have to be checked by their keywords, because the
    /// server cannot be told within a transaction.
    pub(crate) fn check_by_keyword<DB: Engine>(self) -> bool {
        self == Self::Savepoint && DB::SANDBOX_READ_ONLY.is_none()
    }
}
