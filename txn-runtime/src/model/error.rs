//! The one error type of the runtime: opaque, with predicates.
//!
//! An error is made in `constructors`, by the one that is named after what happened. Its text is in
//! `cause`, its way through `sqlx::Error` in `carried`, and what it means for a retry in `class`.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::mem::discriminant;

mod acquire_timeout;
mod carried;
mod cause;
pub(crate) mod class;
mod constructors;
mod gate;
mod public;
mod recall;

pub(crate) use self::acquire_timeout::{AcquireTimeout, PoolFigures, Starved, WaitedFor};
pub use self::cause::Cause;
use self::cause::code;
pub(crate) use self::class::Class;
pub(crate) use self::gate::{Outage, Overload, Refused};
use crate::model::deadline::Overrun;
use crate::model::open_scope::OpenScope;
use crate::model::retry::Tried;

/// The failure of a transaction, as opposed to the error that its body returned.
///
/// It is opaque: ask its predicates. It converts into [`sqlx::Error`], as the variant that sqlx
/// would have given, and back, so that `sqlx::Error` can be the error type of an annotated
/// function; [`Error::of`] finds it in there.
///
/// Its text is for your log: it names scopes, places in the source, and who holds what. What a
/// stranger may read is [`public_message`](Self::public_message).
pub struct Error(Box<Repr>);

/// The parts of an error. They are boxed, so that a `Result` with an [`Error`] stays small.
struct Repr {
    /// The event.
    kind: Kind,
    /// How often the scope was run; `None` if it was run once.
    tried: Option<Tried>,
    /// The scope that failed, where it is known.
    scope: Option<&'static str>,
    /// The error below, which may say more.
    source: Source,
}

/// The error below.
enum Source {
    /// The event says everything.
    None,
    /// The driver's error of the exchange that failed.
    Sqlx(sqlx::Error),
    /// An earlier failure, which had been kept.
    Cause(Cause),
    /// An error of the user's own, from a hook.
    Boxed(BoxError),
}

/// The error of a hook.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The event that the error reports. It decides the text and the predicates.
enum Kind {
    /// A statement failed; the error is that of the driver and nothing else.
    Statement,
    /// A session could not be opened.
    Connect,
    /// BEGIN failed.
    Begin,
    /// SAVEPOINT failed.
    Savepoint,
    /// COMMIT failed, and nothing was written.
    Commit,
    /// The connection was lost during COMMIT.
    CommitUnknown,
    /// A hook that runs before the COMMIT failed.
    BeforeCommit,
    /// An earlier statement had failed, so that this could not be done.
    Aborted { what: &'static str },
    /// Something that ran in the transaction has ended it.
    Ended {
        /// The statement or the code that did, if it is known.
        by: Option<String>,
        /// The transaction was to be rolled back.
        undone: bool,
    },
    /// A scope inside of this one made the transaction roll back.
    RollbackOnly {
        by: &'static str,
        /// It asked for it, as opposed to having failed.
        asked: bool,
    },
    /// No session became free in time.
    AcquireTimeout(AcquireTimeout),
    /// No session would ever become free: all holders wait for another.
    Starved(Starved),
    /// The scope's own time limit was over, and nothing was written.
    Timeout(Overrun),
    /// The time limit was over while COMMIT was in flight.
    CommitLate(Overrun),
    /// The pool refused the caller early.
    Overloaded(Overload),
    /// The circuit breaker is open.
    Unavailable(Outage),
    /// The handle was closed.
    Closed,
    /// The runtime refused to do what would not have done what it says.
    Refused(Cow<'static, str>),
}

impl Error {
    /// Returns what the error means for a retry, by the error below it.
    pub(crate) fn class(&self) -> Class {
        match &self.0.source {
            Source::None => Class::Other,
            Source::Sqlx(error) if matches!(self.0.kind, Kind::Connect) => {
                Class::of_connecting(error)
            }
            Source::Sqlx(error) => Class::of(error),
            Source::Cause(cause) => cause.class(),
            Source::Boxed(error) => error.downcast_ref().map_or(Class::Other, Class::of),
        }
    }

    /// No session became free within the `acquire_timeout` of the [`Db`](crate::Db), or none ever
    /// would: all were held by scopes that wait for a second one (`requires_new`).
    #[must_use]
    pub fn is_acquire_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::AcquireTimeout(_) | Kind::Starved(_))
            || self.is_plainly(&sqlx::Error::PoolTimedOut)
    }

