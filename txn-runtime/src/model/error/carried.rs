//! The way of an [`Error`] through [`sqlx::Error`] and back.
//!
//! Code that was written for sqlx goes on to work. Each error becomes the variant that sqlx would
//! have given (see [`Form`]), with the driver's own error inside where there is one, so that match
//! arms match and downcasts find what they look for. Our error is in there as well, whole:
//! [`Error::of`] finds it by reference, and `Error::from` takes it out.
//!
//! Two variants have no room for anything: `PoolTimedOut` and `PoolClosed`. The match arms of
//! applications (a 503 where there was one before) count for more than the figures there. Only the
//! figures may get lost, and never what kind of error it is. They are kept by [`recall`] for a
//! conversion back in the same poll, and are logged.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind as Io};
use std::sync::LazyLock;

use sqlx::error::{DatabaseError, ErrorKind};

use super::{Error, Kind, Repr, Source, recall};

/// An [`Error`] on its way through [`sqlx::Error`].
#[derive(Debug)]
pub(super) struct Carried(Error);

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

/// Which variant of `sqlx::Error` an error becomes.
enum Form {
    /// The database has sent an error. The driver's error is always inside: without it, sqlx's
    /// `downcast_ref` would panic.
    Database,
    Io(Io),
    Tls,
    /// No session could be had.
    PoolTimedOut,
    /// The handle was closed.
    PoolClosed,
    /// A failure that sqlx does not know: a scope that was rolled back although its body returned
    /// `Ok`, or a statement that was not sent. This is the one variant that can hold our error and
    /// that nobody takes for a transient fault.
    Configuration,
}

impl Error {
    /// The variant that sqlx would have given.
    fn form(&self) -> Form {
        match (&self.0.kind, self.sqlx()) {
            (Kind::AcquireTimeout(_) | Kind::Starved(_) | Kind::Overloaded(_), _) => {
                Form::PoolTimedOut
            }
            (Kind::Closed, _) => Form::PoolClosed,
            (Kind::Timeout(_), _) => Form::Io(Io::TimedOut),
            (_, Some(sqlx::Error::Database(_))) => Form::Database,
            (_, Some(sqlx::Error::Io(error))) => Form::Io(error.kind()),
            (_, Some(sqlx::Error::Tls(_))) => Form::Tls,
            _ if self.is_connection() => Form::Io(Io::NotConnected),
            _ => Form::Configuration,
        }
    }

    /// The driver's error inside, also where a hook has returned it.
    fn sqlx(&self) -> Option<&sqlx::Error> {
        match &self.0.source {
            Source::Sqlx(error) => Some(error),
            Source::Boxed(error) => error.downcast_ref(),
            Source::None | Source::Cause(_) => None,
        }
    }

    /// The error of a statement, which is the driver's and nothing else.
    fn statement(error: sqlx::Error) -> Self {
        Self::new(Kind::Statement, None, Source::Sqlx(error))
    }

    /// Finds the error of a transaction inside of a `sqlx::Error`.
    ///
    /// `None` for the driver's own error of a statement; [`Error::from`] takes that too.
    /// `PoolTimedOut` and `PoolClosed` carry nothing: for these, the result is an error without a
    /// scope and without figures, for which [`is_acquire_timeout`](Self::is_acquire_timeout) or
    /// [`is_closed`](Self::is_closed) holds.
    ///
    /// # Examples
    ///
    /// ```
    /// fn status(error: &sqlx::Error) -> u16 {
    ///     match txn_runtime::Error::of(error) {
    ///         Some(error) if error.is_acquire_timeout() || error.is_closed() => 503,
    ///         Some(error) if error.is_timeout() => 504,
    ///         _ => 500,
    ///     }
    /// }
    /// assert_eq!(status(&sqlx::Error::PoolTimedOut), 503);
    /// assert_eq!(status(&sqlx::Error::RowNotFound), 500);
    /// ```
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<&Self> {
        static TIMED_OUT: LazyLock<Error> =
            LazyLock::new(|| Error::statement(sqlx::Error::PoolTimedOut));
        static CLOSED: LazyLock<Error> =
            LazyLock::new(|| Error::statement(sqlx::Error::PoolClosed));
        match error {
            sqlx::Error::PoolTimedOut => Some(&*TIMED_OUT),
            sqlx::Error::PoolClosed => Some(&*CLOSED),
            error => Self::carried_by(error),
        }
    }

