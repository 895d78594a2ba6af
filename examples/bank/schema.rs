//! Creates, fills and audits the tables.

use txn::{Db, Tx, transactional};
use txn_chaos::{Engine, query};

use crate::domain::{Account, BANK};
use crate::report::Audit;

const TABLES: [&str; 6] = [
    "DROP TABLE IF EXISTS txn_bank_refusals",
    "DROP TABLE IF EXISTS txn_bank_ledger",
    "DROP TABLE IF EXISTS txn_bank_accounts",
    "CREATE TABLE txn_bank_accounts (
        id BIGINT PRIMARY KEY,
        owner VARCHAR(200) NOT NULL,
        opening BIGINT NOT NULL,
        balance BIGINT NOT NULL CHECK (balance >= 0))",
    "CREATE TABLE txn_bank_ledger (
        transfer BIGINT NOT NULL,
        debtor BIGINT NOT NULL REFERENCES txn_bank_accounts (id),
        creditor BIGINT NOT NULL REFERENCES txn_bank_accounts (id),
        cents BIGINT NOT NULL CHECK (cents > 0),
        PRIMARY KEY (transfer, creditor))",
    "CREATE TABLE txn_bank_refusals (
        transfer BIGINT PRIMARY KEY,
        reason VARCHAR(200) NOT NULL)",
];

/// The accounts whose balance disagrees with their opening balance and the ledger.
const DISAGREEING: &str = "
    SELECT COUNT(*) FROM txn_bank_accounts AS a
    LEFT JOIN (
        SELECT account, SUM(cents) AS cents FROM (
            SELECT creditor AS account, cents FROM txn_bank_ledger
            UNION ALL SELECT debtor, -cents FROM txn_bank_ledger
        ) AS entries GROUP BY account
    ) AS moved ON moved.account = a.id
    WHERE a.balance <> a.opening + COALESCE(moved.cents, 0)";

/// Creates the tables in autocommit mode. On MySQL, DDL would commit a transaction, so txn refuses
/// it inside of one.
pub(crate) async fn create<E: Engine>(db: &Db<E>) -> Result<(), txn::Error> {
    for statement in TABLES {
        query(statement).execute(db).await?;
    }
    Ok(())
}

/// Inserts all accounts or none.
#[transactional(name = "bank.load")]
pub(crate) async fn load<E: Engine>(
    tx: &mut Tx<E>,
    accounts: &[Account],
) -> Result<(), txn::Error> {
    open_account(tx, BANK, "the bank itself", 0).await?;
    for account in accounts {
        open_account(tx, account.id, &account.owner, account.cents).await?;
    }
    Ok(())
}

#[transactional(name = "bank.open_account")]
async fn open_account<E: Engine>(
    tx: &mut Tx<E>,
    id: i64,
    owner: &str,
    cents: i64,
) -> Result<(), txn::Error> {
    let insert = "INSERT INTO txn_bank_accounts (id, owner, opening, balance) VALUES (?, ?, ?, ?)";
    let insert = query(insert).bind(id).bind(owner);
    insert.bind(cents).bind(cents).execute(tx).await?;
    Ok(())
}

#[transactional(name = "bank.audit", read_only)]
pub(crate) async fn audit<E: Engine>(tx: &mut Tx<E>) -> Result<Audit, txn::Error> {
    let balances = query("SELECT balance FROM txn_bank_accounts");
    let balances = balances.fetch_all(tx).await?;
    Ok(Audit {
        // The balances are added up here, because the type of a SUM differs between engines.
        balances: balances.into_iter().map(|[cents]| i128::from(cents)).sum(),
        disagreeing: count(tx, DISAGREEING).await?,
        ledger_entries: count(tx, "SELECT COUNT(*) FROM txn_bank_ledger").await?,
        refusals: count(tx, "SELECT COUNT(*) FROM txn_bank_refusals").await?,
    })
}

#[transactional(name = "bank.count", read_only)]
async fn count<E: Engine>(tx: &mut Tx<E>, select: &'static str) -> Result<i64, txn::Error> {
    Ok(query(select).fetch_one(tx).await?)
}
