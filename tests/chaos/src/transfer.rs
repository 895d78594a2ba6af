//! The scopes, which are annotated functions that call each other.

use std::sync::Arc;
use std::time::Duration;

use txn::{Db, Tx, transactional};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::interrupt::{Subject, unless_first};
use crate::query::{Statement, query};
use crate::record::{Fee, HookOutcome, Note, Record};
use crate::scenario::{Delay, Phase, Scenario, Shape};

/// The fee that the nested scope posts.
pub const FEE: i64 = 1;

/// The time that a body waits for a statement before it drops it.
pub const GIVE_UP_AFTER: Delay = Delay::Time(Duration::from_millis(3));

/// Posts to an account, unless that would overdraw it.
pub fn update_account<E: Engine>(account: i64, cents: i64) -> Statement<E> {
    let update =
        "UPDATE txn_chaos_accounts SET balance = balance + ? WHERE id = ? AND balance + ? >= 0";
    query(update).bind(cents).bind(account).bind(cents)
}

/// Inserts a ledger entry. Its key keeps it from being inserted twice.
pub fn insert_entry<E: Engine>(scenario: &Scenario, fee: i64, cents: i64) -> Statement<E> {
    let insert =
        "INSERT INTO txn_chaos_ledger (id, fee, debtor, creditor, cents) VALUES (?, ?, ?, ?, ?)";
    let insert = query(insert).bind(scenario.id).bind(fee);
    insert
        .bind(scenario.debtor)
        .bind(scenario.creditor)
        .bind(cents)
}

/// Inserts the note that stays whatever the outcome of the transfer.
pub fn insert_note<E: Engine>(id: i64) -> Statement<E> {
    query("INSERT INTO txn_chaos_notes (id) VALUES (?)").bind(id)
}

impl<E: Engine> Subject for Db<E> {
    fn transfer(
        &self,
        record: Arc<Record>,
    ) -> impl Future<Output = Result<Fee, Failure>> + Send + 'static {
        let db = self.clone();
        async move {
            match record.scenario.shape {
                Shape::Autocommit => autocommit(&db, &record).await,
                Shape::TimeLimit => time_limited(&db, &record).await,
                _ => transfer(&db, &record).await,
            }
        }
    }

    fn settling(&self) -> usize {
        self.status().settling
    }
}

/// Charges the fee, and drops that after the delay. If it is dropped or fails, the transfer itself
/// is kept.
pub async fn fee(
    delay: Option<Delay>,
    charge: impl Future<Output = Result<(), Failure>>,
) -> Result<Fee, Failure> {
    let charged = match delay {
        Some(delay) => unless_first(delay.wait(), Box::pin(charge)).await,
        None => Some(Box::pin(charge).await),
    };
    match charged {
        Some(Ok(())) => Ok(Fee::Taken),
        Some(Err(Failure::Overdraft | Failure::REFUSED)) | None => Ok(Fee::Skipped),
        Some(Err(failure)) => Err(failure),
    }
}

#[transactional(name = "bank.transfer")]
async fn transfer<E: Engine>(tx: &mut Tx<E>, record: &Arc<Record>) -> Result<Fee, Failure> {
    add_hooks(tx, record);
    checked(tx, record).await
}

#[transactional(name = "bank.transfer_in_time", timeout = "30ms")]
async fn time_limited<E: Engine>(tx: &mut Tx<E>, record: &Arc<Record>) -> Result<Fee, Failure> {
    add_hooks(tx, record);
    checked(tx, record).await
}

async fn autocommit<E: Engine>(db: &Db<E>, record: &Record) -> Result<Fee, Failure> {
    record.enter(Phase::Statement);
    insert_note(record.scenario.id).execute(db).await?;
    record.set_note(Note::Written);
    Ok(Fee::None)
}

/// Adds two hooks, exactly one of which has to run, once.
fn add_hooks<E: Engine>(tx: &mut Tx<E>, record: &Arc<Record>) {
    let (committed, rolled_back) = (Arc::clone(record), Arc::clone(record));
    tx.after_commit(async move { committed.hook_ran(HookOutcome::Committed) });
    tx.after_rollback(|cause| async move {
        rolled_back.hook_ran(match cause.is_unknown() {
            true => HookOutcome::Unknown,
            false => HookOutcome::RolledBack,
        });
    });
    record.hooks_added();
}

