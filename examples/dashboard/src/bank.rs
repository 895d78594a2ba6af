//! The bank that the load runs on: its annotated functions, and other operations that work on every
//! engine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use sqlx::Connection;
use tokio::time::sleep;
use txn::{Db, MySql, OpenScope, Postgres, Sqlite, Status, Tx, transactional};
use txn_chaos::bank::{self, OPENING_BALANCE};
use txn_chaos::{
    Database, Engine, EngineName, Failure, FaultyServer, Fee, Outcome, Record, Scenario, Subject,
    query, transfer,
};

use crate::Arguments;

pub(crate) const ACCOUNTS: i64 = 100;
/// The sum of all balances, which never changes.
pub(crate) const TOTAL: i64 = ACCOUNTS * OPENING_BALANCE;

/// The acquire timeout. It is shorter than usual, so that it can be seen to expire.
const ACQUIRE: Duration = Duration::from_secs(3);
/// The time after which callers are told at once that the server is out of reach. It is also short.
const BREAKER: Duration = Duration::from_secs(1);
/// The target for waiting. Under lasting overload, callers that wait for longer are refused, and
/// the others are served quickly.
const TARGET: Duration = Duration::from_millis(50);
/// The timeout for SQLite's lock. The page can hold the lock for longer, so that the timeout can be
/// seen to expire.
const BUSY: Duration = Duration::from_secs(1);
/// The timeout of a direct connection, which is not in the pool's queue and may wait for long.
const BUSY_DIRECT: Duration = Duration::from_secs(20);

/// Runs a serializable transfer. On PostgreSQL, some of those that conflict have to be retried.
#[transactional(name = "bank.transfer", isolation = serializable, retry)]
async fn transfer<E: Engine>(tx: &mut Tx<E>, record: &Record) -> Result<Fee, Failure> {
    transfer::body(tx, record).await
}

/// Runs a slow report, which only reads and blocks nobody.
#[transactional(name = "bank.report", read_only)]
async fn report<E: Engine>(tx: &mut Tx<E>) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_millis(400);
    let poor = "SELECT COUNT(*) FROM txn_chaos_accounts WHERE balance < 100";
    let _before = query(poor).fetch_one(&mut *tx).await?;
    sleep(PAUSE).await;
    let _after = query(poor).fetch_one(tx).await?;
    Ok(())
}

/// The bank, for code that does not know its engine.
#[async_trait]
pub(crate) trait Bank: Send + Sync {
    fn engine(&self) -> &'static str;

    /// Runs one transfer, and drops it if the scenario says so.
    async fn transfer(&self, scenario: Scenario) -> Outcome;

    async fn report(&self) -> Result<(), Failure>;

    fn status(&self) -> Status;

    async fn scopes(&self) -> Vec<OpenScope>;

    async fn close(&self);

    /// Reads the contents of the database over a connection that bypasses txn.
    async fn count(&self) -> Result<Count, sqlx::Error>;

    /// Holds locks that every writer needs, on another connection.
    async fn hold_lock(&self, how_long: Duration) -> Result<(), sqlx::Error>;

    /// Terminates all sessions on the server.
    async fn terminate(&self) -> Result<(), sqlx::Error>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// The sum of all balances.
    pub(crate) cents: i64,
    /// The number of transfers in the ledger.
    pub(crate) transfers: i64,
}

/// Opens a new bank. It comes with its server if faults can be injected there.
pub(crate) async fn open(arguments: &Arguments) -> Result<(Arc<dyn Bank>, Option<FaultyServer>)> {
    let target = &arguments.target;
    match target.engine()? {
        EngineName::Sqlite => {
            let mut database = Database::<Sqlite>::open(target, false).await?;
            database.options = database.options.busy_timeout(BUSY);
            database.direct = database.direct.busy_timeout(BUSY_DIRECT);
            open_on(database, arguments).await
        }
        EngineName::Postgres => {
            open_on(Database::<Postgres>::open(target, true).await?, arguments).await
        }
        EngineName::Mysql => open_on(Database::<MySql>::open(target, true).await?, arguments).await,
    }
}

async fn open_on<E: Engine>(
    mut database: Database<E>,
    arguments: &Arguments,
) -> Result<(Arc<dyn Bank>, Option<FaultyServer>)> {
    let mut direct = Database::<E>::connect(&database.direct)
        .await
        .context("connect")?;
    let created = bank::create::<E>(&mut direct, ACCOUNTS).await;
    created.context("create the tables")?;
    let builder = Db::builder(database.options.clone())
        .pool_name(arguments.name.as_str())
        .max_sessions(arguments.sessions.into())
        .acquire_timeout(ACQUIRE)
        .breaker_after(BREAKER)
        .queue_target(TARGET);
    let db = builder.connect().await.context("connect")?;
    let server = database.server.take();
    Ok((Arc::new(Handle { db, database }), server))
}

struct Handle<E: Engine> {
    db: Db<E>,
    database: Database<E>,
}

impl<E: Engine> Handle<E> {
    async fn direct(&self) -> Result<E::Connection, sqlx::Error> {
        Database::<E>::connect(&self.database.direct).await
    }
}

#[async_trait]
impl<E: Engine> Bank for Handle<E> {
    fn engine(&self) -> &'static str {
        E::SYSTEM_NAME
    }

    async fn transfer(&self, scenario: Scenario) -> Outcome {
        let record = Arc::new(Record::new(scenario));
        txn_chaos::run(Serializable(self.db.clone()), &record).await;
        record.outcome()
    }

    async fn report(&self) -> Result<(), Failure> {
        report(&self.db).await
    }

    fn status(&self) -> Status {
        self.db.status()
    }

    async fn scopes(&self) -> Vec<OpenScope> {
        self.db.scopes().await
    }

    async fn close(&self) {
        self.db.close().await;
    }

    /// Each statement sees the database at a single point in time.
    async fn count(&self) -> Result<Count, sqlx::Error> {
        let mut direct = self.direct().await?;
        Ok(Count {
            cents: bank::total::<E>(&mut direct).await?,
            transfers: bank::transfers::<E>(&mut direct).await?,
        })
    }

    async fn hold_lock(&self, how_long: Duration) -> Result<(), sqlx::Error> {
        let mut direct = self.direct().await?;
        let tx = E::lock_accounts(&mut direct).await?;
        sleep(how_long).await;
        tx.rollback().await?;
        direct.close().await
    }

    async fn terminate(&self) -> Result<(), sqlx::Error> {
        let mut direct = self.direct().await?;
        E::terminate(&mut direct, i64::MAX).await.map(drop)
    }
}

/// A subject that transfers by the scope above.
struct Serializable<E: Engine>(Db<E>);

impl<E: Engine> Clone for Serializable<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Engine> Subject for Serializable<E> {
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static {
        let db = self.0.clone();
        async move { transfer(&db, &record).await }
    }

    fn settling(&self) -> usize {
        self.0.status().settling
    }
}
