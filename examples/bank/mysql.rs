//! The bank on MySQL and MariaDB.

#[path = "posting.rs"]
mod posting;
#[path = "run.rs"]
pub(crate) mod run;
#[path = "schema.rs"]
mod schema;

type Bank = txn::MySql;

const SYSTEM: &str = "MySQL/MariaDB";

/// Everybody locks in the order of ids, so that no two transfers wait for each other.
const LOCK_ACCOUNTS: &str =
    "SELECT id FROM txn_bank_accounts WHERE id IN (?, ?) ORDER BY id FOR UPDATE";

fn sql(text: &'static str) -> &'static str {
    text
}
