//! A row stream is left between two rows. It is cancelled on the server where its scope is dropped
//! or rolled back, and read to its end where the scope goes on.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::Executor;
use tokio::time::timeout;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::observer::PATIENCE;
use crate::support::row_streams::Streams;

const SHORT: Duration = Duration::from_millis(100);

/// A fixture with one session, whose cleanup may take longer than a test waits.
async fn patient() -> Fixture<DB> {
    Fixture::<DB>::with(|builder| builder.max_sessions(1).settle_timeout(PATIENCE * 2)).await
}

/// A fixture whose cleanup may take less time than the rest of a slow stream.
async fn impatient() -> Fixture<DB> {
    Fixture::<DB>::with(|builder| builder.max_sessions(1).settle_timeout(SHORT)).await
}

async fn read_one<'e>(on: impl Executor<'e, Database = DB>, sql: &'static str) {
    let mut rows = on.fetch(sql);
    assert!(rows.try_next().await.unwrap().is_some());
}

/// Asserts that the cleanup is over at once, and that the session is still there.
async fn assert_settled_at_once(db: &Fixture<DB>) {
    timeout(PATIENCE, db.settled()).await.expect("read to its end");
    assert_eq!((db.status().open, db.status().idle), (1, 1), "the session was closed");
    assert!(db.ids().await.is_empty());
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn a_scope_that_is_dropped_between_two_rows_does_not_read_the_rest() {
    let db = patient().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    read_one(&mut tx, DB::ENDLESS_ROWS).await;
    drop(tx);
    assert_settled_at_once(&db).await;
}

#[tokio::test]
async fn a_rollback_between_two_rows_does_not_read_the_rest() {
    let db = patient().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    read_one(&mut tx, DB::ENDLESS_ROWS).await;
    timeout(PATIENCE, tx.rollback()).await.expect("read to its end").unwrap();
    assert_settled_at_once(&db).await;
}

#[transactional]
async fn fails_half_way(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    read_one(&mut *tx, DB::ENDLESS_ROWS).await;
    Err(sqlx::Error::RowNotFound.into())
}

#[tokio::test]
async fn a_scope_that_fails_between_two_rows_does_not_read_the_rest() {
    let db = patient().await;
    let failed = timeout(PATIENCE, fails_half_way(&*db)).await;
    failed.expect("read to its end").unwrap_err();
    assert_settled_at_once(&db).await;
}

#[transactional(nested)]
async fn nested_fails_half_way(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    read_one(&mut *tx, DB::ENDLESS_ROWS).await;
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional(nested)]
async fn nested_stops_half_way(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    let mut rows = tx.fetch(DB::ENDLESS_ROWS);
    while rows.try_next().await?.is_some() {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_nested_scope_that_ends_between_two_rows_is_undone_alone() {
    let db = patient().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let failed = timeout(PATIENCE, nested_fails_half_way(&mut tx)).await;
    failed.expect("read to its end").unwrap_err();
    assert_eq!(number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap(), 1);
    // The scope is between two rows for certain: each row makes a pause, and the last one does not
    // come.
    let mut nested = Box::pin(nested_stops_half_way(&mut tx));
    for _ in 0..20 {
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(nested.as_mut().poll(cx)));
        assert!(once.await.is_pending());
        tokio::task::yield_now().await;
    }
    drop(nested);
    let went_on = timeout(PATIENCE, insert(&mut tx, 3)).await.expect("read to its end");
    if went_on.is_ok() {
        tx.commit().await.unwrap();
        assert_eq!(db.ids().await, [1, 3]);
    } else {
        // The stream was dropped before the first row, which some drivers do not survive.
        assert!(DB::ENDS_BY_ITSELF, "{went_on:?}");
    }
}

#[tokio::test]
async fn a_statement_of_the_handle_that_is_dropped_between_two_rows_frees_its_session() {
    let db = patient().await;
    read_one(&*db, DB::ENDLESS_ROWS).await;
    assert_settled_at_once(&db).await;
}

#[tokio::test]
async fn a_session_that_is_given_back_between_two_rows_does_not_read_the_rest() {
    let db = patient().await;
    let mut session = db.session().await.unwrap();
    read_one(&mut session, DB::ENDLESS_ROWS).await;
    drop(session);
    assert_settled_at_once(&db).await;
}

#[tokio::test]
async fn a_scope_in_a_sandbox_that_is_dropped_between_two_rows_is_undone_alone() {
    let db = patient().await;
    let sandbox = db.sandbox().await.unwrap();
    for dropped in [true, false] {
        let mut tx = sandbox.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        read_one(&mut tx, DB::ENDLESS_ROWS).await;
        match dropped {
            true => drop(tx),
            false => tx.rollback().await.unwrap(),
        }
        let next = timeout(PATIENCE, sandbox.begin()).await.expect("read to its end");
        let mut next = next.unwrap();
        assert_eq!(number(&mut next, "SELECT COUNT(*) FROM t").await.unwrap(), 0);
        next.commit().await.unwrap();
    }
    sandbox.close().await;
    assert_settled_at_once(&db).await;
}

/// The rest is read however long that takes: no limit of a cleanup applies to it.
#[tokio::test]
async fn a_transaction_that_goes_on_reads_what_is_left() {
    let db = impatient().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    read_one(&mut tx, DB::SLOW_ROWS).await;
    insert(&mut tx, 2).await.unwrap();
    read_one(&mut tx, DB::SLOW_ROWS).await;
    goes_on(&mut tx).await.unwrap();
    read_one(&mut tx, DB::SLOW_ROWS).await;
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2, 3]);
    assert_eq!((db.status().open, db.status().idle), (1, 1));
}

