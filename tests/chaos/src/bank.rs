//! The tables, and their contents as read over a direct connection, which bypasses txn.

use std::collections::HashSet;

use sqlx::Connection;

use crate::engine::Engine;
use crate::query::query;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The balance that each account begins with.
pub const OPENING_BALANCE: i64 = 10_000;

/// The accounts whose balance disagrees with the ledger.
const DISAGREEING: &str = "
    SELECT COUNT(*) FROM txn_chaos_accounts AS a
    LEFT JOIN (
        SELECT account, SUM(cents) AS cents FROM (
            SELECT creditor AS account, cents FROM txn_chaos_ledger
            UNION ALL SELECT debtor, -cents FROM txn_chaos_ledger
        ) AS entries GROUP BY account
    ) AS moved ON moved.account = a.id
    WHERE a.balance <> 10000 + COALESCE(moved.cents, 0)";

const TABLES: [&str; 8] = [
    "DROP TABLE IF EXISTS txn_chaos_notes",
    "DROP TABLE IF EXISTS txn_chaos_ledger",
    "DROP TABLE IF EXISTS txn_chaos_accounts",
    "DROP TABLE IF EXISTS txn_chaos_locks",
    "CREATE TABLE txn_chaos_accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)",
    "CREATE TABLE txn_chaos_ledger (
        id BIGINT NOT NULL,
        fee BIGINT NOT NULL,
        debtor BIGINT NOT NULL,
        creditor BIGINT NOT NULL,
        cents BIGINT NOT NULL,
        PRIMARY KEY (id, fee))",
    "CREATE TABLE txn_chaos_notes (id BIGINT PRIMARY KEY)",
    "CREATE TABLE txn_chaos_locks (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
];

pub async fn create<E: Engine>(direct: &mut E::Connection, accounts: i64) -> Result<()> {
    for table in TABLES {
        query(table).execute(E::executor(direct)).await?;
    }
    let mut tx = direct.begin().await?;
    for id in 1..=accounts {
        let insert = query("INSERT INTO txn_chaos_accounts VALUES (?, ?)");
        let insert = insert.bind(id).bind(OPENING_BALANCE);
        insert.execute(E::executor(&mut tx)).await?;
    }
    let insert = query("INSERT INTO txn_chaos_locks VALUES (1, 0)");
    insert.execute(E::executor(&mut tx)).await?;
    tx.commit().await
}

pub async fn total<E: Engine>(direct: &mut E::Connection) -> Result<i64> {
    // The balances are added up here, because the type of a SUM differs between engines.
    let balances = query("SELECT balance FROM txn_chaos_accounts");
    let balances: Vec<[i64; 1]> = balances.fetch_all(E::executor(direct)).await?;
    Ok(balances.as_flattened().iter().sum())
}

/// Returns the number of transfers in the ledger.
pub async fn transfers<E: Engine>(direct: &mut E::Connection) -> Result<i64> {
    let count = query("SELECT COUNT(*) FROM txn_chaos_ledger WHERE fee = 0");
    count.fetch_one(E::executor(direct)).await
}

/// The contents of the database at the end of a run.
#[derive(Debug, Default)]
pub struct Contents {
    /// The sum of all balances minus the sum that they began with.
    pub money_gained: i64,
    /// The accounts whose balance disagrees with the ledger.
    pub accounts_disagreeing: i64,
    /// The transfers and fees, by the id of the scope: `(id, 0)` and `(id, 1)`.
    pub entries: HashSet<[i64; 2]>,
    pub notes: HashSet<[i64; 1]>,
}

impl Contents {
    pub async fn read<E: Engine>(direct: &mut E::Connection, accounts: i64) -> Result<Self> {
        let total = total::<E>(direct).await?;
        let disagreeing = query(DISAGREEING).fetch_one(E::executor(direct)).await?;
        let entries = query("SELECT id, fee FROM txn_chaos_ledger");
        let entries = entries.fetch_all(E::executor(direct)).await?;
        let notes = query("SELECT id FROM txn_chaos_notes");
        let notes = notes.fetch_all(E::executor(direct)).await?;
        Ok(Self {
            money_gained: total - OPENING_BALANCE * accounts,
            accounts_disagreeing: disagreeing,
            entries: entries.into_iter().collect(),
            notes: notes.into_iter().collect(),
        })
    }
}
