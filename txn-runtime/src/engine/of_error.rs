//! Where only the error is at hand, its own type tells which engine it is from.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

use crate::error::Class;

pub(crate) fn class(error: &dyn DatabaseError) -> Class {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref() {
        return super::postgres::class(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return super::mysql::class(error);
    }
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return super::sqlite::class(error);
    }
    let _ = error;
    Class::Other
}

pub(crate) fn code(error: &dyn DatabaseError) -> Option<String> {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return Some(super::mysql::code(error));
    }
    error.code().map(Cow::into_owned)
}
