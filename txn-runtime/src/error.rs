//! The one error type: opaque, with predicates.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};

use crate::engine;

/// What went wrong with a transaction, as opposed to what its body returned.
///
/// Opaque: ask its predicates. It converts from and to [`sqlx::Error`] without loss, so that `sqlx::Error` can
/// be the error type of an annotated function.
pub struct Error(Box<Repr>);

struct Repr {
    kind: Kind,
    scope: Option<&'static str>,
    source: Source,
}

enum Source {
    None,
    Sqlx(sqlx::Error),
    Cause(Cause),
}

enum Kind {
    Statement,
    Connect,
    Begin,
    Savepoint,
    Commit,
    CommitUnknown,
    Aborted { what: &'static str },
    RollbackOnly { by: Option<&'static str> },
    AcquireTimeout(Exhausted),
    Closed,
    Refused(Cow<'static, str>),
}

/// The figures of a pool that had no session to give.
#[derive(Debug)]
pub(crate) struct Exhausted {
    pub(crate) limit: Duration,
    pub(crate) waited: Duration,
    pub(crate) max: usize,
    pub(crate) in_use: usize,
    pub(crate) settling: usize,
    pub(crate) waiting: usize,
}

/// What an error means for those who decide what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Other,
    Serialization,
    Deadlock,
    /// A lock that was not to be had in time; nothing is wrong with the transaction.
    Busy,
    Connection,
}

impl Class {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<Carried>() {
                Some(carried) => carried.0.class(),
                None => engine::class(&**error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Connection,
            _ => Self::Other,
        }
    }
}

/// The first failure of a transaction, kept so that every later refusal can name it.
#[derive(Clone)]
pub(crate) struct Cause(Arc<CauseRepr>);

struct CauseRepr {
    message: String,
    class: Class,
    code: Option<String>,
}

impl Cause {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with_class(message.into(), Class::Other, None)
    }

    pub(crate) fn of(error: &sqlx::Error) -> Self {
        Self::with_class(error.to_string(), Class::of(error), code(error))
    }

    fn with_class(message: String, class: Class, code: Option<String>) -> Self {
        Self(Arc::new(CauseRepr {
            message,
            class,
            code,
        }))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.message, f)
    }
}

impl StdError for Cause {}

fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    match error.try_downcast_ref::<Carried>() {
        Some(carried) => carried.0.code().map(Cow::into_owned),
        None => engine::code(error),
    }
}

// ---- how the runtime makes them ---------------------------------------------------------------------------

impl Error {
    fn new(kind: Kind, scope: Option<&'static str>, source: Source) -> Self {
        Self(Box::new(Repr {
            kind,
            scope,
            source,
        }))
    }

    pub(crate) fn connect(source: sqlx::Error) -> Self {
        Self::new(Kind::Connect, None, Source::Sqlx(source))
    }

    pub(crate) fn begin(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Begin, Some(scope), Source::Sqlx(source))
    }

    pub(crate) fn savepoint(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Savepoint, Some(scope), Source::Sqlx(source))
    }

    pub(crate) fn commit(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::Commit, Some(scope), Source::Sqlx(source))
    }

    pub(crate) fn commit_unknown(scope: &'static str, source: sqlx::Error) -> Self {
        Self::new(Kind::CommitUnknown, Some(scope), Source::Sqlx(source))
    }

    /// The server refused the COMMIT because the transaction had failed or ended before.
    pub(crate) fn commit_refused(scope: &'static str, source: sqlx::Error) -> Self {
        let what = "the commit was refused by the server, nothing was written";
        Self::new(Kind::Aborted { what }, Some(scope), Source::Sqlx(source))
    }

    pub(crate) fn aborted(scope: &'static str, what: &'static str, cause: Cause) -> Self {
        Self::new(Kind::Aborted { what }, Some(scope), Source::Cause(cause))
    }

    pub(crate) fn rollback_only(
        scope: &'static str,
        by: Option<&'static str>,
        cause: Cause,
    ) -> Self {
        Self::new(Kind::RollbackOnly { by }, Some(scope), Source::Cause(cause))
    }

    pub(crate) fn acquire_timeout(figures: Exhausted) -> Self {
        Self::new(Kind::AcquireTimeout(figures), None, Source::None)
    }

    pub(crate) fn closed() -> Self {
        Self::new(Kind::Closed, None, Source::None)
    }

    pub(crate) fn refused(scope: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Refused(why.into()), Some(scope), Source::None)
    }

    /// Names the scope that could not be opened.
    pub(crate) fn in_scope(mut self, scope: &'static str) -> Self {
        self.0.scope.get_or_insert(scope);
        self
    }

    pub(crate) fn class(&self) -> Class {
        match &self.0.source {
            Source::None => Class::Other,
            Source::Sqlx(error) => Class::of(error),
            Source::Cause(cause) => cause.0.class,
        }
    }
}

// ---- what users ask them ----------------------------------------------------------------------------------