#[transactional(nested)]
async fn goes_on(tx: &mut Tx<DB>) -> Result<(), Error> {
    read_one(&mut *tx, DB::SLOW_ROWS).await;
    insert(tx, 3).await?;
    read_one(&mut *tx, DB::SLOW_ROWS).await;
    Ok(())
}

#[tokio::test]
async fn a_session_that_goes_on_reads_what_is_left() {
    let db = impatient().await;
    let mut session = db.session().await.unwrap();
    read_one(&mut session, DB::SLOW_ROWS).await;
    session.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
    drop(session);
    assert_eq!(db.ids().await, [1]);
    assert_eq!((db.status().open, db.status().idle), (1, 1));
}

#[transactional(timeout = "300ms")]
async fn ends_half_way(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    read_one(&mut *tx, DB::ENDLESS_ROWS).await;
    Ok(())
}

#[transactional(timeout = "300ms")]
async fn goes_on_for_ever(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    read_one(&mut *tx, DB::ENDLESS_ROWS).await;
    Ok(insert(tx, 2).await?)
}

#[transactional(nested, timeout = "300ms")]
async fn nested_ends_half_way(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    read_one(&mut *tx, DB::ENDLESS_ROWS).await;
    Ok(())
}

async fn begin_late(db: &Db<DB>) -> Result<(), Error> {
    let mut tx = db.begin().await?;
    let ended = nested_ends_half_way(&mut tx).await;
    // Some drivers do not survive that the reading is given up.
    assert!(tx.commit().await.is_ok() || DB::ENDS_BY_ITSELF);
    ended
}

/// The limit of a scope includes the time to read the rest.
#[tokio::test]
async fn a_scope_that_ends_between_two_rows_is_over_its_timeout_when_the_rest_is_too_long() {
    let db = patient().await;
    for called in [
        timeout(PATIENCE, ends_half_way(&*db)).await,
        timeout(PATIENCE, goes_on_for_ever(&*db)).await,
        timeout(PATIENCE, begin_late(&db)).await,
    ] {
        let error = called.expect("read to its end").unwrap_err();
        assert!(error.is_timeout() && !error.is_commit_unknown(), "{error}");
        assert!(error.to_string().contains("300ms"), "{error}");
    }
    db.settled().await;
    assert!(db.ids().await.is_empty());
}
