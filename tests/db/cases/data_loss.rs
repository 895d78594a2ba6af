//! A future is dropped on the way: plain sqlx 0.9 loses data there, which is shown beside the same
//! program with txn.
//!
//! Should sqlx mend one of these losses, its half of the test fails and says so.

use sqlx::pool::PoolOptions;
use sqlx::{Acquire, AssertSqlSafe, Executor, Pool};
use tokio::select;
use txn::{ConnectOptionsOf, Db, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, patient};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

const UPDATE: &str = "UPDATE t SET n = 1 WHERE id = 1";

/// The row that is to be updated, and the proxy on the way to it.
async fn one_row() -> (Fixture<DB>, Proxy, ConnectOptionsOf<DB>) {
    let db = Fixture::<DB>::new().await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    let (proxy, options) = DB::by_proxy(db.url());
    (db, proxy, options)
}

async fn sqlx_pool(options: ConnectOptionsOf<DB>) -> Pool<DB> {
    PoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap()
}

async fn txn_db(options: ConnectOptionsOf<DB>) -> Db<DB> {
    patient(options)
        .max_sessions(1)
        .connect()
        .await
        .unwrap()
}

async fn n_of_the_row(db: &Fixture<DB>) -> i64 {
    let row = db.fetch_one("SELECT n FROM t WHERE id = 1").await.unwrap();
    DB::number(&row)
}

