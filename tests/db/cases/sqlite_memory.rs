//! The one session of a database in memory is reset and not closed. Each session of a file is given
//! its settings.

use futures_util::future::join_all;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Executor};
use txn::{Db, Reset, Sqlite};

use super::Fixture;
use crate::support::session_leftovers::SessionLeftovers;

async fn ask(db: &Db<Sqlite>, question: &'static str) -> String {
    db.settled().await;
    Sqlite::text(&db.fetch_one(question).await.unwrap())
}

async fn memory(reset: Reset, options: SqliteConnectOptions) -> Db<Sqlite> {
    let db = Db::<Sqlite>::builder(options).reset(reset).connect().await.unwrap();
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
    db
}

#[tokio::test]
async fn a_database_in_memory_is_kept_and_everything_else_undone() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = memory(reset, "sqlite::memory:".parse().unwrap()).await;
        let more = [
            ("ATTACH ':memory:' AS \"left \"\"over\"", "SELECT COUNT(*) FROM pragma_database_list"),
            (
                "CREATE TEMP TABLE \"left \"\"over\" (id INT)",
                "SELECT COUNT(*) FROM sqlite_temp_schema",
            ),
            ("PRAGMA temp_store = 2", "PRAGMA temp_store"),
            ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys"),
            ("PRAGMA busy_timeout = 7", "PRAGMA busy_timeout"),
        ];
        for (sql, question) in Sqlite::LEFTOVERS.iter().copied().chain(more) {
            let before = ask(&db, question).await;
            let mut session = db.session().await.unwrap();
            session.execute(sqlx::raw_sql(sql)).await.unwrap();
            assert_ne!(Sqlite::text(&session.fetch_one(question).await.unwrap()), before, "{sql}");
            drop(session);
            assert_eq!(ask(&db, question).await, before, "{sql}");
            assert_eq!(ask(&db, "SELECT COUNT(*) FROM t").await, "0");
            assert_eq!(db.status().open, 1);
        }
    }
}

/// These settings are how the session was opened.
#[tokio::test]
async fn what_options_and_after_connect_have_set_up_in_memory_stays() {
    let options: SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
    let builder = Db::<Sqlite>::builder(options.pragma("cache_size", "33").foreign_keys(false));
    let builder = builder.reset(Reset::Everything).after_connect(|connection, _| {
        Box::pin(async move {
            let set_up = "ATTACH ':memory:' AS other; CREATE TABLE other.kept (id INT); \
                          CREATE TEMP TABLE mine (id INT)";
            connection.execute(sqlx::raw_sql(set_up)).await.map(drop)
        })
    });
    let db = builder.connect().await.unwrap();
    for _ in 0..3 {
        let mut session = db.session().await.unwrap();
        let leave = "INSERT INTO kept VALUES (1); PRAGMA cache_size = 44; \
                     PRAGMA foreign_keys = ON; CREATE TEMP TABLE yours (id INT)";
        session.execute(sqlx::raw_sql(leave)).await.unwrap();
    }
    assert_eq!(ask(&db, "SELECT COUNT(*) FROM kept").await, "3");
    assert_eq!(ask(&db, "SELECT COUNT(*) FROM mine").await, "0");
    assert_eq!(ask(&db, "PRAGMA cache_size").await, "33");
    assert_eq!(ask(&db, "PRAGMA foreign_keys").await, "0");
    db.execute("SELECT * FROM yours").await.unwrap_err();
}

#[tokio::test]
async fn what_after_connect_attaches_is_there_for_all_readers_at_once() {
    let other = tempfile::tempdir().unwrap();
    let other = other.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let db = Fixture::<Sqlite>::with(|builder| {
        builder.max_sessions(8).after_connect(move |connection, _| {
            let attach = AssertSqlSafe(attach.clone());
            Box::pin(async move { connection.execute(attach).await.map(drop) })
        })
    })
    .await;
    db.execute("CREATE TABLE other.t (id INTEGER)").await.unwrap();
    db.execute("INSERT INTO other.t VALUES (7)").await.unwrap();
    let sessions = join_all((0..8).map(|_| db.session())).await;
    for session in sessions {
        let seven: i64 = sqlx::query_scalar("SELECT id FROM other.t")
            .fetch_one(&mut session.unwrap())
            .await
            .unwrap();
        assert_eq!(seven, 7);
    }
    assert_eq!(db.status().open, 8);
}
