//! Runs the tests of `#[txn::test]`.
//!
//! Each test has a runtime, a `Db` and a sandbox of its own. When its body has returned, the
//! sandbox and the `Db` are closed, each within the settle timeout. If the body panics, the sandbox
//! is dropped, which rolls back.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

pub use self::migrations::{Migratable, Migrations};
use crate::pool::Db;
use crate::tx::Sandbox;

/// The arguments of the attribute.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The name of the environment variable with the URL of the database.
    env: &'static str,
    /// The migrations to run before the test, if there are any.
    migrations: Migrations,
}

impl Setup {
    /// Uses the database whose URL is in the environment variable `env`.
    #[must_use]
    pub const fn new(env: &'static str) -> Self {
        Self {
            env,
            migrations: None,
        }
    }

    /// Adds the argument `migrations = "…"`.
    #[must_use]
    pub const fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = migrations;
        self
    }
}

/// A type that the parameter of a test may have.
#[diagnostic::on_unimplemented(
    message = "a `#[txn::test]` cannot take a `{Self}`",
    label = "write `Db<Sqlite>`, `Db<Postgres>` or `Db<MySql>` here, or a `Sandbox` of one of these"
)]
pub trait Parameter: Sized {
    /// The engine of the database.
    type Engine: Migratable;

    /// Returns the argument of the test, and the sandbox if it has to be closed after the test.
    /// A test that takes the sandbox itself closes or drops it.
    fn from_sandbox(sandbox: Sandbox<Self::Engine>) -> (Self, Option<Sandbox<Self::Engine>>);
}

#[diagnostic::do_not_recommend]
impl<DB: Migratable> Parameter for Db<DB> {
    type Engine = DB;

    fn from_sandbox(sandbox: Sandbox<DB>) -> (Self, Option<Sandbox<DB>>) {
        (sandbox.db().clone(), Some(sandbox))
    }
}

#[diagnostic::do_not_recommend]
impl<DB: Migratable> Parameter for Sandbox<DB> {
    type Engine = DB;

    fn from_sandbox(sandbox: Sandbox<DB>) -> (Self, Option<Sandbox<DB>>) {
        (sandbox, None)
    }
}

/// Runs a test in a sandbox, on a runtime of its own.
///
/// # Panics
///
/// If the test panics, or there is no database to run it on.
pub fn run<P: Parameter, F: Future>(setup: Setup, body: impl FnOnce(P) -> F) -> F::Output {
    let runtime = runtime();
    let output = runtime.block_on(async {
        let db = connect::<P::Engine>(setup).await;
        let sandbox = db.sandbox().await.unwrap_or_else(|error| panic!("{error}"));
        let (parameter, sandbox) = P::from_sandbox(sandbox);
        let output = body(parameter).await;
        if let Some(sandbox) = sandbox {
            // The sandbox cannot be closed while the test keeps a scope open. Past the timeout, the
            // server rolls back when the connection is lost.
            timeout(db.settle_timeout(), sandbox.close()).await.ok();
        }
        timeout(db.settle_timeout(), db.close()).await.ok();
        output
    });
    runtime.shutdown_background();
    output
}

/// A runtime with one thread, the test's own.
fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("cannot start a runtime for this test: {error}"))
}

/// Connects to the database of the test, and migrates it.
async fn connect<DB: Migratable>(setup: Setup) -> Db<DB> {
    let (url, origin) = match (std::env::var(setup.env), DB::EMBEDDED) {
        (Ok(url), _) => (url, setup.env),
        (Err(_), Some(url)) => (url.to_owned(), "the embedded database"),
        (Err(_), None) => panic!(
            "this test needs a database of {}: set the environment variable `{}` to its URL, which \
             begins with `{}`",
            DB::NAME,
            setup.env,
            DB::URL_SCHEMES.join("` or `"),
        ),
    };
    let db = match Db::<DB>::connect(&url).await {
        Ok(db) => db,
        Err(error) => panic!("{error} ({origin})"),
    };
    if let Err(error) = migrations::migrate(&db, &url, setup.migrations).await {
        panic!("the migrations of this test failed: {error} ({origin})");
    }
    db
}

/// Runs the migrations of tests, once per process and database.
#[cfg(feature = "migrate")]
mod migrations {
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

    /// The migrations that were run in this process: the URL of the database, and the checksums of
    /// the migrations. The lock is held while a test migrates, so that the others wait for it. A
    /// test whose migration fails adds nothing, so that the next one tries again.
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
}

/// Without the feature `migrate`, a test has no migrations.
#[cfg(not(feature = "migrate"))]
mod migrations {
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
}
