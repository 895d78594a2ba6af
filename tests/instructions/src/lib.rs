//! The hot paths whose instructions are counted, each on a connection that is warm.

use std::future::Future;

use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::{Builder, Runtime};
use txn::{Db, Error, Postgres, Tx, transactional};

/// How often a path is run for one count.
pub const ROUNDS: u32 = 50;

const WARM_UP: u32 = 10;

/// A runtime, and the value that the path runs on.
pub struct Ready<T> {
    runtime: Runtime,
    on: T,
}

impl<T> Ready<T> {
    fn new<F: Future<Output = T>>(make: impl FnOnce(String) -> F) -> Self {
        let url =
            std::env::var("TXN_INSTRUCTIONS_URL").expect("a server: `cargo xtask test` starts one");
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let on = runtime.block_on(make(url));
        Self { runtime, on }
    }

    /// Runs the path so often that all caches are warm.
    fn warm(mut self, path: &impl AsyncFn(&mut T) -> Result<(), Error>) -> Self {
        self.run(WARM_UP, path);
        self
    }

    /// Runs the path.
    pub fn run(&mut self, rounds: u32, path: &impl AsyncFn(&mut T) -> Result<(), Error>) {
        let on = &mut self.on;
        let run = async {
            for _ in 0..rounds {
                path(on).await?;
            }
            Ok::<(), Error>(())
        };
        self.runtime.block_on(run).expect("the path goes through");
    }
}

/// A pool of one session.
#[must_use]
pub fn database(
    path: &impl AsyncFn(&mut Db<Postgres>) -> Result<(), Error>,
) -> Ready<Db<Postgres>> {
    let ready = Ready::new(async |url| {
        let builder = Db::<Postgres>::builder(url.parse().expect("a URL"));
        builder.max_sessions(1).connect().await.expect("a session")
    });
    ready.warm(path)
}

/// An open transaction.
#[must_use]
pub fn transaction(
    path: &impl AsyncFn(&mut Tx<Postgres>) -> Result<(), Error>,
) -> Ready<Tx<Postgres>> {
    let ready = Ready::new(async |url| {
        let db = Db::<Postgres>::connect(&url).await.expect("a session");
        db.begin().await.expect("a transaction")
    });
    ready.warm(path)
}

/// The driver alone.
#[must_use]
pub fn connection(
    path: &impl AsyncFn(&mut PgConnection) -> Result<(), Error>,
) -> Ready<PgConnection> {
    let ready = Ready::new(async |url| PgConnection::connect(&url).await.expect("a connection"));
    ready.warm(path)
}

#[transactional(name = "joined")]
async fn join(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

#[transactional(nested, name = "nested")]
async fn nest(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

#[transactional(name = "root")]
async fn begin(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

/// The plain function that a joined scope is compared with.
#[inline(never)]
#[expect(clippy::unused_async, reason = "a scope without a transaction")]
async fn call(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

/// A plain call.
///
/// # Errors
///
/// None.
pub async fn plain(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    call(tx).await
}

/// A scope that joins.
///
/// # Errors
///
/// None.
pub async fn joined(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    join(tx).await
}

/// A scope on a savepoint.
///
/// # Errors
///
/// If the server is gone.
pub async fn nested(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    nest(tx).await
}

/// A scope that begins and commits.
///
/// # Errors
///
/// If the server is gone.
pub async fn root(db: &mut Db<Postgres>) -> Result<(), Error> {
    begin(&*db).await
}

/// A transaction that is dropped, and settled.
///
/// # Errors
///
/// If the server is gone.
pub async fn settled(db: &mut Db<Postgres>) -> Result<(), Error> {
    drop(db.begin().await?);
    db.settled().await;
    Ok(())
}

/// The statements that [`root`] sends, on the driver alone.
pub async fn driver(connection: &mut PgConnection) -> Result<(), Error> {
    connection.execute("BEGIN").await?;
    connection.execute("SAVEPOINT txn_end; COMMIT").await?;
    Ok(())
}
