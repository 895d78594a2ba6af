//! Columns come, go and change their names on SQLite, whose driver goes on with those of before.

use sqlx::{Column, Executor, Row};
use txn::{Db, Error, Sqlite, Tx, transactional};

use super::{Fixture, insert};

#[transactional(read_only)]
async fn names(tx: &mut Tx<Sqlite>) -> Result<Vec<String>, Error> {
    Ok(of(&sqlx::query("SELECT * FROM t").fetch_one(tx).await?))
}

fn of(row: &sqlx::sqlite::SqliteRow) -> Vec<String> {
    let columns = row.columns().iter();
    let names: Vec<String> = columns.map(|column| column.name().to_owned()).collect();
    for name in &names {
        let _value: i64 = row.get(name.as_str());
    }
    names
}

/// Asserts that each session sees these columns, in a scope and outside of one, as rows and as what
/// a statement returns.
async fn assert_seen(db: &Db<Sqlite>, max: usize, expected: &[&str]) {
    let mut sessions = Vec::new();
    for _ in 0..max {
        assert_eq!(names(db).await.unwrap(), expected);
        let row = sqlx::query("SELECT * FROM t").fetch_one(db).await.unwrap();
        assert_eq!(of(&row), expected);
        let touch = sqlx::query("UPDATE t SET id = id RETURNING *");
        assert_eq!(of(&touch.fetch_one(db).await.unwrap()), expected);
        sessions.push(db.session().await.unwrap());
    }
}

#[tokio::test]
async fn every_session_sees_the_columns_that_there_are() {
    let db = Fixture::<Sqlite>::of_sessions(4).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    let admin = Db::<Sqlite>::connect(db.url()).await.unwrap();
    assert_seen(&db, 3, &["id", "n"]).await;
    for (change, expected) in [
        ("ALTER TABLE t ADD COLUMN m BIGINT NOT NULL DEFAULT 7", &["id", "n", "m"][..]),
        ("ALTER TABLE t RENAME COLUMN m TO l", &["id", "n", "l"]),
        ("ALTER TABLE t DROP COLUMN n", &["id", "l"]),
    ] {
        admin.execute(change).await.unwrap();
        assert_seen(&db, 3, expected).await;
    }
    db.assert_at_rest().await;
}

/// The session is the only one, and nothing may be lost with it.
#[tokio::test]
async fn so_does_the_one_session_of_a_database_in_memory() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(names(&db).await.unwrap(), ["id"]);
    db.execute("ALTER TABLE t ADD COLUMN m BIGINT NOT NULL DEFAULT 7").await.unwrap();
    assert_eq!(names(&db).await.unwrap(), ["id", "m"]);
}

/// The change is seen inside of its transaction, and not after that was rolled back.
#[tokio::test]
async fn so_does_the_transaction_that_changes_them() {
    let db = Fixture::<Sqlite>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    for (change, expected) in [
        ("SELECT 1", &["id", "n"][..]),
        ("ALTER TABLE t ADD COLUMN m BIGINT NOT NULL DEFAULT 7", &["id", "n", "m"]),
    ] {
        tx.execute(change).await.unwrap();
        let row = sqlx::query("SELECT * FROM t").fetch_one(&mut tx).await;
        assert_eq!(of(&row.unwrap()), expected);
    }
    tx.rollback().await.unwrap();
    assert_eq!(names(&*db).await.unwrap(), ["id", "n"]);
}
