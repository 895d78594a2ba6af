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

pub(crate) fn class_of_connecting(error: &dyn DatabaseError) -> Class {
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref() {
        return super::sqlite::class_of_connecting(error);
    }
    class(error)
}

/// Whether what the driver calls an error of the protocol is one of the program that uses it: a bind that was forgotten.
pub(crate) fn is_of_the_program(text: &str) -> bool {
    #[cfg(feature = "postgres")]
    if super::postgres::is_of_the_program(text) {
        return true;
    }
    #[cfg(feature = "mysql")]
    if super::mysql::is_of_the_program(text) {
        return true;
    }
    #[cfg(feature = "sqlite")]
    if super::sqlite::is_of_the_program(text) {
        return true;
    }
    let _ = text;
    false
}

pub(crate) fn code(error: &dyn DatabaseError) -> Option<String> {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref() {
        return Some(super::mysql::code(error));
    }
    error.code().map(Cow::into_owned)
}
