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
    /// Runs the migrations that this database has not had yet: `db.migrate(&sqlx::migrate!())`. Feature `migrate`.
    ///
    /// Each is a transaction of its own, as with [`Migrator::run`]. A migration that fails leaves no lock behind, as it does on a
    /// session that goes back to its pool: the session is closed.
    ///
    /// On SQLite a migration that changes a setting which a transaction ignores, such as `PRAGMA foreign_keys = OFF`, is refused: make its first line
    /// `-- no-transaction`, and begin and commit in its own SQL. Foreign keys are as the connect options say afterwards.
    ///
    /// For what else a `Migrator` can do, lend it a session: `migrator.undo(db.session().await?.connection(), 3)`.
    ///
    /// # Errors
    ///
    /// If there is no session to be had, or a migration failed or is not the one that was run before; the
    /// [`MigrateError`](sqlx::migrate::MigrateError) is the source.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the migration under way is rolled back where the engine can do that (MySQL/MariaDB cannot), and those before it stay.
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
            // Not `run`: a future with that one inside is `Send` for nobody (rust-lang/rust#100013).
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

/// A session on which migrations hold a lock, until they are done or it is closed.
struct Locked<DB: Engine>(Option<Session<DB>>);

impl<DB: Engine> Drop for Locked<DB> {
    fn drop(&mut self) {
        let Some(session) = self.0.take() else {
            return;
        };
        // The database may be in memory, and in this session only; there is no such lock then.
        if DB::session_limit(session.db().options()).is_none() {
            session.discard_because(CloseReason::MigrationFailed);
        }
    }
}
