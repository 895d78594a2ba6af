//! The tables, and what a connection of its own sees in them: as the server has it, txn not in between.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use sqlx::{Connection, Executor};
use txn::ConnectOptionsOf;

use super::{Bank, sql};
use crate::ledger::Ledger;

type Result<T> = std::result::Result<T, sqlx::Error>;
type Direct = <Bank as sqlx::Database>::Connection;

const OPENING: i64 = 10_000;

/// Accounts whose balance is not what the ledger makes of it.
const DISAGREEING: &str = "
    SELECT COUNT(*) FROM txn_storm_accounts AS a
    LEFT JOIN (
        SELECT account, SUM(cents) AS cents FROM (
            SELECT creditor AS account, cents FROM txn_storm_ledger
            UNION ALL SELECT debtor, -cents FROM txn_storm_ledger
        ) AS entries GROUP BY account
    ) AS moved ON moved.account = a.id
    WHERE a.balance <> 10000 + COALESCE(moved.cents, 0)";

const TABLES: [&str; 8] = [
    "DROP TABLE IF EXISTS txn_storm_notes",
    "DROP TABLE IF EXISTS txn_storm_ledger",
    "DROP TABLE IF EXISTS txn_storm_accounts",
    "DROP TABLE IF EXISTS txn_storm_locks",
    "CREATE TABLE txn_storm_accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)",
    "CREATE TABLE txn_storm_ledger (
        id BIGINT NOT NULL,
        fee BIGINT NOT NULL,
        debtor BIGINT NOT NULL,
        creditor BIGINT NOT NULL,
        cents BIGINT NOT NULL,
        PRIMARY KEY (id, fee))",
    "CREATE TABLE txn_storm_notes (id BIGINT PRIMARY KEY)",
    "CREATE TABLE txn_storm_locks (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
];

pub(super) async fn connect(options: &ConnectOptionsOf<Bank>) -> Result<Direct> {
    Direct::connect_with(options).await
}

pub(super) async fn create(direct: &mut Direct, accounts: i64) -> Result<()> {
    for statement in TABLES {
        direct.execute(statement).await?;
    }
    let mut tx = direct.begin().await?;
    for id in 1..=accounts {
        let insert = sqlx::query(sql("INSERT INTO txn_storm_accounts VALUES (?, ?)"));
        insert.bind(id).bind(OPENING).execute(&mut *tx).await?;
    }
    tx.execute("INSERT INTO txn_storm_locks VALUES (1, 0)")
        .await?;
    tx.commit().await
}

pub(super) async fn read(direct: &mut Direct, accounts: i64) -> Result<Ledger> {
    let balances = "SELECT id, balance FROM txn_storm_accounts";
    let balances: Vec<(i64, i64)> = sqlx::query_as(balances).fetch_all(&mut *direct).await?;
    let total: i64 = balances.iter().map(|(_, balance)| balance).sum();
    let disagreeing = sqlx::query_scalar(DISAGREEING);
    let entries = "SELECT id, fee FROM txn_storm_ledger";
    Ok(Ledger {
        money_gained: total - OPENING * accounts,
        accounts_disagreeing: disagreeing.fetch_one(&mut *direct).await?,
        entries: ids(direct, entries).await?,
        notes: ids(direct, "SELECT id, id FROM txn_storm_notes").await?,
    })
}

async fn ids(direct: &mut Direct, query: &'static str) -> Result<HashSet<(i64, i64)>> {
    let rows = sqlx::query_as::<Bank, (i64, i64)>(query).fetch(direct);
    rows.try_collect().await
}
