//! Faults that only SQLite has.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, SqliteConnection};
use txn::{Db, Error, Sqlite, Tx, transactional};

use super::{Fixture, insert, patient};
use crate::support::drop_points::poll_at_most;

#[transactional]
async fn never(_: &mut Tx<Sqlite>) -> Result<(), Error> {
    unreachable!("the body runs in a transaction only")
}

#[tokio::test]
async fn a_begin_on_a_locked_database_keeps_its_cause_and_runs_no_body() {
    let fixture = Fixture::<Sqlite>::new().await;
    let options: SqliteConnectOptions = fixture.url().parse().unwrap();
    let db = patient::<Sqlite>(options.busy_timeout(Duration::from_millis(20)));
    let db = db.connect().await.unwrap();
    let mut other = SqliteConnection::connect(fixture.url()).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();

    let error = never(&db).await.unwrap_err();

    assert!(
        error.to_string().starts_with("cannot begin (in `")
            && error.to_string().contains("::never`): "),
        "{error}"
    );
    assert_eq!(error.code().as_deref(), Some("5"), "SQLITE_BUSY");
    assert!(error.is_retryable() && !error.is_connection(), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    db.settled().await;
    assert_eq!(
        (db.status().in_use, db.status().idle),
        (0, 1),
        "the session is as good as before"
    );

    other.execute("COMMIT").await.unwrap();
    db.begin().await.unwrap().commit().await.unwrap();
}

/// The dropped BEGIN waits for the lock, so that it is in flight for certain.
#[tokio::test]
async fn an_update_after_a_begin_was_dropped_in_flight_is_kept() {
    let fixture = Fixture::<Sqlite>::of_sessions(1).await;
    fixture
        .execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    let mut other = SqliteConnection::connect(fixture.url()).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    assert!(poll_at_most(1, fixture.begin()).await.is_none());
    assert_eq!(fixture.status().settling, 1);
    other.execute("COMMIT").await.unwrap();

    let updated = fixture.execute("UPDATE t SET n = 1 WHERE id = 1").await;

    assert_eq!(updated.unwrap().rows_affected(), 1);
    fixture.close().await;
    let written: i64 = sqlx::query_scalar("SELECT n FROM t")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(written, 1);
}

#[tokio::test]
async fn a_deferred_constraint_fails_the_commit_and_nothing_is_written() {
    let db = Fixture::<Sqlite>::new().await;
    db.execute("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.execute("INSERT INTO child (t) VALUES (99)")
        .await
        .unwrap();

    let error = tx.commit().await.unwrap_err();

    assert!(
        error
            .to_string()
            .starts_with("cannot commit, nothing was written"),
        "{error}"
    );
    assert_eq!(
        error.code().as_deref(),
        Some("787"),
        "SQLITE_CONSTRAINT_FOREIGNKEY"
    );
    assert!(!error.is_aborted() && !error.is_commit_unknown(), "{error}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

/// A binding form does not name the engine: it is refused when the scope opens.
#[tokio::test]
async fn an_isolation_that_the_engine_lacks_is_refused_with_advice_before_the_body() {
    #[transactional(db as _tx, isolation = read_committed)]
    async fn weak(db: &Db<Sqlite>) -> Result<(), Error> {
        unreachable!("the body runs in a transaction only")
    }
    let db = Fixture::<Sqlite>::new().await;
    let text = weak(&db).await.unwrap_err().to_string();
    assert!(
        text.contains("`isolation = serializable`") && text.contains("::weak`)"),
        "{text}"
    );
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_an_error_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("text.db");
    std::fs::write(
        &file,
        "This is a text of more than a hundred bytes. ".repeat(30),
    )
    .unwrap();
    let error = Db::<Sqlite>::connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap_err();
    assert_eq!(error.code().as_deref(), Some("26"), "{error}");
}

#[transactional(retry(max_attempts = 3, base_delay = "1ms"))]
async fn tries_thrice(tx: &mut Tx<Sqlite>) -> Result<u32, Error> {
    insert(tx, 1).await?;
    Ok(tx.attempt())
}

/// Another process has the lock, and nothing had run when BEGIN failed.
#[tokio::test]
async fn a_begin_on_a_locked_database_is_retried_and_then_says_how_often() {
    let fixture = Fixture::<Sqlite>::new().await;
    let options: SqliteConnectOptions = fixture.url().parse().unwrap();
    let db = patient::<Sqlite>(options.busy_timeout(Duration::ZERO));
    let db = db.connect().await.unwrap();
    let mut other = SqliteConnection::connect(fixture.url()).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();

    let error = tries_thrice(&db).await.unwrap_err();

    assert!(
        error.to_string().starts_with("after 3 attempts in "),
        "{error}"
    );
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(tries_thrice(&db).await.unwrap(), 1);
    assert_eq!(fixture.ids().await, [1]);
}

/// The writer waits in the queue of writers and not in SQLite, where a drop would go unnoticed
/// until `busy_timeout`.
#[tokio::test]
async fn an_autocommit_write_waits_for_its_turn_and_can_be_dropped() {
    let db = Fixture::<Sqlite>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let write = db.execute("INSERT INTO t (id, n) VALUES (2, 0)");
    let moment = tokio::time::timeout(Duration::from_millis(50), write);
    moment.await.unwrap_err();
    assert_eq!((db.status().waiting, db.status().settling), (0, 0));
    assert!(db.ids().await.is_empty(), "readers wait for nobody");
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1]);
    db.execute("INSERT INTO t (id, n) VALUES (3, 0)").await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

#[tokio::test]
async fn a_write_beside_the_scope_that_it_is_in_is_an_error_that_says_so() {
    let limit = Duration::from_secs(2);
    let db = Fixture::<Sqlite>::in_haste(|builder| builder.acquire_timeout(limit)).await;
    let tx = db.begin().await.unwrap();
    let error = db.execute("DELETE FROM t").await.map_err(Error::from);
    let error = error.unwrap_err();
    assert!(error.is_acquire_timeout(), "{error}");
    assert!(error.to_string().contains("one writer at a time"), "{error}");
    tx.rollback().await.unwrap();
}

/// Another connection would have another database.
#[tokio::test]
async fn a_database_in_memory_that_is_in_use_is_taken_to_work() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    db.check().await.unwrap();
    let held = db.session().await.unwrap();
    db.check().await.unwrap();
    drop(held);
}

/// A session that is thrown away takes such a database with it.
#[tokio::test]
async fn a_database_in_memory_outlives_errors_of_the_program() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)").await.unwrap();
    for statement in [
        "SELECT n FROM t WHERE id = :id",
        "SELECT n FROM t WHERE id = @id",
        "SELECT n FROM t WHERE id = $id",
        "ATTACH 'file:/no/such/directory/file.db?mode=ro' AS other",
    ] {
        let error = sqlx::query(statement).execute(&db).await.expect_err(statement);
        let error = Error::from(error);
        assert!(!error.is_connection() && !error.is_retryable(), "{statement:?}: {error}");
        let mut tx = db.begin().await.unwrap();
        sqlx::query(statement).execute(&mut tx).await.unwrap_err();
        insert(&mut tx, 1).await.unwrap();
        tx.rollback().await.unwrap();
        db.fetch_all("SELECT n FROM t").await.unwrap();
    }
}
