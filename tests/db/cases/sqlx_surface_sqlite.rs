//! sqlx has these features on SQLite.

use sqlx::SqlitePool;
use txn::{Sqlite, Tx, transactional};

use super::{Fixture, patient};

#[transactional]
async fn checked(tx: &mut Tx<Sqlite>, id: i64) -> Result<i64, sqlx::Error> {
    sqlx::query!("INSERT INTO t (id, n) VALUES (?, 10)", id)
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query!("SELECT id, n FROM t WHERE id = ?", id)
        .fetch_one(&mut *tx)
        .await?;
    assert_eq!(row.id, id);
    Ok(row.n)
}

#[tokio::test]
async fn macros_that_check_a_query_run_in_a_transaction_and_on_the_handle() {
    let db = Fixture::<Sqlite>::new().await;
    assert_eq!(checked(&*db, 1).await.unwrap(), 10);
    let count = sqlx::query_scalar!("SELECT COUNT(*) FROM t");
    assert_eq!(count.fetch_one(&*db).await.unwrap(), 1);
}

#[transactional]
async fn credit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("UPDATE account SET cents = cents + ? WHERE id = 1 RETURNING cents")
        .bind(cents)
        .fetch_one(tx)
        .await
}

#[sqlx::test(migrations = "tests/db/support/migrations")]
async fn a_handle_is_made_from_the_pool_of_a_sqlx_test(pool: SqlitePool) {
    let options = (*pool.connect_options()).clone();
    let db = patient::<Sqlite>(options).connect().await.unwrap();
    assert_eq!(credit(&db, 5).await.unwrap(), 1005);
    let seen: i64 = sqlx::query_scalar("SELECT cents FROM account")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(seen, 1005);
    db.close().await;
}
