//! What the errors of PostgreSQL mean.

use sqlx::error::DatabaseError;
use sqlx::postgres::Postgres;

use crate::engine::{Codes, Refusal};
use crate::model::error::Class;
use crate::model::error::class::postgres::is_copy;
use crate::model::transaction::Effect;

/// SQLSTATEs: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const IN_FAILED_TRANSACTION: &str = "25P02";
/// `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";
/// `no_active_sql_transaction`.
pub(super) const NO_ACTIVE_TRANSACTION: &str = "25P01";

impl Codes for Postgres {
    /// `query_canceled`.
    const TOO_LONG: &'static [&'static str] = &["57014"];

    /// A refusal is for good if it is about a value, a right or a feature.
    fn refuses_greeting(error: &dyn DatabaseError) -> bool {
        // An impossible value, a missing right, or a feature that the server does not have.
        let refused = |code: &str| {
            ["22", "42", "0A"]
                .iter()
                .any(|class| code.starts_with(class))
        };
        error.code().is_some_and(|code| refused(&code))
    }

    fn may_connect_soon(error: &dyn DatabaseError) -> bool {
        // too_many_connections, cannot_connect_now: it is starting up
        matches!(error.code().as_deref(), Some("53300" | "57P03"))
    }

    fn only_reads(error: &dyn DatabaseError) -> bool {
        error.code().as_deref() == Some(READ_ONLY)
    }

    fn effect(_error: &dyn DatabaseError) -> Effect {
        Effect::Failed
    }

    fn refused_commit(error: &dyn DatabaseError) -> Option<Refusal> {
        match error.code().as_deref() {
            Some(IN_FAILED_TRANSACTION) => Some(Refusal::Aborted),
            Some(NO_ACTIVE_TRANSACTION) => Some(Refusal::Ended),
            _ => None,
        }
    }

    fn ended_by_failed_commit(error: &dyn DatabaseError) -> bool {
        // Constraints and conflicts fail the COMMIT itself. Anything else, a cancel among them, may
        // have hit the SAVEPOINT before it, and then the transaction is aborted and still open.
        let code = error.code();
        let is_of_commit = |code: &str| code.starts_with("23") || code.starts_with("40");
        code.is_some_and(|code| code == NO_ACTIVE_TRANSACTION || is_of_commit(&code))
    }

    fn is_out_of_step(error: &sqlx::Error) -> bool {
        match error {
            sqlx::Error::Protocol(text) if is_copy(text) => true,
            error => Class::of(error).is_loss(),
        }
    }
}
