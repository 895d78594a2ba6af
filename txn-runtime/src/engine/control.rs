//! How a session and a transaction are reached from outside of their connection: what the control
//! connection asks the server.

use sqlx::Database;

use super::Target;

/// The server's answer about a transaction whose COMMIT was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It was committed.
    Committed,
    /// It was not committed, and will not be.
    Aborted,
    /// It is still open: the server has not noticed that its client is gone.
    InProgress,
    /// The server does not know any more.
    Forgotten,
    /// The answer came from another server, or from the same one after a restart.
    Elsewhere,
}

/// The part of an [`Engine`](super::Engine) that is about the control connection.
pub trait Controlled: Database {
    /// Returns whether a cancel can tell this session from any other that has the same id by now.
    fn tells_apart(target: &Target) -> bool {
        target.server.is_some()
    }
    /// The request, for the control connection, that cancels on the server what each of these
    /// sessions is doing, if the server is the one that the session was opened on. It yields a row
    /// for each of them, in their order, and ends early with an error if a session
    /// [is gone](super::Codes::is_gone).
    ///
    /// An engine within this process has no such request, and is not asked for one.
    fn cancel(_targets: &[Target]) -> String {
        String::new()
    }
    /// Reads a row of [`cancel`](Self::cancel): which of the sessions it is about, counted from 0,
    /// and whether this is the server of that session.
    fn heard(_row: &Self::Row) -> Option<(i64, bool)> {
        None
    }
    /// The question which of these sessions, a list in SQL, wait for a lock, and who holds it.
    fn ask_who_blocks(_sessions: &str) -> Option<String> {
        None
    }
    /// Reads a row of the answer: the session that waits, and the session that holds the lock.
    fn blocked(_row: &Self::Row) -> Option<(u64, u64)> {
        None
    }
    /// The SQL that is sent along with BEGIN to get the id of the transaction.
    const IDENTIFY: Option<&'static str> = None;
    /// Reads the answer.
    fn transaction_id(_row: &Self::Row) -> Option<String> {
        None
    }
    /// The question what became of a transaction. It names the server, since the same id means
    /// another transaction on another server, or on the same one after a restart.
    fn ask_about(_transaction: &str, _server: &str) -> Option<String> {
        None
    }
    /// Reads the answer.
    fn verified(_row: &Self::Row) -> Verified {
        Verified::Forgotten
    }
}
