//! Runs the migrations of tests, once per process and database.

use std::collections::BTreeSet;

use sqlx::migrate::{Migrate, Migrator};
use tokio::sync::Mutex;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::pool::Db;

/// The migrations of a test.
pub type Migrations = Option<&'static Migrator>;

/// An engine that tests can run on.
pub trait Migratable: Engine<Connection: Migrate> {}
impl<DB: Engine<Connection: Migrate>> Migratable for DB {}

/// The migrations that were run in this process: the URL of the database, and the checksums of the
/// migrations. The lock is held while a test migrates, so that the others wait for it. A test whose
/// migration fails adds nothing, so that the next one tries again.
static DONE: Mutex<BTreeSet<(String, Vec<Vec<u8>>)>> = Mutex::const_new(BTreeSet::new());

/// Runs the migrations, unless they were run on this database before.
pub(super) async fn migrate<DB: Migratable>(
    db: &Db<DB>,
    url: &str,
    migrations: Migrations,
) -> Result<(), Error> {
    let Some(migrator) = migrations else {
        return Ok(());
    };
    let options = url.parse();
    // A database in memory belongs to one test only.
    if options.is_ok_and(|options| DB::session_limit(&options).is_some()) {
        return db.migrate(migrator).await;
    }
    let checksums = migrator.iter().map(|one| one.checksum.to_vec());
    let this = (url.to_owned(), checksums.collect());
    let mut done = DONE.lock().await;
    if !done.contains(&this) {
        db.migrate(migrator).await?;
        done.insert(this);
    }
    Ok(())
}