#[transactional(name = "bank.checked", mandatory)]
async fn checked<E: Engine>(tx: &mut Tx<E>, record: &Arc<Record>) -> Result<Fee, Failure> {
    body(tx, record).await
}

/// Runs a transfer within its transaction, whichever kind of scope began it.
pub async fn body<E: Engine>(tx: &mut Tx<E>, record: &Record) -> Result<Fee, Failure> {
    record.enter(Phase::Body);
    let result = Box::pin(steps(tx, record)).await;
    record.enter(match result {
        Ok(_) => Phase::Commit,
        Err(_) => Phase::Rollback,
    });
    result
}

async fn steps<E: Engine>(tx: &mut Tx<E>, record: &Record) -> Result<Fee, Failure> {
    let scenario = &record.scenario;
    if scenario.shape == Shape::RequiresNew {
        // This runs before any row is locked, because scopes that wait for the rows hold sessions
        // that it may need.
        note_separately(tx, record).await;
    }
    for (account, cents) in scenario.postings() {
        record.checkpoint().await;
        post(&mut *tx, record, account, cents).await?;
    }
    record.checkpoint().await;
    enter(&mut *tx, record, 0, scenario.cents).await?;
    record.checkpoint().await;
    match scenario.shape {
        Shape::Nested(delay) => return fee(delay, charge(tx, record)).await,
        Shape::NestedFailure => return fee(None, charge(tx, record)).await,
        Shape::SwallowedError => drop(enter(tx, record, 0, scenario.cents).await),
        Shape::JoinedFailure => drop(refuse(tx).await),
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
    tx: &mut Tx<E>,
    record: &Record,
    statement: Statement<E>,
) -> Result<u64, Failure> {
    record.enter(Phase::Statement);
    let rows = statement.execute(tx).await;
    record.enter(Phase::Body);
    Ok(rows?)
}

/// Joins the transfer, and posts to one account.
#[transactional(name = "bank.post")]
async fn post<E: Engine>(
    tx: &mut Tx<E>,
    record: &Record,
    account: i64,
    cents: i64,
) -> Result<(), Failure> {
    match run(tx, record, update_account(account, cents)).await? {
        0 => Err(Failure::Overdraft),
        _ => Ok(()),
    }
}

/// Joins the transfer, and enters it in the ledger.
#[transactional(name = "bank.enter")]
async fn enter<E: Engine>(
    tx: &mut Tx<E>,
    record: &Record,
    fee: i64,
    cents: i64,
) -> Result<(), Failure> {
    run(tx, record, insert_entry(&record.scenario, fee, cents)).await?;
    Ok(())
}

/// Joins, and fails without having done anything.
#[transactional(name = "bank.refuse")]
async fn refuse<E: Engine>(_tx: &mut Tx<E>) -> Result<(), Failure> {
    Err(Failure::REFUSED)
}

/// Charges the fee in a nested scope, which may fail alone.
#[transactional(name = "bank.fee", nested)]
async fn charge<E: Engine>(tx: &mut Tx<E>, record: &Record) -> Result<(), Failure> {
    let scenario = &record.scenario;
    post(tx, record, scenario.debtor, -FEE).await?;
    record.checkpoint().await;
    post(tx, record, scenario.creditor, FEE).await?;
    if scenario.shape == Shape::NestedFailure {
        return Err(Failure::REFUSED);
    }
    enter(tx, record, 1, FEE).await
}

/// Writes the note in a separate transaction, whatever the outcome of the outer one.
async fn note_separately<E: Engine>(tx: &mut Tx<E>, record: &Record) {
    match note(tx, record).await {
        Ok(()) => record.set_note(Note::Written),
        Err(Failure::Unknown) => {}
        Err(_) => record.set_note(Note::Failed),
    }
}

#[transactional(name = "bank.note", requires_new)]
async fn note<E: Engine>(tx: &mut Tx<E>, record: &Record) -> Result<(), Failure> {
    run(tx, record, insert_note(record.scenario.id)).await?;
    Ok(())
}
