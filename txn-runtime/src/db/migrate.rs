//! Migrations, which sqlx runs on a raw connection.

use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::future::ready;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, Migrator};

use super::{Db, Need};
use crate::engine::{ConnectOptionsOf, Engine, Place, statement};
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::pool::Session;

impl<DB: Engine> Db<DB>
where
    DB::Connection: Migrate,
{
    /// Runs the migrations that this database has not had yet: `db.migrate(&sqlx::migrate!())`.
    /// Requires the feature `migrate`.
    ///
    /// Each migration is a transaction of its own, as with [`Migrator::run`]. If a migration fails,
    /// the session is closed, so that no lock stays behind; on a session that goes back to its
    /// pool, the lock would stay.
    ///
    /// On SQLite a migration is refused if it changes a setting that a transaction ignores, such as
    /// `PRAGMA foreign_keys = OFF`. Make `-- no-transaction` its first line, and begin and commit
    /// in its own SQL. Afterwards foreign keys are as the connect options say.
    ///
    /// To use other methods of a `Migrator`, lend it a session:
    /// `migrator.undo(db.session().await?.connection(), 3)`.
    ///
    /// # Errors
    ///
    /// If no session can be had, a migration failed, or a migration differs from the one that was
    /// run before. The [`MigrateError`](sqlx::migrate::MigrateError) is the source of the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the migration that is under way is rolled back, if the engine can
    /// do that (MySQL/MariaDB cannot). Those before it stay.
    pub async fn migrate(&self, migrator: &Migrator) -> Result<(), Error> {
        let need = Need {
            scope: "migrations",
            writes: DB::ONE_WRITER,
            ..Need::AUTOCOMMIT
        };
        let mut locked = Locked(Some(self.autocommit_session(need).await?));
        if let Some(session) = &mut locked.0 {
            let mut connection = Watched::<DB> {
                connection: session.connection(),
                options: self.options(),
            };
            // `run` would make the future not `Send` (rust-lang/rust#100013).
            let done = migrator.run_direct(None, &mut connection, false).await;
            done.map_err(sqlx::Error::from)?;
            if let Some(restore) = DB::after_migrations(self.options()) {
                session.run(restore).await?;
            }
        }
        drop(locked.0.take());
        Ok(())
    }
}

/// A session on which migrations hold a lock. It is taken out when they are done. A drop before
/// that closes the session, and the lock goes with it.
struct Locked<DB: Engine>(Option<Session<DB>>);

impl<DB: Engine> Drop for Locked<DB> {
    fn drop(&mut self) {
        let Some(session) = self.0.take() else {
            return;
        };
        // A database in memory exists only in this session, and takes no lock.
        if DB::session_limit(session.db().options()).is_none() {
            session.discard_because(CloseReason::MigrationFailed);
        }
    }
}

/// A connection that checks each migration before it runs, and passes everything else on.
struct Watched<'a, DB: Engine> {
    /// The connection that everything is passed on to.
    connection: &'a mut DB::Connection,
    /// The connect options, on which it depends what is refused.
    options: &'a ConnectOptionsOf<DB>,
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
