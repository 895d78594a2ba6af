//! Migrations of tests: once per process and database.

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

/// The URLs of databases that have had theirs, each with the checksums of these.
static DONE: Mutex<BTreeSet<(String, Vec<Vec<u8>>)>> = Mutex::const_new(BTreeSet::new());

pub(super) async fn migrate<DB: Migratable>(
    db: &Db<DB>,
    url: &str,
    migrations: Migrations,
) -> Result<(), Error> {
    let Some(migrator) = migrations else {
        return Ok(());
    };
    let options = url.parse();
    // In memory each test has a database of its own.
    if options.is_ok_and(|options| DB::session_limit(&options).is_some()) {
        return db.migrate(migrator).await;
    }
    let checksums = migrator.iter().map(|one| one.checksum.to_vec());
    let this = (url.to_owned(), checksums.collect());
    // Held while it migrates: the others wait for that.
    let mut done = DONE.lock().await;
    if !done.contains(&this) {
        db.migrate(migrator).await?;
        done.insert(this);
    }
    Ok(())
}