    /// Returns whether it was made from this variant of `sqlx::Error`, which carries nothing, and
    /// what it had been before is forgotten.
    fn is_plainly(&self, variant: &sqlx::Error) -> bool {
        let same = |error: &_| discriminant(error) == discriminant(variant);
        match (&self.0.kind, &self.0.source) {
            (Kind::Statement, Source::Sqlx(error)) => same(error),
            _ => false,
        }
    }

    /// The scopes that held what an acquire timeout, or a refusal under overload, is about: a
    /// session, or the turn to write on an engine with one writer. The one that has held it for
    /// longest comes first. Empty for other errors, for a caller that would have waited for itself,
    /// and for one whose `before_acquire` took too long.
    ///
    /// Callers for whom a session was being opened are among them, and callers who could have taken
    /// one and were not polled.
    #[must_use]
    pub fn holders(&self) -> &[OpenScope] {
        match &self.0.kind {
            Kind::AcquireTimeout(wait) => wait.holders(),
            Kind::Overloaded(figures) => &figures.holders,
            _ => &[],
        }
    }

    /// A time limit ended the work: the scope's own `timeout`, or that for acquiring a session.
    /// Nothing was written, unless the commit is [unknown](Self::is_commit_unknown) too: then the
    /// COMMIT was in flight when the time was over, and goes on in the background.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.is_acquire_timeout() || matches!(self.0.kind, Kind::Timeout(_) | Kind::CommitLate(_))
    }

    /// The transaction was rolled back because a scope inside it had failed, or had asked for it.
    #[must_use]
    pub fn is_rollback_only(&self) -> bool {
        matches!(self.0.kind, Kind::RollbackOnly { .. })
    }

    /// It was refused because an earlier statement of the transaction had failed, or because the
    /// transaction had ended before. Nothing was written, unless
    /// [`is_partly_committed`](Self::is_partly_committed) says that something may have been.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        matches!(self.0.kind, Kind::Aborted { .. } | Kind::Ended { .. })
    }

    /// The transaction was ended in its middle by something that ran in it: a procedure that
    /// commits, a COMMIT behind another statement, code that had the raw connection. A part of it
    /// may have been committed.
    ///
    /// If the scope was to be rolled back, this is the one failure that takes the place of its own
    /// error, whose text it quotes: a caller that gets an `Err` has to know that not everything was
    /// undone. It is never [retryable](Self::is_retryable).
    #[must_use]
    pub fn is_partly_committed(&self) -> bool {
        matches!(self.0.kind, Kind::Ended { .. })
    }

    /// The engine could not order this transaction among the concurrent ones; running it again may
    /// succeed.
    #[must_use]
    pub fn is_serialization_failure(&self) -> bool {
        self.class() == Class::Serialization
    }

    /// The engine chose this transaction to break a deadlock; running it again may succeed.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.class() == Class::Deadlock
    }

    /// Running the whole transaction again may succeed, and cannot apply it twice: there was a
    /// conflict, a lock that could not be had in time, a lost connection, or a statement that was
    /// prepared before the schema changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.class().may_pass() && !self.is_commit_unknown() && !self.is_partly_committed()
    }

    /// The connection was lost, or the scope's time was over, while COMMIT was in flight, or the
    /// server does not know what became of it: the transaction may or may not be committed.
    #[must_use]
    pub fn is_commit_unknown(&self) -> bool {
        matches!(self.0.kind, Kind::CommitUnknown | Kind::CommitLate(_))
    }

    /// The connection to the server could not be made, or was lost. An error that the server has
    /// sent over a connection that lives on does not count, whatever its code: a function that
    /// connects to another server raises errors of class 08 too.
    #[must_use]
    pub fn is_connection(&self) -> bool {
        self.class().is_loss()
    }

    /// The [`Db`](crate::Db) was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed) || self.is_plainly(&sqlx::Error::PoolClosed)
    }

    /// The engine's own code: SQLSTATE on PostgreSQL, the error number on MySQL/MariaDB, the
    /// extended result code on SQLite.
    #[must_use]
    pub fn code(&self) -> Option<Cow<'_, str>> {
        match &self.0.source {
            Source::None => None,
            Source::Sqlx(error) => code(error).map(Cow::Owned),
            Source::Cause(cause) => cause.code().map(Cow::Borrowed),
            Source::Boxed(error) => code(error.downcast_ref()?).map(Cow::Owned),
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
        match (&self.0.kind, &self.0.source) {
            // Transparent: the text of the driver's error is our whole text.
            (Kind::Statement, Source::Sqlx(error)) => error.source(),
            (_, Source::Sqlx(error)) => Some(error),
            // A cause is only a text, which stands in ours.
            (_, Source::None | Source::Cause(_)) => None,
            (_, Source::Boxed(error)) => Some(&**error),
        }
    }
}
