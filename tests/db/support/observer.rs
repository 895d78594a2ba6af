//! The server itself says which sessions of a test are connected, and which are inside of a
//! transaction.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use tokio::time::{sleep, timeout};
use txn::{ConnectOptionsOf, MySql, Postgres, Sqlite};
use txn_test_servers::{shared_mariadb_url, shared_postgres_url};

use crate::support::engine::{Place, TestEngine};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

/// The time after which a test says that something takes for ever, even on a machine that has ten
/// times as much to do as it can. No test asserts that anything is done within it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) trait Observed: TestEngine {
    /// A statement dropped in flight costs the session.
    const DROP_COSTS_SESSION: bool;

    /// Options for the database by way of a proxy, where there is a wire to put one on.
    fn wired(place: &Place) -> (Option<Proxy>, ConnectOptionsOf<Self>);
    /// A connection that is not one of the test's.
    fn observer(place: &Place) -> impl Future<Output = Self::Connection> + Send;
    /// Counts the test's sessions that are inside of a transaction.
    fn inside(observer: &mut Self::Connection, place: &Place)
    -> impl Future<Output = usize> + Send;
    /// Counts the test's sessions that the server has.
    fn connected(
        observer: &mut Self::Connection,
        place: &Place,
    ) -> impl Future<Output = usize> + Send;
    /// Returns whether this very session is inside of a transaction.
    fn is_inside(session: &mut Self::Connection) -> impl Future<Output = bool> + Send;
}

/// Waits until the condition holds; how soon a server notices a lost client is its own affair.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

fn count(number: i64) -> usize {
    number.try_into().unwrap()
}

impl Observed for Sqlite {
    const DROP_COSTS_SESSION: bool = false;

    fn wired(place: &Place) -> (Option<Proxy>, SqliteConnectOptions) {
        (None, place.url.parse().unwrap())
    }

    async fn observer(place: &Place) -> SqliteConnection {
        let options: SqliteConnectOptions = place.url.parse().unwrap();
        let at_once = options.busy_timeout(Duration::ZERO);
        at_once.connect().await.unwrap()
    }

    /// A checkpoint that truncates the log is refused as long as anybody reads or writes.
    async fn inside(observer: &mut SqliteConnection, _: &Place) -> usize {
        let row = observer.fetch_one("PRAGMA wal_checkpoint(TRUNCATE)").await;
        count(row.unwrap().get(0))
    }

    /// The open descriptors of the file are counted. An observer would keep them open, so that
    /// there must be none.
    async fn connected(_: &mut SqliteConnection, place: &Place) -> usize {
        open_files(&place.name)
    }

    async fn is_inside(session: &mut SqliteConnection) -> bool {
        session.execute("BEGIN; ROLLBACK").await.is_err()
    }
}

/// Counts how often this process has the file open.
pub(crate) fn open_files(name: &str) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let files = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    files.filter(|file| file.to_str() == Some(name)).count()
}

impl Observed for Postgres {
    const DROP_COSTS_SESSION: bool = false;

    fn wired(place: &Place) -> (Option<Proxy>, PgConnectOptions) {
        let (proxy, options) = Self::by_proxy(&place.url);
        (Some(proxy), options)
    }

    async fn observer(_: &Place) -> PgConnection {
        PgConnection::connect(shared_postgres_url()).await.unwrap()
    }

    /// Statements in autocommit mode that still run are counted too.
    async fn inside(observer: &mut PgConnection, place: &Place) -> usize {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity \
                   WHERE application_name = $1 AND xact_start IS NOT NULL";
        let count_inside = sqlx::query_scalar(sql).bind(&place.name);
        count(count_inside.fetch_one(observer).await.unwrap())
    }

    async fn connected(observer: &mut PgConnection, place: &Place) -> usize {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1";
        let count_connected = sqlx::query_scalar(sql).bind(&place.name);
        count(count_connected.fetch_one(observer).await.unwrap())
    }

    async fn is_inside(session: &mut PgConnection) -> bool {
        let row = session.fetch_one("SELECT now() <> statement_timestamp()");
        row.await.unwrap().get(0)
    }
}

impl Observed for MySql {
    const DROP_COSTS_SESSION: bool = true;

    fn wired(place: &Place) -> (Option<Proxy>, MySqlConnectOptions) {
        let (proxy, options) = Self::by_proxy(&place.url);
        (Some(proxy), options)
    }

    async fn observer(_: &Place) -> MySqlConnection {
        let url = shared_mariadb_url();
        MySqlConnection::connect(url).await.unwrap()
    }

    /// The table `information_schema.innodb_trx` will not do: it is a copy that is not renewed as
    /// long as somebody reads it.
    async fn inside(observer: &mut MySqlConnection, place: &Place) -> usize {
        let sql = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = ?";
        let sessions = sqlx::query_scalar::<_, i64>(sql).bind(&place.name);
        let sessions = sessions.fetch_all(&mut *observer).await.unwrap();
        let status = observer.fetch_one("SHOW ENGINE INNODB STATUS").await;
        let status: String = status.unwrap().get("Status");
        let transactions = status.split("---TRANSACTION ").skip(1);
        let active = transactions.filter(|transaction| {
            let session = transaction.split("thread id ").nth(1);
            let session = session.and_then(|rest| rest.split(',').next()?.parse().ok());
            transaction.contains("ACTIVE") && session.is_some_and(|id| sessions.contains(&id))
        });
        active.count()
    }

    /// A session is rolled back before it goes from this list.
    async fn connected(observer: &mut MySqlConnection, place: &Place) -> usize {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = ?";
        let count_connected = sqlx::query_scalar(sql).bind(&place.name);
        count(count_connected.fetch_one(observer).await.unwrap())
    }

    async fn is_inside(session: &mut MySqlConnection) -> bool {
        let sql = "SELECT @@in_transaction";
        sqlx::query_scalar(sql).fetch_one(session).await.unwrap()
    }
}
