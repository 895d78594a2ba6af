//! What is asked of the handle in the body of a scope of the same database: a statement that would
//! run beside the transaction is refused, and nobody waits for its own caller.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, StreamExt};
use sqlx::{Executor, SqlSafeStr};
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::warnings::Warnings;

const COUNT: &str = "SELECT COUNT(*) FROM t";
const STRAY: &str = "INSERT INTO t (id, n) VALUES (1000, 0)";

/// Any function that has a handle, and does not know who calls it.
async fn stray(db: &Db<DB>) -> Result<(), sqlx::Error> {
    db.execute(STRAY).await.map(drop)
}

#[track_caller]
fn assert_refused<T>(result: Result<T, sqlx::Error>, scope: &str) {
    let Err(error) = result else {
        panic!("a stray is not refused")
    };
    let text = error.to_string();
    assert!(text.contains(scope) && text.contains("db.autocommit()"), "{text}");
    let error = Error::from(error);
    assert!(!error.is_retryable() && !error.is_acquire_timeout(), "{error}");
}

#[transactional(name = "strays.every_way")]
async fn every_way(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    assert_refused(stray(db).await, "strays.every_way");
    assert_refused(sqlx::query(COUNT).fetch_all(db).await, "strays.every_way");
    assert_refused(sqlx::query(COUNT).fetch_one(db).await, "strays.every_way");
    assert_refused(sqlx::raw_sql(COUNT).execute(db).await, "strays.every_way");
    let first = sqlx::query(COUNT).fetch(db).next().await.unwrap();
    assert_refused(first, "strays.every_way");
    assert_refused(db.prepare(COUNT.into_sql_str()).await, "strays.every_way");
    assert_refused(db.describe(COUNT.into_sql_str()).await, "strays.every_way");
    insert(tx, 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_statement_is_refused_and_the_transaction_goes_on() {
    let db = Fixture::<DB>::of_sessions(1).await;
    every_way(&*db, &db).await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    db.execute("DELETE FROM t").await.unwrap();
    db.assert_at_rest().await;
}

#[transactional(name = "strays.joined")]
async fn joined(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    assert_refused(stray(db).await, "strays.outer");
    Ok(())
}

#[transactional(nested, name = "strays.nested")]
async fn nested(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    joined(tx, db).await
}

#[transactional(requires_new, read_only, name = "strays.apart")]
async fn apart(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    assert_refused(stray(db).await, "strays.apart");
    Ok(())
}

#[transactional(name = "strays.outer")]
async fn outer(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    nested(tx, db).await?;
    apart(tx, db).await?;
    assert_refused(stray(db).await, "strays.outer");
    Ok(())
}

#[tokio::test]
async fn it_is_refused_however_deep_it_is_called() {
    let db = Fixture::<DB>::of_sessions(2).await;
    outer(&*db, &db).await.unwrap();
    assert!(db.ids().await.is_empty());
}

#[transactional]
async fn outside_on_purpose(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    let written = db.autocommit().execute(STRAY).await;
    if DB::ONE_WRITER {
        let text = written.unwrap_err().to_string();
        assert!(text.contains("one writer"), "{text}");
    } else {
        written?;
    }
    let seen = sqlx::query(COUNT).fetch_one(db.autocommit()).await?;
    assert_eq!(DB::number(&seen), i64::from(!DB::ONE_WRITER), "not what the scope has written");
    let mut rows = sqlx::query(COUNT).fetch(db.autocommit());
    assert!(rows.next().await.is_some_and(|row| row.is_ok()));
    Err(sqlx::Error::RowNotFound.into())
}

#[tokio::test]
async fn a_statement_outside_on_purpose_is_not_undone_with_the_scope() {
    let db = Fixture::<DB>::of_sessions(2).await;
    outside_on_purpose(&*db, &db).await.unwrap_err();
    let left = if DB::ONE_WRITER { vec![] } else { vec![1000] };
    assert_eq!(db.ids().await, left);
    db.assert_at_rest().await;
}

#[transactional]
async fn asks_for_the_only_session(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    let error = Error::from(db.autocommit().fetch_one(COUNT).await.unwrap_err());
    assert!(error.is_acquire_timeout(), "{error}");
    let error = db.session().await.unwrap_err();
    assert!(error.is_acquire_timeout(), "{error}");
    let error = reads(db).await.unwrap_err();
    assert!(error.is_acquire_timeout(), "{error}");
    let begun = db.begin().await.unwrap_err();
    assert!(begun.is_acquire_timeout() || DB::ONE_WRITER, "{begun}");
    Ok(())
}

#[transactional(read_only)]
async fn reads(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, COUNT).await?)
}

