//! The scopes that the storm drops: annotated functions that call each other.

use std::sync::Arc;
use std::time::Duration;

use sqlx::query::Query;
use txn::{Db, Tx, transactional};

use super::{Bank, SLOW, sql};
use crate::order::{Moment, Shape};
use crate::record::{Fee, Note, Phase, Record, Told};
use crate::subject::Failure;

pub(super) type Statement = Query<'static, Bank, <Bank as sqlx::Database>::Arguments>;

pub(super) const ACCOUNT: &str =
    "UPDATE txn_storm_accounts SET balance = balance + ? WHERE id = ? AND balance + ? >= 0";
pub(super) const LEDGER: &str =
    "INSERT INTO txn_storm_ledger (id, fee, debtor, creditor, cents) VALUES (?, ?, ?, ?, ?)";
pub(super) const NOTE: &str = "INSERT INTO txn_storm_notes (id) VALUES (?)";

/// Of the nested scope.
pub(super) const FEE: i64 = 1;
/// How long a body waits for a statement that it then gives up.
pub(super) const IMPATIENCE: Moment = Moment::After(Duration::from_millis(3));

pub(super) async fn transfer(db: &Db<Bank>, record: Arc<Record>) -> Result<Fee, Failure> {
    match record.order.shape {
        Shape::Autocommit => autocommit(db, &record).await,
        Shape::Hurried => hurried(db, &record).await,
        _ => unhurried(db, &record).await,
    }
}

#[transactional(name = "storm.unhurried")]
async fn unhurried(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<Fee, Failure> {
    body(tx, record).await
}

#[transactional(name = "storm.hurried", timeout = "30ms")]
async fn hurried(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<Fee, Failure> {
    body(tx, record).await
}

async fn autocommit(db: &Db<Bank>, record: &Arc<Record>) -> Result<Fee, Failure> {
    record.enter(Phase::Statement);
    let written = sqlx::query(sql(NOTE))
        .bind(record.order.id)
        .execute(db)
        .await;
    written?;
    record.noted(Note::Written);
    Ok(Fee::None)
}

async fn body(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<Fee, Failure> {
    listen(tx, record);
    record.enter(Phase::Body);
    let result = Box::pin(work(&mut *tx, record)).await;
    record.enter(match result {
        Ok(_) => Phase::Commit,
        Err(_) => Phase::Rollback,
    });
    result
}

/// One of the two is to run, once.
fn listen(tx: &mut Tx<Bank>, record: &Arc<Record>) {
    let (committed, rolled_back) = (Arc::clone(record), Arc::clone(record));
    tx.after_commit(async move { committed.told(Told::Committed) });
    tx.after_rollback(|cause| async move {
        rolled_back.told(match cause.is_unknown() {
            true => Told::Unknown,
            false => Told::RolledBack,
        });
    });
    record.hooked();
}

#[transactional(name = "storm.work", mandatory)]
async fn work(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<Fee, Failure> {
    let order = &record.order;
    if order.shape == Shape::RequiresNew {
        // Before any row is locked: who waits for those has a session that this one may need.
        attempt(tx, record).await?;
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
        Shape::Refused => drop(refuse(tx).await),
        Shape::Abandoned => drop(IMPATIENCE.cut(run(tx, record, sqlx::query(SLOW))).await),
        Shape::Slow | Shape::Hurried => drop(run(tx, record, sqlx::query(SLOW)).await?),
        Shape::Joined | Shape::RequiresNew | Shape::Autocommit => {}
    }
    Ok(Fee::None)
}

async fn run(tx: &mut Tx<Bank>, record: &Record, statement: Statement) -> Result<u64, Failure> {
    record.enter(Phase::Statement);
    let done = statement.execute(tx).await;
    record.enter(Phase::Body);
    Ok(done?.rows_affected())
}

/// Joined.
#[transactional(name = "storm.post")]
async fn post(
    tx: &mut Tx<Bank>,
    record: &Arc<Record>,
    account: i64,
    cents: i64,
) -> Result<(), Failure> {
    let update = sqlx::query(sql(ACCOUNT))
        .bind(cents)
        .bind(account)
        .bind(cents);
    match run(tx, record, update).await? {
        0 => Err(Failure::Overdraft),
        _ => Ok(()),
    }
}

/// Joined. The ledger takes an entry once.
#[transactional(name = "storm.enter")]
async fn enter(
    tx: &mut Tx<Bank>,
    record: &Arc<Record>,
    fee: i64,
    cents: i64,
) -> Result<(), Failure> {
    let order = &record.order;
    let insert = sqlx::query(sql(LEDGER)).bind(order.id).bind(fee);
    let insert = insert.bind(order.debtor).bind(order.creditor).bind(cents);
    run(tx, record, insert).await?;
    Ok(())
}

/// Joined, and fails without having done anything.
#[transactional(name = "storm.refuse")]
async fn refuse(_tx: &mut Tx<Bank>) -> Result<(), Failure> {
    Err(Failure::Other("refused"))
}

/// What is given up in it leaves the transfer as it stands.
async fn charge_or_not(
    tx: &mut Tx<Bank>,
    record: &Arc<Record>,
    moment: Option<Moment>,
) -> Result<Fee, Failure> {
    let charged = match moment {
        Some(moment) => moment.cut(Box::pin(charge(&mut *tx, record))).await,
        None => Some(Box::pin(charge(&mut *tx, record)).await),
    };
    match charged {
        Some(Ok(())) => Ok(Fee::Taken),
        Some(Err(Failure::Overdraft)) | None => Ok(Fee::Skipped),
        Some(Err(failure)) => Err(failure),
    }
}

#[transactional(name = "storm.charge", nested)]
async fn charge(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<(), Failure> {
    let order = &record.order;
    post(tx, record, order.debtor, -FEE).await?;
    record.checkpoint().await;
    post(tx, record, order.creditor, FEE).await?;
    enter(tx, record, 1, FEE).await
}

/// The outer transaction is committed or not, this one is by itself.
async fn attempt(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<(), Failure> {
    match note(&mut *tx, record).await {
        Ok(()) => record.noted(Note::Written),
        Err(Failure::Unknown) => {}
        Err(_) => record.noted(Note::Failed),
    }
    Ok(())
}

#[transactional(name = "storm.note", requires_new)]
async fn note(tx: &mut Tx<Bank>, record: &Arc<Record>) -> Result<(), Failure> {
    let insert = sqlx::query(sql(NOTE)).bind(record.order.id);
    run(tx, record, insert).await?;
    Ok(())
}
