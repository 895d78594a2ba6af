//! The postings, which are annotated functions that call each other.

use thiserror::Error;
use txn::{Tx, transactional};
use txn_chaos::{Engine, query};

use crate::domain::{BANK, Fee, Refusal, Transfer};

#[derive(Debug, Error)]
pub(crate) enum PostingError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Database(#[from] txn::Error),
}

impl From<sqlx::Error> for PostingError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Posts a transfer as a whole, or not at all.
#[transactional(name = "bank.post")]
pub(crate) async fn post<E: Engine>(
    tx: &mut Tx<E>,
    transfer: &Transfer,
) -> Result<Fee, PostingError> {
    lock(tx, transfer.debtor, transfer.creditor).await?;
    debit(tx, transfer.debtor, transfer.cents).await?;
    credit(tx, transfer.creditor, transfer.cents).await?;
    enter(tx, transfer).await?;
    if transfer.fee == 0 {
        return Ok(Fee::None);
    }
    match charge(tx, transfer).await {
        Ok(()) => Ok(Fee::Taken),
        Err(PostingError::Refused(_)) => Ok(Fee::Skipped),
        Err(error) => Err(error),
    }
}

/// Charges the fee in a nested scope. A fee that the debtor cannot pay leaves no trace, and the
/// transfer is kept.
#[transactional(name = "bank.charge", nested)]
async fn charge<E: Engine>(tx: &mut Tx<E>, transfer: &Transfer) -> Result<(), PostingError> {
    credit(tx, BANK, transfer.fee).await?;
    debit(tx, transfer.debtor, transfer.fee).await?;
    let fee = Transfer {
        creditor: BANK,
        cents: transfer.fee,
        ..*transfer
    };
    enter(tx, &fee).await
}

/// Locks the accounts. Every transfer locks in the order of ids, so that no two of them deadlock.
/// The scope is mandatory, because locks that end with the call would protect nothing.
#[transactional(name = "bank.lock", mandatory)]
async fn lock<E: Engine>(tx: &mut Tx<E>, debtor: i64, creditor: i64) -> Result<(), PostingError> {
    let select = "SELECT id FROM txn_bank_accounts WHERE id IN (?, ?) ORDER BY id";
    let select = query(format!("{select} {}", E::FOR_UPDATE));
    let found = select.bind(debtor).bind(creditor).fetch_all(tx).await?;
    match [debtor, creditor]
        .iter()
        .find(|id| !found.contains(&[**id]))
    {
        Some(&missing) => Err(Refusal::UnknownAccount(missing).into()),
        None => Ok(()),
    }
}

#[transactional(name = "bank.debit")]
async fn debit<E: Engine>(tx: &mut Tx<E>, account: i64, cents: i64) -> Result<(), PostingError> {
    let update = "UPDATE txn_bank_accounts SET balance = balance - ? WHERE id = ? AND balance >= ?";
    let update = query(update).bind(cents).bind(account).bind(cents);
    match update.execute(tx).await? {
        0 => Err(Refusal::Overdraft(account).into()),
        _ => Ok(()),
    }
}

#[transactional(name = "bank.credit")]
async fn credit<E: Engine>(tx: &mut Tx<E>, account: i64, cents: i64) -> Result<(), PostingError> {
    let update = "UPDATE txn_bank_accounts SET balance = balance + ? WHERE id = ?";
    let update = query(update).bind(cents).bind(account);
    match update.execute(tx).await? {
        0 => Err(Refusal::UnknownAccount(account).into()),
        _ => Ok(()),
    }
}

/// Inserts a ledger entry. Its key keeps a transfer from being posted twice.
#[transactional(name = "bank.enter")]
async fn enter<E: Engine>(tx: &mut Tx<E>, entry: &Transfer) -> Result<(), PostingError> {
    let insert =
        "INSERT INTO txn_bank_ledger (transfer, debtor, creditor, cents) VALUES (?, ?, ?, ?)";
    let insert = query(insert).bind(entry.id).bind(entry.debtor);
    let insert = insert.bind(entry.creditor).bind(entry.cents);
    insert.execute(tx).await?;
    Ok(())
}

/// Records a refusal. It is called after the transaction of the transfer was rolled back, so the
/// record stays.
#[transactional(name = "bank.refuse")]
pub(crate) async fn refuse<E: Engine>(
    tx: &mut Tx<E>,
    transfer: i64,
    why: Refusal,
) -> Result<(), txn::Error> {
    let insert = "INSERT INTO txn_bank_refusals (transfer, reason) VALUES (?, ?)";
    let insert = query(insert).bind(transfer).bind(why.to_string().as_str());
    insert.execute(tx).await?;
    Ok(())
}