/// The acquire timeout of the fixture is longer than any test may take.
#[tokio::test]
async fn nobody_waits_for_the_session_of_its_own_caller() {
    let db = Fixture::<DB>::of_sessions(1).await;
    asks_for_the_only_session(&*db, &db).await.unwrap();
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

#[transactional]
async fn begins_another(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    assert_eq!(reads(db).await?, 0);
    let second = inserts(db, 2).await;
    assert_eq!(second.is_err(), DB::ONE_WRITER, "{second:?}");
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional]
async fn inserts(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// Its source says that it is a transaction of its own.
#[tokio::test]
async fn a_scope_on_the_handle_is_on_its_own() {
    let db = Fixture::<DB>::of_sessions(2).await;
    begins_another(&*db, &db).await.unwrap_err();
    let left = if DB::ONE_WRITER { vec![] } else { vec![2] };
    assert_eq!(db.ids().await, left);
}

#[transactional]
async fn spawns(tx: &mut Tx<DB>, db: Db<DB>) -> Result<i64, Error> {
    tx.fetch_one(COUNT).await?;
    let spawned = tokio::spawn(async move { db.fetch_one(COUNT).await });
    Ok(DB::number(&spawned.await.unwrap()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_body_spawns_is_outside() {
    let db = Fixture::<DB>::of_sessions(2).await;
    assert_eq!(spawns(&*db, db.clone()).await.unwrap(), 0);
}

#[transactional]
async fn panics(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    panic!("in the middle of a poll");
}

#[transactional]
async fn stops(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    std::future::pending().await
}

#[transactional]
async fn reads_in_a_hook(tx: &mut Tx<DB>, db: Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    tx.after_commit(async move {
        db.execute("UPDATE t SET n = 7").await.unwrap();
    });
    Ok(())
}

#[transactional(requires_new, read_only)]
async fn with_hooks(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    let after = db.clone();
    tx.after_commit(async move {
        after.fetch_one(COUNT).await.unwrap();
        strays_again(&after, &after).await.unwrap();
    });
    Ok(())
}

/// The body of a scope that a hook opens is a body like any other.
#[transactional(read_only, name = "strays.of_a_hook")]
async fn strays_again(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    assert_refused(stray(db).await, "strays.of_a_hook");
    Ok(())
}

#[transactional(read_only, name = "strays.around_hooks")]
async fn around_hooks(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    with_hooks(tx, db).await?;
    assert_refused(stray(db).await, "strays.around_hooks");
    Ok(())
}

/// Its own scope has ended, though its caller is in the body of another one.
#[tokio::test]
async fn a_hook_after_the_end_is_outside() {
    let db = Fixture::<DB>::of_sessions(3).await;
    let warnings = Warnings::listen();
    around_hooks(&*db, &db).await.unwrap();
    db.settled().await;
    assert_eq!(warnings.all(), [""; 0], "a hook that panics is reported");
}

/// A task is in a scope only while the body is polled, on whichever thread.
#[tokio::test]
async fn whoever_is_not_called_by_the_body_is_outside() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let panicked = AssertUnwindSafe(panics(&*db)).catch_unwind().await;
    panicked.unwrap_err();
    assert!(db.ids().await.is_empty());
    let mut stopped = Box::pin(stops(&*db));
    let _polled = futures_util::poll!(&mut stopped);
    let beside = db.execute("UPDATE t SET n = 0");
    // On SQLite the scope that has stopped has the turn to write.
    if !DB::ONE_WRITER {
        beside.await.unwrap();
    }
    drop(stopped);
    let (read, inserted) = tokio::join!(db.fetch_one(COUNT), inserts(&*db, 5));
    read.unwrap();
    inserted.unwrap();
    db.execute("DELETE FROM t").await.unwrap();
    reads_in_a_hook(&*db, db.clone()).await.unwrap();
    db.settled().await;
    assert_eq!(number(&mut db.begin().await.unwrap(), DB::SUM).await.unwrap(), 7);
}

#[transactional(nested, name = "strays.checked")]
async fn checked(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    let db = db.clone();
    tx.before_commit(|_| {
        Box::pin(async move {
            let alone = Error::from(db.autocommit().fetch_one(COUNT).await.unwrap_err());
            assert!(alone.is_acquire_timeout(), "{alone}");
            Ok(stray(&db).await?)
        })
    });
    Ok(())
}

#[transactional(name = "strays.around")]
async fn around(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    checked(tx, db).await
}

/// A hook before the commit runs in the transaction, also in one that was begun by hand.
#[tokio::test]
async fn a_hook_before_the_commit_is_inside() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for (result, scope) in [
        (checked(&*db, &db).await, "`strays.checked` is open"),
        (around(&*db, &db).await, "`strays.around` is open"),
    ] {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(scope), "{text}");
    }
    let mut tx = db.begin().await.unwrap();
    let handle = db.clone();
    tx.before_commit(|_| Box::pin(async move { Ok(stray(&handle).await?) }));
    let text = tx.commit().await.unwrap_err().to_string();
    assert!(text.contains("db.autocommit()"), "{text}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional(name = "strays.of_a")]
async fn of_a(tx: &mut Tx<DB>, a: &Db<DB>, b: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    b.execute("INSERT INTO t (id, n) VALUES (2, 0)").await?;
    of_b(b, a, b).await
}

#[transactional(name = "strays.of_b")]
async fn of_b(tx: &mut Tx<DB>, a: &Db<DB>, b: &Db<DB>) -> Result<(), Error> {
    insert(tx, 3).await?;
    assert_refused(stray(a).await, "strays.of_a");
    assert_refused(stray(b).await, "strays.of_b");
    Ok(())
}

#[tokio::test]
async fn each_of_two_databases_has_scopes_of_its_own() {
    let a = Fixture::<DB>::of_sessions(1).await;
    let b = Fixture::<DB>::of_sessions(1).await;
    of_a(&*a, &a, &b).await.unwrap();
    assert_eq!((a.ids().await, b.ids().await), (vec![1], vec![2, 3]));
}

#[transactional(name = "strays.tolerated")]
async fn tolerated(tx: &mut Tx<DB>, db: &Db<DB>) -> Result<(), Error> {
    tx.fetch_one(COUNT).await?;
    for _ in 0..2 {
        db.fetch_one(COUNT).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_handle_that_tolerates_them_warns_once_for_each_scope() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2).refuse_strays(false)).await;
    let warnings = Warnings::listen();
    for _ in 0..2 {
        tolerated(&*db, &db).await.unwrap();
    }
    let found = warnings.with("runs beside the transaction");
    assert_eq!(found, 1, "{:?}", warnings.all());
    assert_eq!(warnings.with("strays.tolerated"), 1, "{:?}", warnings.all());
}

#[transactional]
async fn asks_the_sandbox(tx: &mut Tx<DB>, sandbox: &Db<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    assert_refused(stray(sandbox).await, "asks_the_sandbox");
    for text in [
        sandbox.autocommit().execute(STRAY).await.unwrap_err().to_string(),
        sandbox.begin().await.unwrap_err().to_string(),
        inserts(sandbox, 2).await.unwrap_err().to_string(),
    ] {
        assert!(text.contains("a sandbox has one session"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_waits_for_its_own_caller_in_a_sandbox() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let sandbox = db.sandbox().await.unwrap();
    asks_the_sandbox(&sandbox, &sandbox).await.unwrap();
    assert_eq!(DB::number(&sandbox.fetch_one(COUNT).await.unwrap()), 1);
    sandbox.close().await;
    assert!(db.ids().await.is_empty());
}
