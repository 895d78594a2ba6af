//! The differences between the engines, so that one program runs on all of them.

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{
    AssertSqlSafe, Connection, Executor, IntoArguments, Row, SqlSafeStr, SqlStr, Transaction,
};
use txn::{ConnectOptionsOf, MySql, Postgres, Sqlite};
use txn_test_servers::Options;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// An engine that the examples run on.
pub trait Engine: txn::Engine<Arguments: IntoArguments<Self>> {
    const SYSTEM_NAME: &'static str;
    /// True if a scope can write on a second session. On other engines such a scope would wait for
    /// itself.
    const SECOND_WRITER: bool = true;
    /// A query that takes some 20 s.
    const SLOW: &'static str;
    /// The clause with which a `SELECT` locks its rows. It is empty for SQLite, where only one
    /// scope writes at a time.
    const FOR_UPDATE: &'static str = "FOR UPDATE";

    /// Replaces `?` in a statement by the engine's placeholders.
    fn sql(text: String) -> SqlStr {
        AssertSqlSafe(text).into_sql_str()
    }

    fn bind(
        query: Query<'static, Self, Self::Arguments>,
        value: Value,
    ) -> Query<'static, Self, Self::Arguments>;

    /// Returns the number of rows that a statement changed.
    fn rows_affected(result: &Self::QueryResult) -> u64;

    fn integer(row: &Self::Row, column: usize) -> Result<i64>;

    /// Returns a connection as an executor that bypasses txn.
    fn executor<'c>(connection: &'c mut Self::Connection) -> impl Executor<'c, Database = Self>;

    fn options(url: &str) -> Result<ConnectOptionsOf<Self>> {
        url.parse()
    }

    /// The options to start a throwaway server. `None` if the engine only needs a file.
    fn server() -> Option<Options>;

    fn port(options: &ConnectOptionsOf<Self>) -> u16;

    fn with_port(options: ConnectOptionsOf<Self>, port: u16) -> ConnectOptionsOf<Self>;

    /// Marks sessions, so that [`open_transactions`](Self::open_transactions) finds them.
    fn tagged(options: ConnectOptionsOf<Self>) -> ConnectOptionsOf<Self> {
        options
    }

    /// Returns the marked sessions that are in a transaction, as the server sees it.
    fn open_transactions(
        direct: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Terminates up to `at_most` other sessions of this database, chosen at random, and returns
    /// their number.
    fn terminate(
        direct: &mut Self::Connection,
        at_most: i64,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Takes locks that every transfer has to wait for.
    fn lock_accounts(
        direct: &mut Self::Connection,
    ) -> impl Future<Output = Result<Transaction<'_, Self>>> + Send;
}

#[derive(Clone, Debug)]
pub enum Value {
    Integer(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

/// The methods with the same source for each engine. They cannot be provided methods, because the
/// trait's bounds do not cover them.
macro_rules! same_on_every_engine {
    () => {
        fn bind(
            query: Query<'static, Self, Self::Arguments>,
            value: Value,
        ) -> Query<'static, Self, Self::Arguments> {
            match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
            }
        }

        fn rows_affected(result: &Self::QueryResult) -> u64 {
            result.rows_affected()
        }

        fn integer(row: &Self::Row, column: usize) -> Result<i64> {
            row.try_get(column)
        }

        fn executor<'c>(
            connection: &'c mut Self::Connection,
        ) -> impl Executor<'c, Database = Self> {
            connection
        }
    };
}

impl Engine for Sqlite {
    const SYSTEM_NAME: &'static str = "SQLite";
    const SECOND_WRITER: bool = false;
    const SLOW: &'static str = "WITH RECURSIVE n(i) AS \
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000000) SELECT COUNT(*) FROM n";
    const FOR_UPDATE: &'static str = "";

    same_on_every_engine!();

    fn options(url: &str) -> Result<SqliteConnectOptions> {
        let options: SqliteConnectOptions = url.parse()?;
        Ok(options.create_if_missing(true))
    }

    fn server() -> Option<Options> {
        None
    }

    fn port(_: &SqliteConnectOptions) -> u16 {
        unreachable!("SQLite has no server")
    }

    fn with_port(_: SqliteConnectOptions, _: u16) -> SqliteConnectOptions {
        unreachable!("SQLite has no server")
    }

    /// A transaction that writes holds the only lock of the database.
    async fn open_transactions(direct: &mut SqliteConnection) -> Result<Vec<String>> {
        direct.execute("PRAGMA busy_timeout = 0").await?;
        match direct.begin_with("BEGIN IMMEDIATE").await {
            Ok(tx) => tx.rollback().await.map(|()| Vec::new()),
            Err(error) => Ok(vec![error.to_string()]),
        }
    }