/// This is the first of the three losses that ARCHITECTURE.md lists: sqlx gives the connection back
/// inside of the transaction, and the next user's work is lost.
#[tokio::test]
async fn plain_sqlx_loses_the_next_users_update_after_a_begin_was_dropped() {
    let (db, proxy, options) = one_row().await;
    let pool = sqlx_pool(options).await;

    proxy.hold_answer_to("BEGIN");
    select! {
        _ = pool.begin() => panic!("begun without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();

    let updated = pool.execute(UPDATE).await;
    pool.close().await;
    if DB::SURVIVES_DROPS {
        assert_eq!(
            updated.unwrap().rows_affected(),
            1,
            "it says that it is done"
        );
        assert_eq!(
            n_of_the_row(&db).await,
            0,
            "sqlx no longer loses it: say so in ARCHITECTURE.md"
        );
    }
}

#[tokio::test]
async fn an_update_after_a_dropped_begin_is_kept() {
    let (db, proxy, options) = one_row().await;
    let txn = txn_db(options).await;

    proxy.hold_answer_to(DB::BEGIN);
    select! {
        _ = txn.begin() => panic!("begun without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();

    let updated = txn.execute(UPDATE).await.unwrap();
    assert_eq!(updated.rows_affected(), 1);
    txn.close().await;
    assert_eq!(n_of_the_row(&db).await, 1);
}

/// This is the second of the three losses that ARCHITECTURE.md lists: sqlx rolls the outer
/// transaction back, and what follows in it autocommits.
#[tokio::test]
async fn plain_sqlx_autocommits_the_outer_transaction_after_a_savepoint_was_dropped() {
    if !DB::SURVIVES_DROPS {
        return;
    }
    let (db, proxy, options) = one_row().await;
    let pool = sqlx_pool(options).await;

    let mut outer = pool.begin().await.unwrap();
    outer
        .execute("INSERT INTO t (id, n) VALUES (2, 0)")
        .await
        .unwrap();
    proxy.hold_answer_to("SAVEPOINT");
    select! {
        _ = outer.begin() => panic!("begun without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
    outer
        .execute("INSERT INTO t (id, n) VALUES (3, 0)")
        .await
        .unwrap();
    outer
        .rollback()
        .await
        .expect("it says that it is rolled back");

    pool.close().await;
    assert_eq!(
        db.ids().await,
        [1, 3],
        "sqlx no longer autocommits it: say so in ARCHITECTURE.md"
    );
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 99).await
}

/// Inserts 2, drops a nested scope while its SAVEPOINT is in flight, and goes on with 3.
async fn outer_scope(txn: &Db<DB>, proxy: &Proxy) -> (Tx<DB>, Result<(), sqlx::Error>) {
    let mut outer = txn.begin().await.unwrap();
    insert(&mut outer, 2).await.unwrap();
    proxy.hold_answer_to("SAVEPOINT");
    select! {
        _ = nested(&mut outer) => panic!("begun without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
    let went_on = insert(&mut outer, 3).await;
    (outer, went_on)
}

#[tokio::test]
async fn an_outer_transaction_rolls_back_whole_after_a_dropped_savepoint() {
    let (db, proxy, options) = one_row().await;
    let txn = txn_db(options).await;
    let (outer, went_on) = outer_scope(&txn, &proxy).await;
    assert_eq!(went_on.is_ok(), DB::SURVIVES_DROPS, "{went_on:?}");
    outer.rollback().await.unwrap();
    txn.close().await;
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn an_outer_transaction_commits_whole_or_says_no_after_a_dropped_savepoint() {
    let (db, proxy, options) = one_row().await;
    let txn = txn_db(options).await;
    let (outer, _) = outer_scope(&txn, &proxy).await;
    let committed = outer.commit().await;
    txn.close().await;
    if DB::SURVIVES_DROPS {
        committed.unwrap();
        assert_eq!(db.ids().await, [1, 2, 3]);
    } else {
        assert!(committed.unwrap_err().is_aborted());
        assert_eq!(db.ids().await, [1]);
    }
}

/// The server never answers: the session is closed, and its place is free again.
#[tokio::test]
async fn a_session_whose_begin_is_never_answered_is_closed_within_the_settle_timeout() {
    let (db, proxy, options) = one_row().await;
    let limit = std::time::Duration::from_millis(100);
    let builder = patient::<DB>(options)
        .max_sessions(1)
        .settle_timeout(limit);
    let txn = builder.connect().await.unwrap();

    proxy.hold_answer_to(DB::BEGIN);
    select! {
        _ = txn.begin() => panic!("begun without an answer"),
        () = proxy.holding() => {}
    }
    let mut tx = txn.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    proxy.release();
}

/// This is the third of the three losses that ARCHITECTURE.md lists: the server answers COMMIT with
/// ROLLBACK, and sqlx does not look.
#[tokio::test]
async fn plain_sqlx_says_ok_to_a_commit_that_wrote_nothing() {
    if !DB::FAILURE_ABORTS {
        return;
    }
    let (db, _proxy, options) = one_row().await;
    let pool = sqlx_pool(options).await;

    let mut tx = pool.begin().await.unwrap();
    tx.execute("INSERT INTO t (id, n) VALUES (2, 0)")
        .await
        .unwrap();
    tx.execute("INSERT INTO t (id, n) VALUES (2, 0)")
        .await
        .unwrap_err();
    tx.commit().await.expect("it says that it is committed");

    pool.close().await;
    assert_eq!(
        db.ids().await,
        [1],
        "sqlx no longer hides it: say so in ARCHITECTURE.md"
    );
}

#[transactional]
async fn swallows_a_failure(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
    insert(tx, 2).await?;
    tx.execute(AssertSqlSafe(
        "INSERT INTO t (id, n) VALUES (2, 0)".to_owned(),
    ))
    .await
    .ok();
    Ok(())
}

#[tokio::test]
async fn ok_after_a_swallowed_failure_is_committed_or_is_an_error() {
    let (db, _proxy, options) = one_row().await;
    let txn = txn_db(options).await;
    let committed = swallows_a_failure(&txn).await;
    txn.close().await;
    if DB::FAILURE_ABORTS {
        let error = committed.unwrap_err();
        assert!(error.is_aborted(), "{error}");
        assert_eq!(db.ids().await, [1]);
    } else {
        committed.unwrap();
        assert_eq!(db.ids().await, [1, 2]);
    }
}
