//! What the errors of an engine mean for its transactions and connections.

use sqlx::Database;
use sqlx::error::DatabaseError;

use crate::model::error::Class;
use crate::model::transaction::Effect;

/// The reason for which there was no healthy transaction to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A statement had failed before, and the engine has rolled everything back.
    Aborted,
    /// The transaction had ended before, and it is not known how.
    Ended,
}

/// The part of an [`Engine`](super::Engine) that is about the meaning of errors.
pub trait Codes: Database {
    /// The codes of the errors for statements that took longer than their limit on the server.
    const TOO_LONG: &'static [&'static str] = &[];
    /// Returns whether the server refuses this greeting for good, so that one which asks for less
    /// may do.
    fn refuses_greeting(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Returns whether a cancel failed because there is no such session any more.
    fn is_gone(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Returns whether the server refused the connection for a reason that may pass by itself soon.
    fn may_connect_soon(_error: &dyn DatabaseError) -> bool {
        false
    }
    /// Returns whether a statement was refused because the session, or its server, is read-only.
    fn only_reads(error: &dyn DatabaseError) -> bool;
    /// Returns what a failed statement did to its transaction.
    fn effect(error: &dyn DatabaseError) -> Effect;
    /// Returns why COMMIT was refused, if that was because there was no healthy transaction to
    /// commit.
    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal>;
    /// Returns whether the session is outside of the transaction for certain after this failed
    /// COMMIT.
    fn ended_by_failed_commit(error: &dyn DatabaseError) -> bool;
    /// Returns whether this answer to COMMIT says that the server does not know what became of it.
    fn leaves_commit_open(error: &dyn DatabaseError) -> bool {
        // statement_completion_unknown, transaction_resolution_unknown
        matches!(error.code().as_deref(), Some("40003" | "08007"))
    }
    /// Returns whether the connection is of no more use after this error: it was lost, or the
    /// driver has lost its place in the protocol.
    fn is_out_of_step(error: &sqlx::Error) -> bool {
        Class::of(error).is_loss()
    }
    /// Returns whether ROLLBACK failed only because there was nothing to roll back.
    fn nothing_to_roll_back(_error: &dyn DatabaseError) -> bool {
        false
    }
}
