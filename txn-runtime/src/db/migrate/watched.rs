//! The connection that migrations run on. It refuses a migration that would not do what it says.

use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::future::ready;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};

use crate::engine::{ConnectOptionsOf, Engine, Place, statement};
use crate::model::error::Error;

/// A connection that checks each migration before it runs, and passes everything else on.
pub(super) struct Watched<'a, DB: Engine> {
    /// The connection that everything is passed on to.
    pub(super) connection: &'a mut DB::Connection,
    /// The connect options, on which it depends what is refused.
    pub(super) options: &'a ConnectOptionsOf<DB>,
}

/// The future that the methods of `Migrate` return.
type Done<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

impl<DB: Engine<Connection: Migrate>> Watched<'_, DB> {
    /// Returns the error of a migration that changes a setting which a transaction ignores. A
    /// migration that runs outside of a transaction is never refused: SQLite does what it says.
    fn refusal(&self, migration: &Migration) -> Option<MigrateError> {
        if migration.no_tx {
            return None;
        }
        let sql = migration.sql.as_str();
        let why = statement::refusal_at::<DB>(sql, Place::Transaction, self.options)?;
        let error = Error::refused("migrations", why);
        Some(MigrateError::ExecuteMigration(
            error.into(),
            migration.version,
        ))
    }
}

impl<DB: Engine<Connection: Migrate>> Migrate for Watched<'_, DB> {
    fn create_schema_if_not_exists<'e>(&'e mut self, schema: &'e str) -> Done<'e, ()> {
        self.connection.create_schema_if_not_exists(schema)
    }

    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> Done<'e, ()> {
        self.connection.ensure_migrations_table(table)
    }

    fn dirty_version<'e>(&'e mut self, table: &'e str) -> Done<'e, Option<i64>> {
        self.connection.dirty_version(table)
    }

    fn list_applied_migrations<'e>(
        &'e mut self,
        table: &'e str,
    ) -> Done<'e, Vec<AppliedMigration>> {
        self.connection.list_applied_migrations(table)
    }

    fn lock(&mut self) -> Done<'_, ()> {
        self.connection.lock()
    }

    fn unlock(&mut self) -> Done<'_, ()> {
        self.connection.unlock()
    }

    fn apply<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Done<'e, Duration> {
        match self.refusal(migration) {
            Some(refused) => ready(Err(refused)).boxed(),
            None => self.connection.apply(table, migration),
        }
    }

    fn revert<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Done<'e, Duration> {
        match self.refusal(migration) {
            Some(refused) => ready(Err(refused)).boxed(),
            None => self.connection.revert(table, migration),
        }
    }

    fn skip<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Done<'e, ()> {
        self.connection.skip(table, migration)
    }
}
