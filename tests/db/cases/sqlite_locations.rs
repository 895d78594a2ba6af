//! A SQLite database is in a file that cannot be written, or in no file at all.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use txn::{Db, Error, Sqlite, Tx, transactional};

use super::{insert, patient};
use crate::support::observer::until;

/// A file with a rollback journal, `t` and one row in it.
async fn file() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db").display().to_string();
    let mut connection =
        SqliteConnection::connect(&format!("sqlite://{path}?mode=rwc")).await.unwrap();
    let table =
        "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL); INSERT INTO t VALUES (1, 0)";
    connection.execute(table).await.unwrap();
    connection.close().await.unwrap();
    (directory, path)
}

async fn text(db: &Db<Sqlite>, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

#[transactional]
async fn adds(tx: &mut Tx<Sqlite>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn counts(tx: &mut Tx<Sqlite>) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(tx).await?)
}

#[transactional(read_only)]
async fn only_counts(tx: &mut Tx<Sqlite>) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(tx).await?)
}

/// The test tries each way to say so.
#[tokio::test]
async fn a_file_that_is_opened_for_reading_is_read_and_keeps_its_journal() {
    let (_directory, path) = file().await;
    let written = std::fs::read(&path).unwrap();
    for options in [
        format!("sqlite://{path}?mode=ro").parse().unwrap(),
        format!("sqlite://{path}?immutable=1").parse().unwrap(),
        format!("sqlite://{path}?mode=ro&immutable=1").parse().unwrap(),
        SqliteConnectOptions::new().filename(&path).read_only(true),
        SqliteConnectOptions::new().filename(&path).immutable(true),
        SqliteConnectOptions::new().filename(format!("file:{path}?mode=ro")),
    ] {
        let said = format!("{options:?}");
        let db = patient::<Sqlite>(options).connect().await.expect(&said);
        assert_eq!(text(&db, "PRAGMA journal_mode").await, "delete", "{said}");
        assert_eq!(counts(&db).await.unwrap(), 1, "{said}");
        assert_eq!(only_counts(&db).await.unwrap(), 1, "{said}");
        let refused = adds(&db, 2).await.unwrap_err();
        assert_eq!(refused.code().as_deref(), Some("8"), "{said}: {refused}");
        db.check().await.unwrap();
        db.close().await;
    }
    assert_eq!(std::fs::read(&path).unwrap(), written);
}

/// The log of the file has to be there, or to be made, as without txn.
#[tokio::test]
async fn a_file_with_a_write_ahead_log_is_read_by_those_who_may_only_read() {
    let (_directory, path) = file().await;
    let writer = Db::<Sqlite>::connect(&format!("sqlite://{path}")).await.unwrap();
    adds(&writer, 2).await.unwrap();
    let reader = Db::<Sqlite>::connect(&format!("sqlite://{path}?mode=ro")).await.unwrap();
    assert_eq!(text(&reader, "PRAGMA journal_mode").await, "wal");
    adds(&writer, 3).await.unwrap();
    assert_eq!(counts(&reader).await.unwrap(), 3);
}

#[tokio::test]
async fn a_file_gets_a_write_ahead_log_unless_its_user_chose_another_journal() {
    let (_directory, path) = file().await;
    let journal = async |options| {
        let db = patient::<Sqlite>(options).connect().await.unwrap();
        let journal = text(&db, "PRAGMA journal_mode").await;
        db.close().await;
        journal
    };
    let options = SqliteConnectOptions::new().filename(&path);
    let chosen = options.clone().journal_mode(SqliteJournalMode::Truncate);
    assert_eq!(journal(chosen).await, "truncate");
    assert_eq!(journal(options.clone().pragma("JOURNAL_MODE", "persist")).await, "persist");
    assert_eq!(journal(options).await, "wal");
}

/// The test tries each way to say so, also the shared ones, which would be lost with their last
/// session.
#[tokio::test]
async fn a_database_without_a_file_is_one_for_all_scopes_and_outlives_every_limit() {
    for options in [
        "sqlite::memory:".parse().unwrap(),
        "sqlite://x?mode=memory".parse().unwrap(),
        "sqlite://y?mode=memory&cache=private".parse().unwrap(),
        "sqlite:file::memory:?cache=shared".parse().unwrap(),
        "sqlite:".parse().unwrap(),
        SqliteConnectOptions::new(),
        SqliteConnectOptions::new().filename("z").in_memory(true),
        SqliteConnectOptions::new().filename("z").in_memory(true).shared_cache(true),
        SqliteConnectOptions::new().filename("file:v?mode=memory&cache=shared"),
        SqliteConnectOptions::new().filename("file:/w?vfs=memdb"),
        SqliteConnectOptions::new().filename("/u").vfs("memdb"),
        SqliteConnectOptions::new().filename(""),
    ] {
        stays_one(options).await;
    }
    assert!(!Path::new("x").exists() && !Path::new("z").exists());
}

async fn stays_one(options: SqliteConnectOptions) {
    let said = format!("{options:?}");
    let builder = patient::<Sqlite>(options)
        .idle_timeout(Duration::from_millis(1))
        .max_lifetime(Duration::from_millis(1));
    let db = builder.connect().await.expect(&said);
    let table = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)";
    db.execute(table).await.unwrap();
    let adding = (0..20).map(|id| adds(&db, id));
    for added in futures_util::future::join_all(adding).await {
        added.expect(&said);
    }
    let since = std::time::Instant::now();
    until("both limits are over", async || since.elapsed().as_millis() > 5).await;
    assert_eq!(counts(&db).await.expect(&said), 20, "{said}");
    assert_eq!((db.status().max, db.status().open), (1, 1), "{said}");
    db.close().await;
}
