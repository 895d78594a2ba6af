//! The differences between the engines that show in tests of bad input, of the pool and of single
//! statements.

use std::path::Path;

use txn::{MySql, Postgres, Sqlite};

use crate::support::engine::TestEngine;

pub(crate) trait Dialect: TestEngine {
    /// Several transactions may write at a time.
    const CONCURRENT_WRITERS: bool;
    /// The code of a statement on a table that is not there.
    const MISSING_TABLE: &'static str;
    const INSERT_WITH_BINDS: &'static str;
    /// A query with a bind that returns one row.
    const SELECT_WITH_BIND: &'static str;
    /// A query with a bind that returns several rows, the first of them with this id.
    const SELECT_FROM: &'static str;
    /// A statement that asks for a bind which the driver refuses to leave out.
    const UNBOUND: &'static str;
    /// The driver's type for an error of the database.
    type DriverError: sqlx::error::DatabaseError;
    /// A table whose rows must have a parent when the transaction commits.
    const DEFERRED: Option<&'static str>;
    /// Asserts what the driver says of a row without a parent.
    fn assert_details(error: &Self::DriverError);

    /// An engine's name as messages have it, and the scheme of its URLs.
    const NAME: &'static str;
    const SCHEME: &'static str;

    /// Addresses at which no server listens: a closed port, a missing socket, a missing file.
    fn unreachable(directory: &Path) -> Vec<String>;
}

/// A port that was bound and released, so that nobody listens on it.
fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Dialect for Sqlite {
    const CONCURRENT_WRITERS: bool = false;
    const MISSING_TABLE: &'static str = "1";
    const INSERT_WITH_BINDS: &'static str = "INSERT INTO t (id, n) VALUES (?, ?)";
    const SELECT_WITH_BIND: &'static str = "SELECT n FROM t WHERE id = ?";
    const SELECT_FROM: &'static str = "SELECT n FROM t WHERE id >= ? ORDER BY id";
    const UNBOUND: &'static str = "SELECT n FROM t WHERE id = :id";
    type DriverError = sqlx::sqlite::SqliteError;
    const DEFERRED: Option<&'static str> = Some(
        "CREATE TABLE child (id INTEGER PRIMARY KEY, \
         parent INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    const NAME: &'static str = "SQLite";
    const SCHEME: &'static str = "sqlite";

    fn assert_details(error: &Self::DriverError) {
        assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
    }

    fn unreachable(directory: &Path) -> Vec<String> {
        let missing = directory.join("missing.db");
        vec![format!("sqlite://{}", missing.display())]
    }
}

impl Dialect for Postgres {
    const CONCURRENT_WRITERS: bool = true;
    const MISSING_TABLE: &'static str = "42P01";
    const INSERT_WITH_BINDS: &'static str = "INSERT INTO t (id, n) VALUES ($1, $2)";
    const SELECT_WITH_BIND: &'static str = "SELECT n FROM t WHERE id = $1";
    const SELECT_FROM: &'static str = "SELECT n FROM t WHERE id >= $1 ORDER BY id";
    const UNBOUND: &'static str = "SELECT n FROM t WHERE id = $1";
    type DriverError = sqlx::postgres::PgDatabaseError;
    const DEFERRED: Option<&'static str> = Some(
        "CREATE TABLE child (id BIGINT PRIMARY KEY, \
         parent BIGINT REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
    );
    const NAME: &'static str = "PostgreSQL";
    const SCHEME: &'static str = "postgres";

    fn assert_details(error: &Self::DriverError) {
        let detail = error.detail().unwrap();
        assert!(detail.contains("is not present in table"), "{detail}");
        assert_eq!(
            (error.constraint(), error.table()),
            (Some("child_parent_fkey"), Some("child"))
        );
    }

    fn unreachable(directory: &Path) -> Vec<String> {
        let directory = directory.display();
        vec![
            format!("postgres://postgres@127.0.0.1:{}/postgres", closed_port()),
            format!("postgres://postgres@localhost/postgres?host={directory}"),
        ]
    }
}

impl Dialect for MySql {
    const CONCURRENT_WRITERS: bool = true;
    const MISSING_TABLE: &'static str = "1146";
    const INSERT_WITH_BINDS: &'static str = "INSERT INTO t (id, n) VALUES (?, ?)";
    const SELECT_WITH_BIND: &'static str = "SELECT n FROM t WHERE id = ?";
    const SELECT_FROM: &'static str = "SELECT n FROM t WHERE id >= ? ORDER BY id";
    const UNBOUND: &'static str = "SELECT n FROM t WHERE id = ?";
    type DriverError = sqlx::mysql::MySqlDatabaseError;
    const DEFERRED: Option<&'static str> = None;
    const NAME: &'static str = "MySQL";
    const SCHEME: &'static str = "mysql";

    fn assert_details(_error: &Self::DriverError) {
        unreachable!("its constraints are not deferred")
    }

    fn unreachable(directory: &Path) -> Vec<String> {
        let socket = directory.join("my.sock");
        vec![
            format!("mysql://root@127.0.0.1:{}/test", closed_port()),
            format!("mysql://root@localhost/test?socket={}", socket.display()),
        ]
    }
}
