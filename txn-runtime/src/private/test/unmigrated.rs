//! Takes the place of `migrated.rs` if the feature `migrate` is off: a test has no migrations.

use std::convert::Infallible;
use std::future::{Ready, ready};

use crate::engine::Engine;
use crate::model::error::Error;
use crate::pool::Db;

/// The migrations of a test.
pub type Migrations = Option<Infallible>;

/// An engine that tests can run on.
pub trait Migratable: Engine {}
impl<DB: Engine> Migratable for DB {}

/// Does nothing, since there can be no migrations.
pub(super) fn migrate<DB: Migratable>(
    _db: &Db<DB>,
    _url: &str,
    _migrations: Migrations,
) -> Ready<Result<(), Error>> {
    ready(Ok(()))
}
