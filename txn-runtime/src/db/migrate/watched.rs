//! The connection of migrations, which refuses what would not do in one what it says.

use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::future::ready;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};

use crate::engine::{ConnectOptionsOf, Engine, Place, statement};
use crate::model::error::Error;

/// Passes on everything else.
pub(super) struct Watched<'a, DB: Engine> {
    pub(super) connection: &'a mut DB::Connection,
    pub(super) options: &'a ConnectOptionsOf<DB>,
}

type Done<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

impl<DB: Engine<Connection: Migrate>> Watched<'_, DB> {
    /// One that runs in a transaction can be told by its text; of the others SQLite does as they say.
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
