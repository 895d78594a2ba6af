//! The sentences that strangers may read.

use super::{Error, Kind};

// Each of them tells what the failure means to a client, and nothing of the inside.
const BUSY: &str = "too busy at the moment, please try again later";
const AWAY: &str = "not available at the moment, please try again later";
const LATE: &str = "this took too long and was given up";
const UNKNOWN: &str =
    "it is not known whether this has taken effect, please look before you try again";
const CONFLICT: &str = "somebody else was faster, please try again";
const INTERNAL: &str = "an internal error occurred";

impl Error {
    /// One sentence for a stranger, as in the answer to a web request: what the failure means to
    /// them, in words that are the same for everybody. It names no scope, no table and no place in
    /// the source, tells nothing of who holds what, and quotes nothing that the database said.
    ///
    /// The error's own text is for the log.
    ///
    /// # Examples
    ///
    /// ```
    /// # use txn_runtime::Error;
    /// fn answer(error: &sqlx::Error) -> &'static str {
    ///     // log `error`, then
    ///     match Error::of(error) {
    ///         Some(error) => error.public_message(),
    ///         None => "an internal error occurred",
    ///     }
    /// }
    /// let message = "too busy at the moment, please try again later";
    /// assert_eq!(answer(&sqlx::Error::PoolTimedOut), message);
    /// ```
    #[must_use]
    pub fn public_message(&self) -> &'static str {
        if self.is_commit_unknown() || self.is_partly_committed() {
            return UNKNOWN;
        }
        match self.0.kind {
            Kind::Overloaded(_) => BUSY,
            Kind::Closed | Kind::Unavailable(_) => AWAY,
            _ if self.is_acquire_timeout() => BUSY,
            _ if self.is_closed() || self.is_connection() => AWAY,
            _ if self.is_timeout() => LATE,
            _ if self.is_retryable() => CONFLICT,
            _ => INTERNAL,
        }
    }
}