    async fn terminate(_: &mut SqliteConnection, _: i64) -> Result<u64> {
        unreachable!("SQLite has no server")
    }

    /// SQLite has one lock per database.
    async fn lock_accounts(direct: &mut SqliteConnection) -> Result<Transaction<'_, Self>> {
        direct.begin_with("BEGIN IMMEDIATE").await
    }
}

impl Engine for Postgres {
    const SYSTEM_NAME: &'static str = "PostgreSQL";
    const SLOW: &'static str = "SELECT pg_sleep(20)";

    same_on_every_engine!();

    /// PostgreSQL numbers its placeholders.
    fn sql(text: String) -> SqlStr {
        let mut parts = text.split('?');
        let mut numbered = parts.next().unwrap_or_default().to_owned();
        for (part, number) in parts.zip(1..) {
            numbered += &format!("${number}{part}");
        }
        AssertSqlSafe(numbered).into_sql_str()
    }

    fn server() -> Option<Options> {
        Some(Options::postgres())
    }

    fn port(options: &PgConnectOptions) -> u16 {
        options.get_port()
    }

    fn with_port(options: PgConnectOptions, port: u16) -> PgConnectOptions {
        options.port(port)
    }

    fn tagged(options: PgConnectOptions) -> PgConnectOptions {
        options.application_name("txn-chaos")
    }

    async fn open_transactions(direct: &mut PgConnection) -> Result<Vec<String>> {
        let query = "SELECT concat_ws(': ', pid, state, query) FROM pg_stat_activity \
            WHERE application_name = 'txn-chaos' \
            AND datname = current_database() AND pid <> pg_backend_pid() \
            AND (state LIKE 'idle in transaction%' OR xact_start IS NOT NULL)";
        sqlx::query_scalar(query).fetch_all(direct).await
    }

    async fn terminate(direct: &mut PgConnection, at_most: i64) -> Result<u64> {
        let victims = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
            WHERE datname = current_database() AND pid <> pg_backend_pid() \
            ORDER BY random() LIMIT $1) AS victims";
        let ended = sqlx::query(victims).bind(at_most).fetch_all(direct).await?;
        Ok(ended.len() as u64)
    }

    async fn lock_accounts(direct: &mut PgConnection) -> Result<Transaction<'_, Self>> {
        let mut tx = direct.begin().await?;
        tx.execute("LOCK TABLE txn_chaos_accounts IN EXCLUSIVE MODE")
            .await?;
        Ok(tx)
    }
}

impl Engine for MySql {
    const SYSTEM_NAME: &'static str = "MySQL/MariaDB";
    /// This is not SLEEP, because MariaDB takes up to 2 s for a KILL where several of those run.
    const SLOW: &'static str = "SELECT BENCHMARK(100000000, SHA2('txn', 512))";

    same_on_every_engine!();

    fn server() -> Option<Options> {
        Some(Options::mariadb())
    }

    fn port(options: &MySqlConnectOptions) -> u16 {
        options.get_port()
    }

    fn with_port(options: MySqlConnectOptions, port: u16) -> MySqlConnectOptions {
        options.port(port)
    }

    /// The server shows a transaction once it has read or written something, and its view may be
    /// 0.1 s old.
    async fn open_transactions(direct: &mut MySqlConnection) -> Result<Vec<String>> {
        let query = "SELECT CONCAT_WS(': ', p.id, p.command, p.info) \
            FROM information_schema.innodb_trx AS t \
            JOIN information_schema.processlist AS p ON p.id = t.trx_mysql_thread_id \
            WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()";
        sqlx::query_scalar(query).fetch_all(direct).await
    }

    async fn terminate(direct: &mut MySqlConnection, at_most: i64) -> Result<u64> {
        let victims = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
            WHERE db = DATABASE() AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT ?";
        let victims = sqlx::query_scalar(victims).bind(at_most);
        let victims: Vec<i64> = victims.fetch_all(&mut *direct).await?;
        for id in &victims {
            // The session may be gone already.
            let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
            kill.execute(&mut *direct).await.ok();
        }
        Ok(victims.len() as u64)
    }

    async fn lock_accounts(direct: &mut MySqlConnection) -> Result<Transaction<'_, Self>> {
        let mut tx = direct.begin().await?;
        tx.execute("SELECT id FROM txn_chaos_accounts FOR UPDATE")
            .await?;
        Ok(tx)
    }
}
