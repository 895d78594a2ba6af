//! The statements of the workloads, the same for every peer.

/// Parameters by number: PostgreSQL and SQLite.
pub mod numbered {
    pub const READ: &str = "SELECT balance FROM account WHERE id = $1";
    pub const ADD: &str = "UPDATE account SET balance = balance + $1 WHERE id = $2";
    pub const BOOK: &str = "INSERT INTO ledger (debtor, creditor, cents) VALUES ($1, $2, $3)";
}

/// Parameters by place: MariaDB.
pub mod placed {
    pub const READ: &str = "SELECT balance FROM account WHERE id = ?";
    pub const ADD: &str = "UPDATE account SET balance = balance + ? WHERE id = ?";
    pub const BOOK: &str = "INSERT INTO ledger (debtor, creditor, cents) VALUES (?, ?, ?)";
}
