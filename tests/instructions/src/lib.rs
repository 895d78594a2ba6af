//! The hot paths whose instructions are counted, each on a warm connection.

use std::future::Future;

use futures_util::future;
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;
use txn::{Db, Error, Postgres, Tx, transactional};

/// The number of times that a path runs for one count.
pub const ROUNDS: u32 = 50;

const WARM_UP: u32 = 10;

/// A runtime, and the value that a path runs on.
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

    /// Runs the path until all caches are warm.
    fn warm(mut self, path: &impl AsyncFn(&mut T) -> Result<(), Error>) -> Self {
        self.run(WARM_UP, path);
        self
    }

    /// Runs the path `rounds` times.
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

/// Prepares a pool of one session.
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

/// Prepares an open transaction.
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

/// Prepares a connection of the driver alone.
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

/// A plain function, with which a joined scope is compared.
#[inline(never)]
#[expect(clippy::unused_async, reason = "a scope without a transaction")]
async fn call(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

/// Runs a plain call.
///
/// # Errors
///
/// It never fails.
pub async fn plain(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    call(tx).await
}

/// Runs a scope that joins.
///
/// # Errors
///
/// It never fails.
pub async fn joined(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    join(tx).await
}

/// Runs a scope on a savepoint.
///
/// # Errors
///
/// It fails if the server is gone.
pub async fn nested(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    nest(tx).await
}

/// Runs a scope that begins and commits.
///
/// # Errors
///
/// It fails if the server is gone.
pub async fn root(db: &mut Db<Postgres>) -> Result<(), Error> {
    begin(&*db).await
}

/// Begins a transaction, drops it, and waits until it is settled.
///
/// # Errors
///
/// It fails if the server is gone.
pub async fn settled(db: &mut Db<Postgres>) -> Result<(), Error> {
    drop(db.begin().await?);
    db.settled().await;
    Ok(())
}

/// Takes the one session and gives it back, twice.
///
/// # Errors
///
/// It fails if the server is gone.
pub async fn taken(db: &mut Db<Postgres>) -> Result<(), Error> {
    drop(db.session().await?);
    yield_now().await;
    drop(db.session().await?);
    Ok(())
}

/// Takes the one session, has another caller wait for it, and hands it over: what [`taken`] does,
/// and one wait.
///
/// # Errors
///
/// It fails if the server is gone.
pub async fn waited(db: &mut Db<Postgres>) -> Result<(), Error> {
    let held = db.session().await?;
    let give_back = async {
        yield_now().await;
        drop(held);
    };
    let ((), next) = future::join(give_back, db.session()).await;
    next.map(drop)
}

/// Sends the statements of [`root`] on the driver alone.
pub async fn driver(connection: &mut PgConnection) -> Result<(), Error> {
    connection.execute("BEGIN").await?;
    connection.execute("SAVEPOINT txn_end; COMMIT").await?;
    Ok(())
}
