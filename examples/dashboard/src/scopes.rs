//! The load's scopes: annotated functions that call each other.

use std::time::Duration;

use tokio::time::sleep;
use txn::{Tx, transactional};

use super::{Database, sql};
use crate::bank::Failure;
use crate::order::{Fee, Order, Stage};

const ACCOUNT: &str =
    "UPDATE txn_dashboard_accounts SET balance = balance + ? WHERE id = ? AND balance + ? >= 0";
const LEDGER: &str =
    "INSERT INTO txn_dashboard_ledger (id, fee, debtor, creditor, cents) VALUES (?, ?, ?, ?, ?)";
const FEE: i64 = 1;

/// Serializable: on PostgreSQL some of those that meet are told to try again.
#[transactional(name = "bank.transfer", isolation = serializable, retry)]
pub(super) async fn transfer(tx: &mut Tx<Database>, order: &Order) -> Result<(), Failure> {
    order.reached(Stage::Body);
    let [first, second] = order.postings();
    post(tx, first.0, first.1).await?;
    if let Some(pause) = order.pause {
        sleep(pause).await;
    }
    post(tx, second.0, second.1).await?;
    enter(tx, order, 0, order.cents).await?;
    match charge(tx, order).await {
        // Undone alone.
        Ok(()) | Err(Failure::Refused | Failure::Overdraft) => {}
        Err(failure) => return Err(failure),
    }
    order.reached(Stage::Ending);
    Ok(())
}

/// Joins the transfer.
#[transactional(name = "bank.post")]
async fn post(tx: &mut Tx<Database>, account: i64, cents: i64) -> Result<(), Failure> {
    let update = sqlx::query(sql(ACCOUNT)).bind(cents);
    let done = update.bind(account).bind(cents).execute(tx).await?;
    match done.rows_affected() {
        0 => Err(Failure::Overdraft),
        _ => Ok(()),
    }
}

/// Joins too.
#[transactional(name = "bank.enter")]
async fn enter(tx: &mut Tx<Database>, order: &Order, fee: i64, cents: i64) -> Result<(), Failure> {
    let insert = sqlx::query(sql(LEDGER)).bind(order.id).bind(fee);
    let insert = insert.bind(order.debtor).bind(order.creditor).bind(cents);
    insert.execute(tx).await?;
    Ok(())
}

async fn charge(tx: &mut Tx<Database>, order: &Order) -> Result<(), Failure> {
    match order.fee {
        None => Ok(()),
        Some(fee) => take_fee(tx, order, fee).await,
    }
}

/// May fail alone.
#[transactional(name = "bank.fee", nested)]
async fn take_fee(tx: &mut Tx<Database>, order: &Order, fee: Fee) -> Result<(), Failure> {
    post(tx, order.debtor, -FEE).await?;
    post(tx, order.creditor, FEE).await?;
    match fee {
        Fee::Taken => enter(tx, order, 1, FEE).await,
        Fee::Refused => Err(Failure::Refused),
    }
}

/// Slow, and in nobody's way.
#[transactional(name = "bank.report", read_only)]
pub(super) async fn report(tx: &mut Tx<Database>) -> Result<(), Failure> {
    const PAUSE: Duration = Duration::from_millis(400);
    let query = "SELECT COUNT(*) FROM txn_dashboard_accounts WHERE balance < 100";
    let _poor: i64 = sqlx::query_scalar(query).fetch_one(&mut *tx).await?;
    sleep(PAUSE).await;
    let _poor: i64 = sqlx::query_scalar(query).fetch_one(tx).await?;
    Ok(())
}
