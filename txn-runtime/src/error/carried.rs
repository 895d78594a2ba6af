//! Through [`sqlx::Error`] and back, without loss.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use sqlx::error::{DatabaseError, ErrorKind};

use super::{Error, Kind, Repr, Source};

/// An [`Error`] on its way through [`sqlx::Error`], which has no variant for strangers but this one.
#[derive(Debug)]
pub(super) struct Carried(pub(super) Error);

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
