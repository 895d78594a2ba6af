//! sqlx has these features on PostgreSQL.

use futures_util::TryStreamExt;
use sqlx::Executor;
use sqlx::postgres::{PgAdvisoryLock, PgListener};
use tokio::sync::Notify;
use txn::{Error, Postgres, Tx, transactional};

use super::{Fixture, number};

#[transactional]
async fn checked(tx: &mut Tx<Postgres>, id: i64) -> Result<i64, sqlx::Error> {
    sqlx::query!("INSERT INTO t (id, n) VALUES ($1, 10)", id)
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query!("SELECT id, n FROM t WHERE id = $1", id)
        .fetch_one(&mut *tx)
        .await?;
    assert_eq!(row.id, id);
    Ok(row.n)
}

#[tokio::test]
async fn macros_that_check_a_query_run_in_a_transaction_and_on_the_handle() {
    let db = Fixture::<Postgres>::new().await;
    assert_eq!(checked(&*db, 1).await.unwrap(), 10);
    let count = sqlx::query_scalar!(r#"SELECT COUNT(*) AS "count!" FROM t"#);
    assert_eq!(count.fetch_one(&*db).await.unwrap(), 1);
}

#[transactional]
async fn copy_in(tx: &mut Tx<Postgres>, csv: &str) -> Result<u64, sqlx::Error> {
    let mut copy = tx
        .connection()
        .await?
        .copy_in_raw("COPY t (id, n) FROM STDIN (FORMAT csv)")
        .await?;
    copy.send(csv.as_bytes()).await?;
    copy.finish().await
}

#[transactional]
async fn copy_and_fail(tx: &mut Tx<Postgres>) -> Result<(), sqlx::Error> {
    copy_in(tx, "5,0\n").await?;
    Err(sqlx::Error::RowNotFound)
}

#[tokio::test]
async fn copy_is_part_of_the_transaction() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    assert_eq!(copy_in(&*db, "1,10\n2,20\n").await.unwrap(), 2);
    copy_and_fail(&*db).await.unwrap_err();

    let mut tx = db.begin().await.unwrap();
    let text = "COPY (SELECT id, n FROM t ORDER BY id) TO STDOUT (FORMAT csv)";
    let rows = tx.connection().await.unwrap().copy_out_raw(text).await.unwrap();
    let rows: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rows.concat(), b"1,10\n2,20\n");
    tx.commit().await.unwrap();
    db.assert_at_rest().await;
}

#[transactional]
async fn copy_and_swallow(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    let refused = copy_in_raw(tx).await;
    assert!(refused.is_err());
    Ok(())
}

async fn copy_in_raw(tx: &mut Tx<Postgres>) -> Result<(), sqlx::Error> {
    let copy = "COPY t (id, n) FROM STDIN (FORMAT csv)";
    let mut copy = tx.connection().await?.copy_in_raw(copy).await?;
    copy.send("no number,0\n".as_bytes()).await?;
    copy.finish().await.map(drop)
}

/// Nobody saw the statement fail, but the commit does.
#[tokio::test]
async fn a_copy_that_failed_unseen_is_no_ok() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    let error = copy_and_swallow(&*db).await.unwrap_err();
    assert!(error.is_aborted(), "{error}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional]
async fn copy_without_end(tx: &mut Tx<Postgres>, there: &Notify) -> Result<(), Error> {
    let copy = "COPY t (id, n) FROM STDIN (FORMAT csv)";
    let mut copy = tx.connection().await?.copy_in_raw(copy).await?;
    copy.send("1,0\n".as_bytes()).await?;
    there.notify_one();
    std::future::pending().await
}

#[tokio::test]
async fn a_scope_dropped_in_the_middle_of_a_copy_costs_at_most_its_session() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    let there = Notify::new();
    tokio::select! {
        _ = copy_without_end(&*db, &there) => unreachable!("it does not end"),
        () = there.notified() => {}
    }
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional]
async fn notify(tx: &mut Tx<Postgres>, channel: &str, text: &str) -> Result<(), sqlx::Error> {
    let notify = sqlx::query("SELECT pg_notify($1, $2)");
    notify.bind(channel).bind(text).execute(tx).await?;
    match text {
        "lost" => Err(sqlx::Error::RowNotFound),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_listener_of_its_own_hears_what_was_committed() {
    let db = Fixture::<Postgres>::new().await;
    let channel = db.url().rsplit('=').next().unwrap_or("channel");
    let channel = &channel.replace("%3D", "_");
    let mut listener = PgListener::connect(db.url()).await.unwrap();
    listener.listen(channel).await.unwrap();
    notify(&*db, channel, "lost").await.unwrap_err();
    notify(&*db, channel, "heard").await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "heard");
}

/// The key is of the test's own.
const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()))::INT::BIGINT";

#[tokio::test]
async fn an_advisory_lock_of_a_transaction_ends_with_it() {
    let db = Fixture::<Postgres>::new().await;
    let (mut one, mut other) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    assert_eq!(number(&mut one, TRY_LOCK).await.unwrap(), 1);
    assert_eq!(number(&mut other, TRY_LOCK).await.unwrap(), 0);
    one.rollback().await.unwrap();
    assert_eq!(number(&mut other, TRY_LOCK).await.unwrap(), 1);
    other.commit().await.unwrap();
}

#[tokio::test]
async fn an_advisory_lock_of_a_session_is_held_across_statements() {
    let db = Fixture::<Postgres>::new().await;
    let (mut one, mut other) = (db.session().await.unwrap(), db.session().await.unwrap());
    let lock = PgAdvisoryLock::new(db.url());
    let held = lock.acquire(one.connection()).await.unwrap();
    let refused = lock.try_acquire(other.connection()).await.unwrap();
    let other = refused.right().expect("the lock is held");
    held.release_now().await.unwrap();
    let free = lock.try_acquire(other).await.unwrap();
    free.left().unwrap().release_now().await.unwrap();
    one.execute("SELECT 1").await.unwrap();
}