    /// Finds our error inside of a variant that can hold one.
    pub(super) fn carried_by(error: &sqlx::Error) -> Option<&Self> {
        let carried: Option<&Carried> = match error {
            sqlx::Error::Database(error) => as_std(&**error).downcast_ref(),
            sqlx::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error.downcast_ref(),
            _ => None,
        };
        carried.map(|carried| &carried.0)
    }
}

/// The error itself as a `std` error. `DatabaseError::as_error` would return what is inside of it.
fn as_std(error: &dyn DatabaseError) -> &(dyn StdError + 'static) {
    error
}

/// Becomes the variant that sqlx would have given: `PoolTimedOut` if no session could be had,
/// `PoolClosed`, `Io` if the connection failed or the scope's time was over before its COMMIT,
/// `Database` with the driver's own error inside, and `Configuration` for what sqlx does not know.
///
/// The way back gives the same error again. `PoolTimedOut` and `PoolClosed` cannot carry the
/// scope's name and the figures (nor that it was [overloaded](Error::is_overloaded)): these are
/// there again only if it is converted back at once in the same task, as `?` does.
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        let error = match *error.0 {
            Repr {
                kind: Kind::Statement,
                tried: None,
                source: Source::Sqlx(error),
                ..
            } => return error,
            repr => Error(Box::new(repr)),
        };
        match error.form() {
            Form::Database => Self::Database(Box::new(Carried(error))),
            Form::Io(kind) => Self::Io(io::Error::new(kind, Carried(error))),
            Form::Tls => Self::Tls(Box::new(Carried(error))),
            Form::Configuration => Self::Configuration(Box::new(Carried(error))),
            Form::PoolTimedOut => {
                recall::remember(error);
                Self::PoolTimedOut
            }
            Form::PoolClosed => {
                recall::remember(error);
                Self::PoolClosed
            }
        }
    }
}

/// Takes out the error that [`Error::of`] finds; any other error is that of a statement.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed = error {
            return recall::recall(&error).unwrap_or_else(|| Self::statement(error));
        }
        match Self::carried_by(&error) {
            Some(_) => take_out(error),
            None => Self::statement(error),
        }
    }
}

/// Takes out the error that [`Error::carried_by`] has found.
fn take_out(error: sqlx::Error) -> Error {
    let boxed: Box<dyn StdError> = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error,
        sqlx::Error::Io(error) => match error.into_inner() {
            Some(inner) => inner,
            None => unreachable!("it was found in there"),
        },
        error => return Error::statement(error),
    };
    match boxed.downcast::<Carried>() {
        Ok(carried) => carried.0,
        Err(_) => unreachable!("it was found in there"),
    }
}

// ---- what code that was written for sqlx sees -----------------------------------------------

impl Error {
    /// The error that the database has sent.
    fn driver(&self) -> Option<&dyn DatabaseError> {
        self.sqlx()?.as_database_error()
    }

    /// The same, for `as_error_mut`.
    fn driver_mut(&mut self) -> Option<&mut dyn DatabaseError> {
        let error = match &mut self.0.source {
            Source::Sqlx(error) => error,
            Source::Boxed(error) => error.downcast_mut()?,
            Source::None | Source::Cause(_) => return None,
        };
        match error {
            sqlx::Error::Database(error) => Some(&mut **error),
            _ => None,
        }
    }

    /// The same, for `into_error`.
    fn into_driver(self) -> Option<Box<dyn DatabaseError>> {
        let error = match self.0.source {
            Source::Sqlx(error) => error,
            Source::Boxed(error) => *error.downcast().ok()?,
            Source::None | Source::Cause(_) => return None,
        };
        error.into_database_error()
    }
}

/// [`Error::form`] returns [`Form::Database`] only then.
const INSIDE: &str = "it is in a `Database` only with a driver's error inside";

impl DatabaseError for Carried {
    fn message(&self) -> &str {
        self.0.driver().map_or("", DatabaseError::message)
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.driver().and_then(DatabaseError::code)
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.0.driver().map_or(self, DatabaseError::as_error)
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self.0.driver_mut().expect(INSIDE).as_error_mut()
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self.0.into_driver().expect(INSIDE).into_error()
    }

    fn constraint(&self) -> Option<&str> {
        self.0.driver().and_then(DatabaseError::constraint)
    }

    fn table(&self) -> Option<&str> {
        self.0.driver().and_then(DatabaseError::table)
    }

    fn kind(&self) -> ErrorKind {
        self.0
            .driver()
            .map_or(ErrorKind::Other, DatabaseError::kind)
    }
}
