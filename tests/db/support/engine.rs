//! The differences between the engines, as a test sees them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{Connection, Executor};
use tempfile::TempDir;
use txn::{Engine, MySql, Postgres, Sqlite};
use txn_test_servers::{shared_mariadb_url, shared_postgres_url, with_database};

/// A place for one test's tables.
pub(crate) struct Place {
    pub(crate) url: String,
    /// The name by which the server knows the sessions of this test.
    pub(crate) name: String,
    /// This directory is removed with the database in it.
    _directory: Option<TempDir>,
}

pub(crate) trait TestEngine: Engine {
    /// A failed statement aborts the transaction.
    const FAILURE_ABORTS: bool;
    /// Two transactions cannot write at the same time.
    const ONE_WRITER: bool;
    /// A deadlock rolls back the whole transaction, and a CREATE TABLE commits it.
    const ENDS_BY_ITSELF: bool;
    /// A query that runs for an hour or more on the server, so that a test which does not wait for
    /// its end proves to have ended it.
    const SLOW_QUERY: &'static str;

    /// A query that adds up `n`.
    const SUM: &'static str;
    /// The query for the isolation of the transaction, and its answer for `serializable`.
    const ISOLATION: Option<(&'static str, &'static str)>;

    /// The query for the seconds that the server gives an idle transaction; 0 is no limit.
    const ASK_LIMIT: Option<&'static str>;

    /// A statement that fails as if it had met another transaction, where there is such a
    /// statement.
    const CONFLICT: Option<&'static str> = None;

    /// A query that counts the sessions which run the query whose text follows, where the server
    /// notices clients that are gone.
    const RUNNING: Option<&'static str> = None;

    /// A new, empty database.
    fn place() -> impl Future<Output = Place> + Send;
    /// Reads the whole number in a row, such as that of `SELECT COUNT(*)`.
    fn number(row: &Self::Row) -> i64;
}

/// A name that is unique across the processes of a run, which share the servers.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("t{}_{}_{next}", std::process::id(), now.subsec_nanos())
}

impl TestEngine for Sqlite {
    const FAILURE_ABORTS: bool = false;
    const ONE_WRITER: bool = true;
    const ENDS_BY_ITSELF: bool = false;
    const SLOW_QUERY: &'static str = "WITH RECURSIVE n(i) AS \
         (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000000000) \
         SELECT COUNT(*) FROM n";
    const SUM: &'static str = "SELECT SUM(n) FROM t";
    const ISOLATION: Option<(&'static str, &'static str)> = None;
    const ASK_LIMIT: Option<&'static str> = None;

    async fn place() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("test.db");
        Place {
            url: format!("sqlite://{}?mode=rwc", file.display()),
            name: file.display().to_string(),
            _directory: Some(directory),
        }
    }

    fn number(row: &Self::Row) -> i64 {
        sqlx::Row::get(row, 0)
    }
}

impl TestEngine for Postgres {
    const FAILURE_ABORTS: bool = true;
    const ONE_WRITER: bool = false;
    const ENDS_BY_ITSELF: bool = false;
    const SLOW_QUERY: &'static str = "SELECT pg_sleep(3600)";
    const SUM: &'static str = "SELECT SUM(n)::BIGINT FROM t";
    const ISOLATION: Option<(&'static str, &'static str)> = Some((
        "SELECT current_setting('transaction_isolation')",
        "serializable",
    ));

    const ASK_LIMIT: Option<&'static str> = Some(
        "SELECT EXTRACT(EPOCH FROM \
         current_setting('idle_in_transaction_session_timeout')::INTERVAL)::BIGINT",
    );

    const CONFLICT: Option<&'static str> = Some("DO $$ BEGIN RAISE serialization_failure; END $$");

    const RUNNING: Option<&'static str> =
        Some("SELECT COUNT(*) FROM pg_stat_activity WHERE state = 'active' AND query =");

    async fn place() -> Place {
        let (server, name) = (shared_postgres_url(), name());
        let mut admin = sqlx::PgConnection::connect(server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE SCHEMA {name}"));
        admin.execute(create).await.unwrap();
        Place {
            url: format!("{server}&options=-c%20search_path%3D{name}&application_name={name}"),
            name,
            _directory: None,
        }
    }

    fn number(row: &Self::Row) -> i64 {
        sqlx::Row::get(row, 0)
    }
}

impl TestEngine for MySql {
    const FAILURE_ABORTS: bool = false;
    const ONE_WRITER: bool = false;
    const ENDS_BY_ITSELF: bool = true;
    const SLOW_QUERY: &'static str = "SELECT SLEEP(3600)";
    const SUM: &'static str = "SELECT CAST(SUM(n) AS SIGNED) FROM t";
    // The variable shows the session's default; the transaction's own is in this table only.
    const ISOLATION: Option<(&'static str, &'static str)> = Some((
        "SELECT trx_isolation_level FROM information_schema.innodb_trx \
         WHERE trx_mysql_thread_id = CONNECTION_ID()",
        "SERIALIZABLE",
    ));
    const ASK_LIMIT: Option<&'static str> = Some("SELECT CAST(@@SESSION.wait_timeout AS SIGNED)");

    /// The error is that of a deadlock, after which the server would have rolled back.
    const CONFLICT: Option<&'static str> = Some("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213");

    async fn place() -> Place {
        let (server, name) = (shared_mariadb_url(), name());
        let mut admin = sqlx::MySqlConnection::connect(server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        admin.execute(create).await.unwrap();
        Place {
            url: with_database(server, &name),
            name,
            _directory: None,
        }
    }

    fn number(row: &Self::Row) -> i64 {
        sqlx::Row::get(row, 0)
    }
}
