//! A database file may only be read.

use sqlx::sqlite::SqliteConnectOptions;
use txn::{Db, Error, Sqlite, Tx, transactional};

use super::{Fixture, insert, number};

#[transactional]
async fn write(tx: &mut Tx<Sqlite>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional(read_only)]
async fn read(tx: &mut Tx<Sqlite>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[tokio::test]
async fn a_check_that_writes_tells_of_it() {
    let place = Fixture::<Sqlite>::of_sessions(1).await;
    let options: SqliteConnectOptions = place.url().parse().unwrap();
    let db = Db::<Sqlite>::builder(options.read_only(true));
    let db = db.max_sessions(2).connect().await.unwrap();
    for _ in 0..3 {
        db.check().await.unwrap();
        let error = db.check_writable().await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some("8"), "{error}");
        let error = write(&db).await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some("8"), "{error}");
        assert_eq!(read(&db).await.unwrap(), 0);
    }
    place.check_writable().await.unwrap();
    assert!(place.ids().await.is_empty());
}

/// A database in memory would be lost with its session.
#[tokio::test]
async fn the_session_of_a_database_in_memory_is_kept() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    sqlx::query("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)").execute(&db).await.unwrap();
    let mut session = db.session().await.unwrap();
    for (set, writes) in [("PRAGMA query_only = 1", false), ("PRAGMA query_only = 0", true)] {
        sqlx::query(set).execute(session.connection()).await.unwrap();
        let inserted = sqlx::query("INSERT INTO t VALUES (1, 0)").execute(&mut session).await;
        assert_eq!(inserted.is_ok(), writes);
    }
    drop(session);
    db.settled().await;
    assert_eq!(read(&db).await.unwrap(), 1);
    db.check_writable().await.unwrap();
}

/// The check does not wait for the turn of the writer.
#[tokio::test]
async fn a_writer_at_work_proves_it() {
    let db = Fixture::<Sqlite>::of_sessions(2).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    db.check_writable().await.unwrap();
    tx.commit().await.unwrap();
    db.check_writable().await.unwrap();
    db.assert_at_rest().await;
}
