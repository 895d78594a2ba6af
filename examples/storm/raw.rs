//! The same on sqlx alone: its pool and its transactions, used as its documentation shows.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Acquire, Pool, Transaction};
use tokio::time::timeout;

use super::transfer::{ACCOUNT, FEE, IMPATIENCE, LEDGER, NOTE, Statement};
use super::{Bank, SLOW, sql};
use crate::order::{Moment, Shape};
use crate::record::{Fee, Note, Phase, Record};
use crate::subject::{Failure, Rest, Subject};

const PATIENCE: Duration = Duration::from_secs(5);

type Tx<'a> = Transaction<'a, Bank>;

#[derive(Clone)]
pub(super) struct Raw(pub(super) Pool<Bank>);

impl Subject for Raw {
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static {
        let pool = self.0.clone();
        async move {
            match record.order.shape {
                Shape::Autocommit => autocommit(&pool, &record).await,
                Shape::Hurried => hurried(&pool, &record).await,
                _ => unhurried(&pool, &record).await,
            }
        }
    }

    fn settling(&self) -> usize {
        0
    }

    async fn come_to_rest(&self) -> Rest {
        // It has no word for that: time enough for the tasks that it spawns.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let open = usize::try_from(self.0.size()).unwrap_or(usize::MAX);
        Rest {
            in_use: open.saturating_sub(self.0.num_idle()),
            settling: 0,
            refuses: false,
        }
    }

    async fn take_all(&self, sessions: usize) -> usize {
        let mut taken = Vec::new();
        for _ in 0..sessions {
            let session = timeout(PATIENCE, self.0.acquire()).await;
            taken.extend(session.ok().and_then(Result::ok));
        }
        taken.len()
    }

    async fn close(self) -> bool {
        timeout(PATIENCE, self.0.close()).await.is_ok()
    }
}

async fn autocommit(pool: &Pool<Bank>, record: &Record) -> Result<Fee, Failure> {
    record.enter(Phase::Statement);
    let written = sqlx::query(sql(NOTE))
        .bind(record.order.id)
        .execute(pool)
        .await;
    written?;
    record.noted(Note::Written);
    Ok(Fee::None)
}

async fn hurried(pool: &Pool<Bank>, record: &Record) -> Result<Fee, Failure> {
    match timeout(Duration::from_millis(30), unhurried(pool, record)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Other("over its timeout")),
    }
}

async fn unhurried(pool: &Pool<Bank>, record: &Record) -> Result<Fee, Failure> {
    let mut tx = pool.begin().await?;
    record.enter(Phase::Body);
    match work(&mut tx, pool, record).await {
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

async fn work(tx: &mut Tx<'_>, pool: &Pool<Bank>, record: &Record) -> Result<Fee, Failure> {
    let order = &record.order;
    if order.shape == Shape::RequiresNew {
        attempt(pool, record).await;
    }
    for (account, cents) in order.postings() {
        record.checkpoint().await;
        post(tx, record, account, cents).await?;
    }
    record.checkpoint().await;
    enter(tx, record, 0, order.cents).await?;
    record.checkpoint().await;
    match order.shape {
        Shape::Nested(moment) => return charge_or_not(tx, record, moment).await,
        Shape::Swallowed => drop(enter(tx, record, 0, order.cents).await),
        Shape::Refused => return Err(Failure::Other("refused")),
        Shape::Abandoned => drop(IMPATIENCE.cut(run(tx, record, sqlx::query(SLOW))).await),
        Shape::Slow | Shape::Hurried => drop(run(tx, record, sqlx::query(SLOW)).await?),
        Shape::Joined | Shape::RequiresNew | Shape::Autocommit => {}
    }
    Ok(Fee::None)
}

async fn run(tx: &mut Tx<'_>, record: &Record, statement: Statement) -> Result<u64, Failure> {
    record.enter(Phase::Statement);
    let done = statement.execute(&mut **tx).await;
    record.enter(Phase::Body);
    Ok(done?.rows_affected())
}

async fn post(tx: &mut Tx<'_>, record: &Record, account: i64, cents: i64) -> Result<(), Failure> {
    let update = sqlx::query(sql(ACCOUNT));
    let update = update.bind(cents).bind(account).bind(cents);
    match run(tx, record, update).await? {
        0 => Err(Failure::Overdraft),
        _ => Ok(()),
    }
}

async fn enter(tx: &mut Tx<'_>, record: &Record, fee: i64, cents: i64) -> Result<(), Failure> {
    let order = &record.order;
    let insert = sqlx::query(sql(LEDGER)).bind(order.id).bind(fee);
    let insert = insert.bind(order.debtor).bind(order.creditor).bind(cents);
    run(tx, record, insert).await.map(drop)
}

async fn charge_or_not(
    tx: &mut Tx<'_>,
    record: &Record,
    moment: Option<Moment>,
) -> Result<Fee, Failure> {
    let charged = match moment {
        Some(moment) => moment.cut(charge(tx, record)).await,
        None => Some(charge(tx, record).await),
    };
    match charged {
        Some(Ok(())) => Ok(Fee::Taken),
        Some(Err(Failure::Overdraft)) | None => Ok(Fee::Skipped),
        Some(Err(failure)) => Err(failure),
    }
}

/// Dropped or failed, sqlx's guard rolls back to the savepoint.
async fn charge(tx: &mut Tx<'_>, record: &Record) -> Result<(), Failure> {
    let order = &record.order;
    let mut nested = tx.begin().await?;
    post(&mut nested, record, order.debtor, -FEE).await?;
    record.checkpoint().await;
    post(&mut nested, record, order.creditor, FEE).await?;
    enter(&mut nested, record, 1, FEE).await?;
    nested.commit().await?;
    Ok(())
}

async fn attempt(pool: &Pool<Bank>, record: &Record) {
    record.noted(match note(pool, record).await {
        Ok(()) => Note::Written,
        Err(_) => Note::Failed,
    });
}

async fn note(pool: &Pool<Bank>, record: &Record) -> Result<(), Failure> {
    let mut tx = pool.begin().await?;
    run(
        &mut tx,
        record,
        sqlx::query(sql(NOTE)).bind(record.order.id),
    )
    .await?;
    tx.commit().await?;
    Ok(())
}
