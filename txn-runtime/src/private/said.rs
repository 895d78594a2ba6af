//! Finds out whether the body's own error is one after which the scope may be run again.
//!
//! The type of the error is the user's. Four traits look into it, from the most specific to the one
//! that knows nothing, and method lookup by autoref picks the first that applies. None of them
//! requires the error to be `'static`.

use std::error::Error as StdError;

use sqlx::error::DatabaseError;

use crate::model::error::{Class, Error, class};

/// An outcome whose error is to be looked into.
#[derive(Debug)]
pub struct Said<'a, O>(pub &'a O);

/// An outcome whose error is one of this crate, or of sqlx.
pub trait SaidByOurs {
    /// Returns whether the error is a conflict.
    fn is_conflict(&self) -> bool;
}

impl<T> SaidByOurs for &&&Said<'_, Result<T, Error>> {
    fn is_conflict(&self) -> bool {
        self.0.as_ref().is_err_and(Error::is_retryable)
    }
}

impl<T> SaidByOurs for &&&Said<'_, Result<T, sqlx::Error>> {
    fn is_conflict(&self) -> bool {
        self.0.as_ref().is_err_and(is_sqlx_conflict)
    }
}

/// An outcome whose error may have sources.
pub trait SaidByError {
    /// Returns whether one of the sources is a conflict.
    fn is_conflict(&self) -> bool;
}

impl<T, E: StdError> SaidByError for &&Said<'_, Result<T, E>> {
    fn is_conflict(&self) -> bool {
        let inside = self.0.as_ref().err().and_then(StdError::source);
        inside.is_some_and(has_conflict)
    }
}

/// An outcome whose error wraps any other, as that of `anyhow` does.
pub trait SaidByAny {
    /// Returns whether the wrapped error, or one of its sources, is a conflict.
    fn is_conflict(&self) -> bool;
}

impl<T, E: AsRef<dyn StdError + Send + Sync>> SaidByAny for &Said<'_, Result<T, E>> {
    fn is_conflict(&self) -> bool {
        self.0
            .as_ref()
            .is_err_and(|error| has_conflict(error.as_ref()))
    }
}

/// Any other outcome.
pub trait SaidByNobody {
    /// Returns false, because the outcome cannot be looked into.
    fn is_conflict(&self) -> bool {
        false
    }
}

impl<O> SaidByNobody for Said<'_, O> {}

/// Returns whether an error, or one of its sources, is a conflict.
fn has_conflict(outermost: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(outermost);
    while let Some(error) = next {
        let ours = error.downcast_ref().map(Error::is_retryable);
        let by_sqlx = || error.downcast_ref().map(is_sqlx_conflict);
        // A transparent error returns the source of what it wraps as its own source, so the
        // `sqlx::Error` may be skipped, and the driver's error comes next.
        let by_driver = || error.downcast_ref().map(is_driver_conflict);
        if ours.or_else(by_sqlx).or_else(by_driver).unwrap_or(false) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Returns whether an error of sqlx, or the error of ours inside of it, is a conflict.
fn is_sqlx_conflict(error: &sqlx::Error) -> bool {
    match Error::of(error) {
        Some(ours) => ours.is_retryable(),
        None => Class::of(error).may_pass(),
    }
}

/// Returns whether an error of the driver is a conflict.
#[expect(
    clippy::borrowed_box,
    reason = "what `sqlx::Error` has inside of it is the box"
)]
fn is_driver_conflict(error: &Box<dyn DatabaseError>) -> bool {
    class::class(&**error).may_pass()
}
