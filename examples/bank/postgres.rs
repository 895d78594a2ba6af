//! The bank on PostgreSQL.

use txn::sqlx::AssertSqlSafe;

#[path = "posting.rs"]
mod posting;
#[path = "run.rs"]
pub(crate) mod run;
#[path = "schema.rs"]
mod schema;

type Bank = txn::Postgres;

const SYSTEM: &str = "PostgreSQL";

/// Everybody locks in the order of ids, so that no two transfers wait for each other.
const LOCK_ACCOUNTS: &str =
    "SELECT id FROM txn_bank_accounts WHERE id IN (?, ?) ORDER BY id FOR UPDATE";

/// PostgreSQL numbers its placeholders.
fn sql(text: &'static str) -> AssertSqlSafe<String> {
    let mut parts = text.split('?');
    let mut numbered = parts.next().unwrap_or_default().to_owned();
    for (part, number) in parts.zip(1..) {
        numbered += &format!("${number}{part}");
    }
    AssertSqlSafe(numbered)
}
