//! What the return value of a scope means for its transaction: commit or roll back.

use crate::model::error::{Cause, Error};
use crate::model::labels::{RollbackCause, ScopeOutcome};

/// The decision about the transaction of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Make the writes of the scope permanent.
    Commit,
    /// Undo them.
    Rollback,
}

/// A return type that decides over its transaction, and that can carry the failure of the
/// transaction itself.
///
/// Implemented for every `Result<T, E>` whose `E` can be made from [`Error`]: `Ok` commits, `Err`
/// rolls back. Implement it for types of your own that are neither:
///
/// ```
/// use txn_runtime::{Error, Outcome, Verdict};
///
/// struct Response { status: u16, body: String }
///
/// impl Outcome for Response {
///     fn verdict(&self) -> Verdict {
///         if self.status < 400 { Verdict::Commit } else { Verdict::Rollback }
///     }
///     fn from_error(error: Error) -> Self {
///         let status = if error.is_acquire_timeout() { 503 } else { 500 };
///         eprintln!("{error}"); // for your log; the client gets what tells nothing of the inside
///         Response { status, body: error.public_message().to_owned() }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the outcome of a transaction",
    label = "a transaction must be able to report that it failed through this type",
    note = "return a `Result` whose error type implements `From<txn::Error>`, as `sqlx::Error`, \
            `anyhow::Error` and `txn::Error` do",
    note = "to an error type of your own add `impl From<txn::Error> for …`, or with thiserror a \
            variant `#[error(\"the transaction failed\")] Txn(#[from] txn::Error)`",
    note = "the error's own text is for your log; what a client may read is its `public_message()`",
    note = "an error type of somebody else's, as of a web framework, needs a function instead: \
            `error = PATH`, where PATH is a `fn(txn::Error) -> E`",
    note = "a type that is no `Result` may implement `txn::Outcome`, or be judged by a function: \
            `outcome = PATH`, where PATH is a `fn(&T) -> txn::Verdict`"
)]
pub trait Outcome: Sized {
    /// Returns whether this value commits or rolls back.
    fn verdict(&self) -> Verdict;

    /// The value that is returned when the scope itself failed: it could not begin, or not commit.
    fn from_error(error: Error) -> Self;

    /// Returns what the caller gets when the scope has ended.
    #[doc(hidden)]
    #[inline(always)]
    fn __after(self, ended: Result<(), Error>) -> Self {
        match ended {
            Ok(()) => self,
            Err(error) => Self::from_error(error),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T, E: From<Error>> Outcome for Result<T, E> {
    fn verdict(&self) -> Verdict {
        match self {
            Ok(_) => Verdict::Commit,
            Err(_) => Verdict::Rollback,
        }
    }

    fn from_error(error: Error) -> Self {
        Err(error.into())
    }
}

/// How a scope ends, and why it is rolled back, if it is.
#[derive(Debug)]
pub struct Conclusion {
    /// The decision to commit or to roll back.
    pub(crate) verdict: Verdict,
    /// The text of the error that the body returned, if it returned one.
    pub(crate) reason: Option<String>,
    /// The scope is rolled back because its time was over.
    late: bool,
    /// The body's own error says that running the scope again may help.
    pub(crate) says_conflict: bool,
}

impl Conclusion {
    /// The conclusion of a body that has returned.
    #[inline(always)]
    pub(crate) fn new(verdict: Verdict, reason: Option<String>) -> Self {
        Self {
            verdict,
            reason,
            late: false,
            says_conflict: false,
        }
    }

    /// The conclusion of a body that was dropped because its time was over.
    pub(crate) fn timed_out(reason: String) -> Self {
        Self {
            late: true,
            ..Self::new(Verdict::Rollback, Some(reason))
        }
    }

    /// The outcome of a scope that has joined its caller's transaction, for metrics and spans.
    pub(crate) fn joined(&self) -> ScopeOutcome {
        match (self.verdict, self.late) {
            (Verdict::Commit, _) => ScopeOutcome::Joined,
            (Verdict::Rollback, false) => ScopeOutcome::RolledBack,
            (Verdict::Rollback, true) => ScopeOutcome::TimedOut,
        }
    }

    /// Returns why the scope is rolled back, for metrics.
    pub(crate) fn undone(&self) -> RollbackCause {
        match self.late {
            true => RollbackCause::TimedOut,
            false => RollbackCause::Outcome,
        }
    }

    /// Returns why the scope is rolled back, for errors and for hooks that run after a rollback.
    pub(crate) fn cause(self) -> Cause {
        let outcome = || "its outcome was a rollback".to_owned();
        Cause::new(self.reason.unwrap_or_else(outcome))
    }
}

impl Conclusion {
    /// Adds whether the body's own error says that running the scope again may help.
    #[must_use]
    pub fn said(mut self, says_conflict: bool) -> Self {
        self.says_conflict = says_conflict;
        self
    }
}

impl From<Verdict> for Conclusion {
    fn from(verdict: Verdict) -> Self {
        Self::new(verdict, None)
    }
}
