//! The same scopes on sqlx alone, whose pool and transactions are used as its documentation shows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sqlx::pool::PoolOptions;
use sqlx::{Acquire, Pool as SqlxPool, Transaction};
use tokio::time::timeout;
use txn_chaos::transfer::{FEE, GIVE_UP_AFTER, fee, insert_entry, insert_note, update_account};
use txn_chaos::{
    Database, Engine, Failure, Fee, Note, Phase, Record, Shape, Statement, Subject, query,
    unless_first,
};

use crate::pool::{ACQUIRE, Leftovers, Pool};
use crate::settings::Settings;

const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Raw<E: Engine>(SqlxPool<E>);

impl<E: Engine> Clone for Raw<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Engine> Raw<E> {
    pub(crate) async fn connect(
        database: &Database<E>,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let options = PoolOptions::new()
            .acquire_timeout(ACQUIRE)
            .max_connections(u32::try_from(settings.sessions)?);
        let pool = options.connect_with(database.options.clone()).await;
        Ok(Self(pool.context(E::SYSTEM_NAME)?))
    }
}

impl<E: Engine> Subject for Raw<E> {
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static {
        let pool = self.0.clone();
        async move {
            match record.scenario.shape {
                Shape::Autocommit => autocommit(&pool, &record).await,
                Shape::TimeLimit => time_limited(&pool, &record).await,
                _ => transfer(&pool, &record).await,
            }
        }
    }

    fn settling(&self) -> usize {
        0
    }
}

impl<E: Engine> Pool for Raw<E> {
    async fn settle(&self) -> Leftovers {
        // sqlx cannot report that. This is enough time for the tasks that it spawns.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let open = usize::try_from(self.0.size()).unwrap_or(usize::MAX);
        Leftovers {
            in_use: open.saturating_sub(self.0.num_idle()),
            settling: 0,
            refuses: false,
        }
    }

    async fn acquire_all(&self, sessions: usize) -> usize {
        let mut acquired = Vec::new();
        for _ in 0..sessions {
            let session = timeout(PATIENCE, self.0.acquire()).await;
            acquired.extend(session.ok().and_then(Result::ok));
        }
        acquired.len()
    }

    async fn close(self) -> bool {
        timeout(PATIENCE, self.0.close()).await.is_ok()
    }
}

async fn autocommit<E: Engine>(pool: &SqlxPool<E>, record: &Record) -> Result<Fee, Failure> {
    record.enter(Phase::Statement);
    let mut session = pool.acquire().await?;
    let insert = insert_note(record.scenario.id);
    insert.execute(E::executor(&mut session)).await?;
    record.set_note(Note::Written);
    Ok(Fee::None)
}

async fn time_limited<E: Engine>(pool: &SqlxPool<E>, record: &Record) -> Result<Fee, Failure> {
    match timeout(Duration::from_millis(30), transfer(pool, record)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Other("over its timeout")),
    }
}

async fn transfer<E: Engine>(pool: &SqlxPool<E>, record: &Record) -> Result<Fee, Failure> {
    let mut tx = pool.begin().await?;
    record.enter(Phase::Body);
    match steps(&mut tx, pool, record).await {
        Ok(fee) => {
            record.enter(Phase::Commit);
            tx.commit().await?;
            Ok(fee)
        }
        Err(failure) => {
            record.enter(Phase::Rollback);
            tx.rollback().await?;
            Err(failure)
        }
    }
}

async fn steps<E: Engine>(
    tx: &mut Transaction<'_, E>,
    pool: &SqlxPool<E>,
    record: &Record,
) -> Result<Fee, Failure> {
    let scenario = &record.scenario;
    if scenario.shape == Shape::RequiresNew {
        note_separately(pool, record).await;
    }
    for (account, cents) in scenario.postings() {
        record.checkpoint().await;
        post(tx, record, account, cents).await?;
    }
    record.checkpoint().await;
    enter(tx, record, 0, scenario.cents).await?;
    record.checkpoint().await;
    match scenario.shape {
        Shape::Nested(delay) => return fee(delay, charge(tx, record)).await,
        Shape::SwallowedError => drop(enter(tx, record, 0, scenario.cents).await),
        Shape::JoinedFailure | Shape::NestedFailure => return Err(Failure::REFUSED),
        Shape::DroppedStatement => {
            let slow = run(tx, record, query(E::SLOW));
            _ = unless_first(GIVE_UP_AFTER.wait(), slow).await;
        }
        Shape::SlowQuery | Shape::TimeLimit => drop(run(tx, record, query(E::SLOW)).await?),
        Shape::Joined | Shape::RequiresNew | Shape::Autocommit => {}
    }
    Ok(Fee::None)
}

async fn run<E: Engine>(
    tx: &mut Transaction<'_, E>,
    record: &Record,
    statement: Statement<E>,
) -> Result<u64, Failure> {
    record.enter(Phase::Statement);
    let rows = statement.execute(E::executor(tx)).await;
    record.enter(Phase::Body);
    Ok(rows?)
}

async fn post<E: Engine>(
    tx: &mut Transaction<'_, E>,
    record: &Record,
    account: i64,
    cents: i64,
) -> Result<(), Failure> {
    match run(tx, record, update_account(account, cents)).await? {
        0 => Err(Failure::Overdraft),
        _ => Ok(()),
    }
}

async fn enter<E: Engine>(
    tx: &mut Transaction<'_, E>,
    record: &Record,
    fee: i64,
    cents: i64,
) -> Result<(), Failure> {
    run(tx, record, insert_entry(&record.scenario, fee, cents)).await?;
    Ok(())
}

/// If this is dropped or fails, sqlx's guard rolls back to the savepoint.
async fn charge<E: Engine>(tx: &mut Transaction<'_, E>, record: &Record) -> Result<(), Failure> {
    let scenario = &record.scenario;
    let mut nested = tx.begin().await?;
    post(&mut nested, record, scenario.debtor, -FEE).await?;
    record.checkpoint().await;
    post(&mut nested, record, scenario.creditor, FEE).await?;
    enter(&mut nested, record, 1, FEE).await?;
    nested.commit().await?;
    Ok(())
}

async fn note_separately<E: Engine>(pool: &SqlxPool<E>, record: &Record) {
    record.set_note(match note(pool, record).await {
        Ok(()) => Note::Written,
        Err(_) => Note::Failed,
    });
}

async fn note<E: Engine>(pool: &SqlxPool<E>, record: &Record) -> Result<(), Failure> {
    let mut tx = pool.begin().await?;
    run(&mut tx, record, insert_note(record.scenario.id)).await?;
    tx.commit().await?;
    Ok(())
}
