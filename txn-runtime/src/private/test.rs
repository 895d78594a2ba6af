//! What `#[txn::test]` runs.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

#[cfg_attr(not(feature = "migrate"), path = "test/unmigrated.rs")]
mod migrated;

pub use self::migrated::{Migratable, Migrations};
use crate::pool::Db;
use crate::tx::Sandbox;

/// The arguments of the attribute.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    env: &'static str,
    migrations: Migrations,
}

impl Setup {
    /// A database that the environment variable `env` names.
    #[must_use]
    pub const fn new(env: &'static str) -> Self {
        Self {
            env,
            migrations: None,
        }
    }

    /// `migrations = "…"`
    #[must_use]
    pub const fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = migrations;
        self
    }
}

/// What a test may take.
#[diagnostic::on_unimplemented(
    message = "a `#[txn::test]` cannot take a `{Self}`",
    label = "write `Db<Sqlite>`, `Db<Postgres>` or `Db<MySql>` here, or a `Sandbox` of one of these"
)]
pub trait Parameter: Sized {
    /// The engine of the database.
    type Engine: Migratable;

    /// The database as the test gets it; `None` in place of a sandbox that the test closes itself.
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
/// If the test does, and if there is no database to run it on.
pub fn run<P: Parameter, F: Future>(setup: Setup, body: impl FnOnce(P) -> F) -> F::Output {
    let runtime = runtime();
    let output = runtime.block_on(async {
        let db = connect::<P::Engine>(setup).await;
        let sandbox = db.sandbox().await.unwrap_or_else(|error| panic!("{error}"));
        let (parameter, sandbox) = P::from_sandbox(sandbox);
        let output = body(parameter).await;
        if let Some(sandbox) = sandbox {
            // A test that keeps a scope open leaves the rest to the server.
            timeout(db.settle_timeout(), sandbox.close()).await.ok();
        }
        timeout(db.settle_timeout(), db.close()).await.ok();
        output
    });
    runtime.shutdown_background();
    output
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("cannot start a runtime for this test: {error}"))
}

async fn connect<DB: Migratable>(setup: Setup) -> Db<DB> {
    let (url, origin) = match (std::env::var(setup.env), DB::EMBEDDED) {
        (Ok(url), _) => (url, setup.env),
        (Err(_), Some(url)) => (url.to_owned(), "the embedded database"),
        (Err(_), None) => panic!(
            "this test needs a database of {}: set the environment variable `{}` to its URL, which begins with `{}`",
            DB::NAME,
            setup.env,
            DB::URL_SCHEMES.join("` or `"),
        ),
    };
    let db = match Db::<DB>::connect(&url).await {
        Ok(db) => db,
        Err(error) => panic!("{error} ({origin})"),
    };
    if let Err(error) = migrated::migrate(&db, &url, setup.migrations).await {
        panic!("the migrations of this test failed: {error} ({origin})");
    }
    db
}
