//! The statements of the workloads, the same for every peer.

/// Statements with numbered parameters, for PostgreSQL and SQLite.
pub mod numbered {
    pub const READ: &str = "SELECT balance FROM account WHERE id = $1";
    pub const ADD: &str = "UPDATE account SET balance = balance + $1 WHERE id = $2";
    pub const BOOK: &str = "INSERT INTO ledger (debtor, creditor, cents) VALUES ($1, $2, $3)";
}

/// Statements with positional parameters, for MariaDB.
pub mod positional {
    pub const READ: &str = "SELECT balance FROM account WHERE id = ?";
    pub const ADD: &str = "UPDATE account SET balance = balance + ? WHERE id = ?";
    pub const BOOK: &str = "INSERT INTO ledger (debtor, creditor, cents) VALUES (?, ?, ?)";
}
