//! An operation is dropped while its session catches up with something that was left: the next
//! operation must not take that for something else.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor};
use tokio::select;
use tokio::time::timeout;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, connect, insert, patient};
use crate::support::drop_points::{is_pending, poll_at_most};
use crate::support::observer::{PATIENCE, until};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

async fn by_proxy() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient(options).max_sessions(1).connect().await;
    (fixture, proxy, db.unwrap())
}

async fn drop_at(proxy: &Proxy, word: &'static str, operation: impl Future) {
    proxy.hold_answer_to(word);
    select! {
        _ = operation => panic!("complete without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
}

#[transactional(nested)]
async fn outer(tx: &mut Tx<DB>) -> Result<(), Error> {
    inner(tx).await
}

#[transactional(nested)]
async fn inner(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

/// The SAVEPOINT was given up with the scope around it. Of the INSERT nobody knows whether it took
/// effect.
#[tokio::test]
async fn a_statement_dropped_after_a_dropped_savepoint_fails_the_transaction() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "SAVEPOINT txn_2", outer(&mut tx)).await;
    let next = insert(&mut tx, 3).await;
    assert_eq!(next.is_ok(), DB::SURVIVES_DROPS, "{next:?}");
    if !DB::SURVIVES_DROPS {
        return;
    }
    drop_at(&proxy, "4444", insert(&mut tx, 4444)).await;
    let refused = Error::from(insert(&mut tx, 5).await.unwrap_err());
    assert!(refused.is_aborted(), "{refused}");
    assert!(tx.commit().await.unwrap_err().is_aborted());
    assert!(fixture.ids().await.is_empty());
}

/// The session is asked whether it is alive, and the caller who asks for it gives up before it
/// answers.
#[tokio::test]
async fn a_session_dropped_while_it_is_asked_whether_it_is_alive_is_no_clean_one() {
    let (fixture, proxy, db) = by_proxy().await;
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    let backend = DB::number(&row);
    until_idle(&fixture, backend).await;

    proxy.stall();
    {
        let mut asking = pin!(db.session());
        assert!(is_pending(&mut asking).await);
    }
    assert_eq!(
        db.status().idle,
        0,
        "it has not answered: nobody knows that it is clean"
    );
    proxy.release();
    each_answer_is_its_own(&db, &fixture).await;
}

/// The session has then been idle for longer than any session goes unchecked.
async fn until_idle(fixture: &Fixture<DB>, backend: i64) {
    until("the session has been idle for two seconds", async || {
        let idle = fixture.fetch_one(AssertSqlSafe(DB::idle_seconds(backend)));
        DB::number(&idle.await.unwrap()) >= 2
    })
    .await;
}

async fn each_answer_is_its_own(db: &Db<DB>, fixture: &Fixture<DB>) {
    for id in 0..5 {
        let insert = format!("INSERT INTO t (id, n) VALUES ({id}, 0)");
        let inserted = timeout(PATIENCE, db.execute(AssertSqlSafe(insert)));
        inserted.await.unwrap().unwrap();
    }
    assert_eq!(fixture.ids().await, [0, 1, 2, 3, 4]);
}

/// The caller who reads the rest of the stream gives up before it has come.
#[tokio::test]
async fn a_session_dropped_while_the_rest_of_a_row_stream_is_read_is_no_clean_one() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut session = db.session().await.unwrap();
    {
        let mut rows = session.fetch("SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9");
        rows.try_next().await.unwrap().unwrap();
    }
    proxy.stall();
    let dropped = poll_at_most(1, Box::pin(session.execute("SELECT 10"))).await;
    assert!(dropped.is_none(), "{dropped:?}");
    drop(session);
    assert_eq!(
        db.status().idle,
        0,
        "it has not answered: nobody knows that it is clean"
    );
    proxy.release();
    each_answer_is_its_own(&db, &fixture).await;
}

/// A server that is gone without a word does not answer a BEGIN either.
#[tokio::test]
async fn a_begin_on_a_session_that_lay_idle_is_given_up_with_the_acquire_timeout() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = connect::<DB>(&options, |builder| {
        let builder = builder.max_sessions(1).acquire_timeout(Duration::from_secs(2));
        builder.settle_timeout(Duration::from_millis(150))
    })
    .await;
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    until_idle(&fixture, DB::number(&row)).await;
    proxy.stall();
    let begun = timeout(PATIENCE, db.begin()).await;
    let error = begun.expect("it waits for ever").unwrap_err();
    assert!(error.is_connection() || error.is_acquire_timeout(), "{error}");
    proxy.release();
    db.settled().await;
    each_answer_is_its_own(&db, &fixture).await;
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

/// Nothing has run under either savepoint.
#[tokio::test]
async fn a_nested_scope_dropped_while_it_waits_for_the_savepoint_of_one_dropped_before_is_lost_alone()
 {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.hold_answer_to("SAVEPOINT");
    select! {
        _ = nested(&mut tx) => panic!("complete without an answer"),
        () = proxy.holding() => {}
    }
    let second = poll_at_most(1, Box::pin(nested(&mut tx))).await;
    assert!(second.is_none(), "{second:?}");
    proxy.release();
    goes_on_where_the_wire_survives(tx, &fixture).await;
}

/// Half-read rows are nobody's loss, and the nested scope never began.
#[tokio::test]
async fn a_nested_scope_dropped_while_it_waits_for_the_rest_of_a_row_stream_is_lost_alone() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    {
        let mut rows = tx.fetch("SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9");
        rows.try_next().await.unwrap().unwrap();
    }
    proxy.stall();
    let dropped = poll_at_most(1, Box::pin(nested(&mut tx))).await;
    assert!(dropped.is_none(), "{dropped:?}");
    proxy.release();
    goes_on_where_the_wire_survives(tx, &fixture).await;
}

async fn goes_on_where_the_wire_survives(mut tx: Tx<DB>, fixture: &Fixture<DB>) {
    let went_on = insert(&mut tx, 3).await;
    let committed = tx.commit().await;
    assert_eq!(went_on.is_ok(), committed.is_ok());
    let expected: &[i64] = if committed.is_ok() { &[1, 3] } else { &[] };
    assert_eq!(fixture.ids().await, expected);
    if DB::SURVIVES_DROPS {
        committed.unwrap();
    }
}