impl Error {
    /// No session became free within the `acquire_timeout` of the [`Db`](crate::Db).
    #[must_use]
    pub fn is_acquire_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::AcquireTimeout(_))
    }

    /// A time limit ended the work. At present the only limit is that for acquiring a session.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.is_acquire_timeout()
    }

    /// The transaction was rolled back because a scope inside it had failed, or had asked for it.
    #[must_use]
    pub fn is_rollback_only(&self) -> bool {
        matches!(self.0.kind, Kind::RollbackOnly { .. })
    }

    /// Refused because an earlier statement of the transaction had failed, or because the server had ended the
    /// transaction by itself. Nothing was written.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        matches!(self.0.kind, Kind::Aborted { .. })
    }

    /// The engine could not order this transaction among the concurrent ones; running it again may succeed.
    #[must_use]
    pub fn is_serialization_failure(&self) -> bool {
        self.class() == Class::Serialization
    }

    /// The engine chose this transaction to break a deadlock; running it again may succeed.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.class() == Class::Deadlock
    }

    /// Running the whole transaction again may succeed, and cannot apply it twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.class() {
            Class::Serialization | Class::Deadlock | Class::Busy => true,
            Class::Connection => !self.is_commit_unknown(),
            Class::Other => false,
        }
    }

    /// The connection was lost while COMMIT was on its way: the transaction may or may not be committed.
    #[must_use]
    pub fn is_commit_unknown(&self) -> bool {
        matches!(self.0.kind, Kind::CommitUnknown)
    }

    /// The connection to the server could not be made, or was lost.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        self.class() == Class::Connection
    }

    /// The [`Db`](crate::Db) was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed)
    }

    /// The engine's own code: SQLSTATE on PostgreSQL, the error number on MySQL/MariaDB, the extended result code
    /// on SQLite.
    #[must_use]
    pub fn code(&self) -> Option<Cow<'_, str>> {
        match &self.0.source {
            Source::None => None,
            Source::Sqlx(error) => code(error).map(Cow::Owned),
            Source::Cause(cause) => cause.0.code.as_deref().map(Cow::Borrowed),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Statement => return fmt::Display::fmt(&self.0.source, f),
            Kind::Connect => f.write_str("cannot open a session")?,
            Kind::Begin => f.write_str("cannot begin")?,
            Kind::Savepoint => f.write_str("cannot set a savepoint")?,
            Kind::Commit => f.write_str("cannot commit, nothing was written")?,
            Kind::CommitUnknown => {
                f.write_str("connection lost during commit: it may or may not have taken effect")?;
            }
            Kind::Aborted { what } => f.write_str(what)?,
            Kind::RollbackOnly { by: Some(by) } => {
                write!(f, "rolled back because `{by}` inside it failed")?;
            }
            Kind::RollbackOnly { by: None } => {
                f.write_str("rolled back because it was asked to")?
            }
            Kind::AcquireTimeout(figures) => fmt::Display::fmt(figures, f)?,
            Kind::Closed => {
                f.write_str("the database handle is closed: no new scope can be opened")?
            }
            Kind::Refused(why) => f.write_str(why)?,
        }
        if let Some(scope) = self.0.scope {
            write!(f, " (in `{scope}`)")?;
        }
        match &self.0.source {
            Source::None => Ok(()),
            source => write!(f, ": {source}"),
        }
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            waited,
            max,
            in_use,
            settling,
            waiting,
        } = self;
        write!(
            f,
            "no session became free within {limit:?} (waited {waited:?}): of {max} sessions {in_use} are in use and \
             {settling} are settling, {waiting} other callers wait; raise `max_sessions`, or hold sessions for less long"
        )
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Sqlx(error) => fmt::Display::fmt(error, f),
            Self::Cause(cause) => fmt::Display::fmt(cause, f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn::Error({self})")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Source::None => None,
            Source::Sqlx(error) => Some(error),
            Source::Cause(cause) => Some(cause),
        }
    }
}

// ---- through sqlx and back --------------------------------------------------------------------------------

/// An [`Error`] on its way through [`sqlx::Error`], which has no variant for strangers but this one.
#[derive(Debug)]
struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl Carried {
    /// The database's own error below, so that whoever matches on SQLSTATE or constraint still can.
    fn database(&self) -> Option<&dyn DatabaseError> {
        match &self.0.0.source {
            Source::Sqlx(error) => error.as_database_error(),
            _ => None,
        }
    }
}

impl DatabaseError for Carried {
    fn message(&self) -> &str {
        self.database()
            .map_or("the transaction failed", DatabaseError::message)
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.database().and_then(DatabaseError::code)
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn constraint(&self) -> Option<&str> {
        self.database().and_then(DatabaseError::constraint)
    }

    fn table(&self) -> Option<&str> {
        self.database().and_then(DatabaseError::table)
    }

    fn kind(&self) -> ErrorKind {
        self.database()
            .map_or(ErrorKind::Other, DatabaseError::kind)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast::<Carried>() {
                Ok(carried) => carried.0,
                Err(error) => Self::statement(sqlx::Error::Database(error)),
            },
            error => Self::statement(error),
        }
    }
}

impl Error {
    fn statement(error: sqlx::Error) -> Self {
        Self::new(Kind::Statement, None, Source::Sqlx(error))
    }
}

impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        match *error.0 {
            Repr {
                kind: Kind::Statement,
                source: Source::Sqlx(error),
                ..
            } => error,
            repr => Self::Database(Box::new(Carried(Error(Box::new(repr))))),
        }
    }
}
