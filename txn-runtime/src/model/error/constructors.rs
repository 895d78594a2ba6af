//! How an error is made: by the constructor that is named after what happened.

use std::borrow::Cow;
use std::fmt;

use super::{AcquireTimeout, BoxError, Cause, Error, Kind, Repr, Source, Starved};
use crate::model::deadline::Overrun;
use crate::model::retry::Tried;

impl Error {
    /// An error that was met in the first attempt.
    pub(super) fn new(kind: Kind, scope: Option<&'static str>, source: Source) -> Self {
        Self(Box::new(Repr {
            kind,
            tried: None,
            scope,
            source,
        }))
    }

    /// A session could not be opened.
    pub(crate) fn connect(source: sqlx::Error) -> Self {
        Self::new(Kind::Connect, None, Source::Sqlx(source))
    }

    /// BEGIN failed.
    pub(crate) fn begin(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Begin, Some(scope), Source::Sqlx(source))
    }

    /// SAVEPOINT failed.
    pub(crate) fn savepoint(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Savepoint, Some(scope), Source::Sqlx(source))
    }

    /// COMMIT failed, and the server is known to have rolled back.
    pub(crate) fn commit(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Commit, Some(scope), Source::Sqlx(source))
    }

    /// The connection was lost during COMMIT, and the server cannot say what became of it.
    pub(crate) fn commit_unknown(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::CommitUnknown, Some(scope), Source::Sqlx(source))
    }

    /// A hook that runs before the COMMIT failed.
    pub(crate) fn before_commit(scope: &'static str, source: BoxError) -> Self {
        Self::new(Kind::BeforeCommit, Some(scope), Source::Boxed(source))
    }

    /// The server refused the COMMIT because the transaction had failed or ended before.
    pub(crate) fn commit_refused(scope: &'static str, source: sqlx::Error) -> Self {
        let what = "the commit was refused by the server, nothing was written";
        Self::new(Kind::Aborted { what }, Some(scope), Source::Sqlx(source))
    }

    /// `by` ran in the transaction and has ended it. `cause` is the reason for which the
    /// transaction was to be rolled back, if it was.
    pub(crate) fn ended(
        scope: &'static str,
        by: &impl fmt::Display,
        cause: Option<&Cause>,
    ) -> Self {
        let kind = Kind::Ended {
            by: Some(by.to_string()),
            undone: cause.is_some(),
        };
        let source = cause.cloned().map_or(Source::None, Source::Cause);
        Self::new(kind, Some(scope), source)
    }

    /// The server says that there is no such transaction any more.
    pub(crate) fn ended_unseen(scope: &'static str, source: sqlx::Error) -> Self {
        let kind = Kind::Ended {
            by: None,
            undone: false,
        };
        Self::new(kind, Some(scope), Source::Sqlx(source))
    }

    /// The transaction had failed before, because of `cause`; `what` says what was refused.
    pub(crate) fn aborted(scope: &'static str, what: &'static str, cause: Cause) -> Self {
        Self::new(Kind::Aborted { what }, Some(scope), Source::Cause(cause))
    }

    /// The scope `by` inside of this one made the transaction roll back.
    pub(crate) fn rollback_only(
        scope: &'static str,
        by: &'static str,
        asked: bool,
        cause: Cause,
    ) -> Self {
        let kind = Kind::RollbackOnly { by, asked };
        Self::new(kind, Some(scope), Source::Cause(cause))
    }

    /// No session became free in time.
    pub(crate) fn acquire_timeout(wait: AcquireTimeout) -> Self {
        Self::new(Kind::AcquireTimeout(wait), None, Source::None)
    }

    /// Every holder of a session waits for another one, and so would this scope.
    pub(crate) fn starved(scope: &'static str, starved: Starved) -> Self {
        Self::new(Kind::Starved(starved), Some(scope), Source::None)
    }

    /// The scope's time was over before its COMMIT was sent.
    pub(crate) fn timeout(scope: &'static str, overrun: Overrun) -> Self {
        Self::new(Kind::Timeout(overrun), Some(scope), Source::None)
    }

    /// The server has cancelled a statement because the scope's time was over.
    pub(crate) fn timeout_on_the_server(
        scope: &'static str,
        overrun: Overrun,
        cause: Cause,
    ) -> Self {
        Self::new(Kind::Timeout(overrun), Some(scope), Source::Cause(cause))
    }

    /// The scope's time was over while its COMMIT was in flight.
    pub(crate) fn commit_late(scope: &'static str, overrun: Overrun) -> Self {
        Self::new(Kind::CommitLate(overrun), Some(scope), Source::None)
    }

    /// The handle was closed.
    pub(crate) fn closed() -> Self {
        Self::new(Kind::Closed, None, Source::None)
    }

    /// The runtime refuses something; `why` stands in the text.
    pub(crate) fn refused(scope: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Refused(why.into()), Some(scope), Source::None)
    }

    /// Adds the name of the scope that could not be opened, if there is none yet.
    pub(crate) fn in_scope(mut self, scope: &'static str) -> Self {
        self.0.scope.get_or_insert(scope);
        self
    }

    /// Adds how often the scope was tried before this failure became final.
    pub(crate) fn after(mut self, tried: Option<Tried>) -> Self {
        self.0.tried = tried.or(self.0.tried);
        self
    }
}
