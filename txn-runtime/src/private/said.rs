//! What the body's own error says: whether it is one after which to run the scope again.
//!
//! The type of the error is the user's. Autoref picks what looks into it best; none asks it to be `'static`.

use std::error::Error as StdError;

use sqlx::error::DatabaseError;

use crate::model::error::{Class, Error, class};

/// An outcome to be looked into.
#[derive(Debug)]
pub struct Said<'a, O>(pub &'a O);

/// An error of ours, or of sqlx.
pub trait SaidByOurs {
    /// Whether it says so.
    fn is_conflict(&self) -> bool;
}

impl<T> SaidByOurs for &&&Said<'_, Result<T, Error>> {
    fn is_conflict(&self) -> bool {
        self.0.as_ref().is_err_and(Error::is_retryable)
    }
}

impl<T> SaidByOurs for &&&Said<'_, Result<T, sqlx::Error>> {
    fn is_conflict(&self) -> bool {
        self.0.as_ref().is_err_and(of_sqlx)
    }
}

/// An error with others inside of it.
pub trait SaidByError {
    /// Whether one of them says so.
    fn is_conflict(&self) -> bool;
}

impl<T, E: StdError> SaidByError for &&Said<'_, Result<T, E>> {
    fn is_conflict(&self) -> bool {
        let inside = self.0.as_ref().err().and_then(StdError::source);
        inside.is_some_and(any)
    }
}

/// An error that holds any other, as that of `anyhow` does.
pub trait SaidByAny {
    /// Whether that one says so, or one inside of it.
    fn is_conflict(&self) -> bool;
}

impl<T, E: AsRef<dyn StdError + Send + Sync>> SaidByAny for &Said<'_, Result<T, E>> {
    fn is_conflict(&self) -> bool {
        self.0.as_ref().is_err_and(|error| any(error.as_ref()))
    }
}

/// Any other outcome.
pub trait SaidByNobody {
    /// It cannot be looked into.
    fn is_conflict(&self) -> bool {
        false
    }
}

impl<O> SaidByNobody for Said<'_, O> {}

fn any(outermost: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(outermost);
    while let Some(error) = next {
        let ours = error.downcast_ref().map(Error::is_retryable);
        let of_sqlx = || error.downcast_ref().map(of_sqlx);
        // An error that shows as no more than what is inside of it skips to here.
        let of_driver = || error.downcast_ref().map(of_driver);
        if ours.or_else(of_sqlx).or_else(of_driver).unwrap_or(false) {
            return true;
        }
        next = error.source();
    }
    false
}

fn of_sqlx(error: &sqlx::Error) -> bool {
    match Error::of(error) {
        Some(ours) => ours.is_retryable(),
        None => Class::of(error).may_pass(),
    }
}

#[expect(
    clippy::borrowed_box,
    reason = "what `sqlx::Error` has inside of it is the box"
)]
fn of_driver(error: &Box<dyn DatabaseError>) -> bool {
    class::class(&**error).may_pass()
}
