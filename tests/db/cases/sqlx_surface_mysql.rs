//! sqlx has these features on MySQL and MariaDB.

use sqlx::Executor;
use txn::{MySql, Session, Tx, transactional};

use super::{Fixture, TestEngine};

#[transactional]
async fn checked(tx: &mut Tx<MySql>, id: i64) -> Result<i64, sqlx::Error> {
    sqlx::query!("INSERT INTO t (id, n) VALUES (?, 10 + 0)", id)
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query!("SELECT id, n FROM t WHERE id = ? FOR UPDATE", id)
        .fetch_one(&mut *tx)
        .await?;
    assert_eq!(row.id, id);
    Ok(row.n)
}

#[tokio::test]
async fn macros_that_check_a_query_run_in_a_transaction_and_on_the_handle() {
    let db = Fixture::<MySql>::new().await;
    assert_eq!(checked(&*db, 1).await.unwrap(), 10);
    let count = sqlx::query_scalar!("SELECT COUNT(*) AS count FROM t");
    assert_eq!(count.fetch_one(&*db).await.unwrap(), 1);
}

/// Names of locks are the server's, and this one is of the test's own.
async fn lock(session: &mut Session<MySql>) -> i64 {
    let lock = "SELECT GET_LOCK(CONCAT(DATABASE(), '_lock'), 0)";
    MySql::number(&session.fetch_one(lock).await.unwrap())
}

#[tokio::test]
async fn a_named_lock_belongs_to_its_session() {
    let db = Fixture::<MySql>::new().await;
    let (mut one, mut other) = (db.session().await.unwrap(), db.session().await.unwrap());
    assert_eq!((lock(&mut one).await, lock(&mut other).await), (1, 0));
    one.execute("SELECT RELEASE_LOCK(CONCAT(DATABASE(), '_lock'))")
        .await
        .unwrap();
    assert_eq!(lock(&mut other).await, 1);
}
