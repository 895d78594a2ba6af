//! Migrations, which sqlx runs on a raw connection.

use sqlx::migrate::{Migrate, Migrator};

mod watched;

use self::watched::Watched;
use super::{Db, Need};
use crate::engine::Engine;
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
