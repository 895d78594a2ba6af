//! The tables, and what a connection of its own sees in them.

use sqlx::{Connection, Executor};
use txn::ConnectOptionsOf;

use super::{Database, sql};
use crate::bank::Count;
use crate::order::{ACCOUNTS, OPENING};

type Result<T> = std::result::Result<T, sqlx::Error>;
pub(super) type Direct = <Database as sqlx::Database>::Connection;

const TABLES: [&str; 4] = [
    "DROP TABLE IF EXISTS txn_dashboard_ledger",
    "DROP TABLE IF EXISTS txn_dashboard_accounts",
    "CREATE TABLE txn_dashboard_accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)",
    "CREATE TABLE txn_dashboard_ledger (
        id BIGINT NOT NULL,
        fee BIGINT NOT NULL,
        debtor BIGINT NOT NULL,
        creditor BIGINT NOT NULL,
        cents BIGINT NOT NULL,
        PRIMARY KEY (id, fee))",
];

pub(super) async fn connect(options: &ConnectOptionsOf<Database>) -> Result<Direct> {
    Direct::connect_with(options).await
}

pub(super) async fn create(direct: &mut Direct) -> Result<()> {
    for statement in TABLES {
        direct.execute(statement).await?;
    }
    let mut tx = direct.begin().await?;
    for id in 1..=ACCOUNTS {
        let insert = sqlx::query(sql("INSERT INTO txn_dashboard_accounts VALUES (?, ?)"));
        insert.bind(id).bind(OPENING).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Each statement by itself sees the database at one moment.
pub(super) async fn count(direct: &mut Direct) -> Result<Count> {
    let balances = sqlx::query_scalar("SELECT balance FROM txn_dashboard_accounts");
    let balances: Vec<i64> = balances.fetch_all(&mut *direct).await?;
    let transfers = "SELECT COUNT(*) FROM txn_dashboard_ledger WHERE fee = 0";
    Ok(Count {
        cents: balances.iter().sum(),
        transfers: sqlx::query_scalar(transfers).fetch_one(direct).await?,
    })
}
