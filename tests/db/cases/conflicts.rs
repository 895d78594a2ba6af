//! Transactions conflict with each other, and each is told.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::Barrier;
use txn::{Error, Tx, transactional};

use super::*;

#[tokio::test]
async fn of_two_serializable_writers_one_is_told() {
    if !DB::FAILURE_ABORTS {
        return; // MySQL locks what it reads (see the deadlock below), SQLite has one writer
    }
    let db = Fixture::<DB>::new().await;
    let both = Barrier::new(2);
    let (a, b) = tokio::join!(count_then_write(&*db, 1, &both), count_then_write(&*db, 2, &both));
    let error = match (a, b) {
        (Err(error), Ok(())) | (Ok(()), Err(error)) => error,
        results => panic!("{results:?}"),
    };
    assert!(error.is_serialization_failure() && error.is_retryable(), "{error}");
    assert_eq!(error.code().as_deref(), Some("40001"));
    assert_eq!(db.ids().await.len(), 1);
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 2, "both sessions are still usable");
}

#[transactional(isolation = serializable)]
async fn count_then_write(tx: &mut Tx<DB>, id: i64, both: &Barrier) -> Result<(), Error> {
    number(tx, "SELECT COUNT(*) FROM t").await?;
    both.wait().await;
    insert(tx, id).await?;
    // Both have written before either commits, so that only the COMMIT can tell.
    both.wait().await;
    Ok(())
}

async fn bump(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    let sql = format!("UPDATE t SET n = n + 1 WHERE id = {id}");
    tx.execute(AssertSqlSafe(sql)).await.map(drop)
}

#[transactional(nested)]
async fn bump_nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(bump(tx, id).await?)
}

/// Locks `first`, waits for the other, and asks for `second` inside of a savepoint, whose error is
/// swallowed.
#[transactional]
async fn cross(tx: &mut Tx<DB>, first: i64, second: i64, both: &Barrier) -> Result<bool, Error> {
    bump(tx, first).await?;
    both.wait().await;
    let deadlocked = match bump_nested(tx, second).await {
        Ok(()) => false,
        Err(error) => {
            assert!(error.is_deadlock(), "{error}");
            true
        }
    };
    if deadlocked && DB::ENDS_BY_ITSELF {
        // MySQL has rolled back everything, so that this would autocommit.
        let error = Error::from(insert(tx, 100).await.unwrap_err());
        assert!(error.is_aborted() && error.is_deadlock(), "{error}");
    }
    Ok(deadlocked)
}

#[tokio::test]
async fn a_deadlock_in_a_savepoint_is_never_a_false_success() {
    if DB::ONE_WRITER {
        return; // no two writers, no deadlock
    }
    let db = Fixture::<DB>::new().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0), (2, 0)").await.unwrap();
    let both = Barrier::new(2);
    let results: [Result<bool, Error>; 2] =
        tokio::join!(cross(&*db, 1, 2, &both), cross(&*db, 2, 1, &both)).into();
    let sums = number_of(&db).await;
    if DB::ENDS_BY_ITSELF {
        let ([Err(error), Ok(false)] | [Ok(false), Err(error)]) = &results else {
            panic!("{results:?}")
        };
        assert!(error.is_deadlock() && error.is_retryable(), "{error}");
        assert_eq!(sums, 2, "the victim wrote nothing");
    } else {
        // PostgreSQL undoes the savepoint, and the rest may commit.
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(sums, 3);
    }
    db.assert_at_rest().await;
}

/// Locks `first`, waits for the other, and asks for `second` in a script.
#[transactional]
async fn cross_by_script(
    tx: &mut Tx<DB>,
    first: i64,
    second: i64,
    both: &Barrier,
) -> Result<(), Error> {
    bump(tx, first).await?;
    both.wait().await;
    let script = format!("UPDATE t SET n = n + 1 WHERE id = {second}; SELECT 'it''s; done'");
    tx.execute(AssertSqlSafe(script)).await?;
    Ok(())
}

/// A script that only reads and writes rows has committed nothing, so that its scope may be
/// repeated.
#[tokio::test]
async fn a_deadlock_in_a_script_of_plain_statements_is_one_like_any_other() {
    if DB::ONE_WRITER {
        return; // no two writers, no deadlock
    }
    let db = Fixture::<DB>::new().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0), (2, 0)").await.unwrap();
    let both = Barrier::new(2);
    let results: [Result<(), Error>; 2] =
        tokio::join!(cross_by_script(&*db, 1, 2, &both), cross_by_script(&*db, 2, 1, &both)).into();
    let ([Err(error), Ok(())] | [Ok(()), Err(error)]) = &results else {
        panic!("{results:?}")
    };
    assert!(error.is_deadlock() && error.is_retryable(), "{error}");
    assert_eq!(number_of(&db).await, 2, "the victim wrote nothing");
    db.assert_at_rest().await;
}

async fn number_of(db: &Fixture<DB>) -> i64 {
    let mut tx = db.begin().await.unwrap();
    let sum = number(&mut tx, DB::SUM).await.unwrap();
    tx.rollback().await.unwrap();
    sum
}

#[transactional]
async fn sees_only_itself(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    let mine = 1_000 + id;
    insert(tx, mine).await?;
    let sql = format!("SELECT COUNT(*) FROM t WHERE id >= 1000 AND id <> {mine}");
    let rows = tx.fetch_one(AssertSqlSafe(sql)).await?;
    assert_eq!(DB::number(&rows), 0, "another's write is seen before its commit");
    Err(Error::from(sqlx::Error::RowNotFound))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_scopes_see_only_their_own_writes() {
    let db = Arc::new(Fixture::<DB>::new().await);
    let tasks = (0..50).map(|id| {
        let db = Arc::clone(&db);
        tokio::spawn(async move { sees_only_itself(&**db, id).await.unwrap_err() })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}
