//! The server takes every byte and answers nothing. Whatever is dropped then, its session is
//! settled or closed within the `settle_timeout`, and its slot is free.

use std::future::pending;
use std::time::Duration;

use sqlx::Executor;
use tokio::select;
use tokio::time::timeout;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert, number, patient};
use crate::support::drop_trial::Marks;
use crate::support::observer::{PATIENCE, until};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

struct Wired {
    fixture: Fixture<DB>,
    proxy: Proxy,
    db: Db<DB>,
}

impl Wired {
    async fn new() -> Self {
        let fixture = Fixture::<DB>::new().await;
        let (proxy, options) = DB::by_proxy(fixture.url());
        let db = patient(options)
            .max_sessions(1)
            .acquire_timeout(PATIENCE)
            .settle_timeout(Duration::from_millis(150));
        let db = db.connect().await.unwrap();
        Self { fixture, proxy, db }
    }

    async fn begin(&self) -> Tx<DB> {
        let mut tx = self.db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        tx
    }

    /// Stalls the wire, and drops the operation once it has sent `word`.
    async fn drop_at(&self, word: &str, operation: impl Future) {
        let before = self.proxy.count(word);
        self.proxy.stall();
        select! {
            _ = operation => panic!("complete without an answer"),
            () = self.proxy.sent(word, before + 1) => {}
        }
    }

    /// The server is still silent. When it speaks again, the slot has a session in it.
    async fn assert_settles(&self, written: &[i64]) {
        let settled = timeout(PATIENCE, self.db.settled()).await;
        settled.expect("not settled within the settle timeout");
        let status = self.db.status();
        assert_eq!((status.in_use, status.settling), (0, 0), "{status:?}");
        self.proxy.release();
        let ids = async || self.fixture.ids().await;
        until("what was written is there", async || ids().await == written).await;
        let mut tx = self.db.begin().await.unwrap();
        let rows = number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap();
        assert_eq!(usize::try_from(rows).unwrap(), written.len());
        // The delete waits for the dropped transaction, should the server still have it.
        tx.execute("DELETE FROM t").await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(self.fixture.ids().await, written);
    }
}

#[tokio::test]
async fn a_begin_is_given_up() {
    let wired = Wired::new().await;
    wired.drop_at(DB::BEGIN, wired.db.begin()).await;
    wired.assert_settles(&[]).await;
}

#[tokio::test]
async fn a_statement_is_given_up() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    wired.drop_at("INSERT", insert(&mut tx, 2)).await;
    drop(tx);
    wired.assert_settles(&[]).await;
}

#[tokio::test]
async fn a_scope_between_two_statements_is_given_up() {
    let wired = Wired::new().await;
    let tx = wired.begin().await;
    wired.proxy.stall();
    drop(tx);
    wired.assert_settles(&[]).await;
}

#[tokio::test]
async fn a_rollback_is_given_up() {
    let wired = Wired::new().await;
    let tx = wired.begin().await;
    wired.drop_at("ROLLBACK", tx.rollback()).await;
    wired.assert_settles(&[]).await;
}

/// The COMMIT has reached the server, which has committed.
#[tokio::test]
async fn a_commit_is_given_up() {
    let wired = Wired::new().await;
    let tx = wired.begin().await;
    wired.drop_at("COMMIT", tx.commit()).await;
    wired.assert_settles(&[1]).await;
}

/// Nobody knows what became of the commit, and the hook is told so.
#[tokio::test]
async fn the_hooks_of_a_commit_that_is_given_up_are_those_of_an_unknown_end() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    let marks = Marks::default();
    let (committed, undone) = (marks.clone(), marks.clone());
    tx.after_commit(async move { committed.note("committed") });
    tx.after_rollback(move |cause| async move {
        undone.note(if cause.is_unknown() { "unknown" } else { "undone" });
    });
    wired.drop_at("COMMIT", tx.commit()).await;
    wired.assert_settles(&[1]).await;
    assert_eq!(marks.notes(), ["unknown"]);
}

#[tokio::test]
async fn an_autocommit_statement_is_given_up() {
    let wired = Wired::new().await;
    let slow = wired.db.execute("SELECT 4711");
    wired.drop_at("4711", slow).await;
    wired.assert_settles(&[]).await;
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

#[tokio::test]
async fn a_savepoint_is_given_up() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    let word = "SAVEPOINT txn_1";
    wired.drop_at(word, nested(&mut tx)).await;
    drop(tx);
    wired.assert_settles(&[]).await;
}

/// The outer scope is refused within a bound, and not left to wait.
#[tokio::test]
async fn a_commit_after_a_dropped_nested_scope_is_refused_or_given_up() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    let before = "SAVEPOINT txn_1";
    wired.drop_at(before, nested(&mut tx)).await;
    let committed = timeout(PATIENCE, tx.commit()).await.expect("it waits for ever");
    assert!(committed.unwrap_err().is_aborted());
    wired.assert_settles(&[]).await;
}

#[transactional(nested, timeout = "3s")]
async fn nested_too_late(tx: &mut Tx<DB>, proxy: &Proxy) -> Result<(), Error> {
    insert(tx, 2).await?;
    proxy.stall();
    pending().await
}

/// The ROLLBACK TO gets no answer.
#[tokio::test]
async fn a_nested_scope_over_its_timeout_returns() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    let nested = timeout(PATIENCE, nested_too_late(&mut tx, &wired.proxy)).await;
    let error = nested.expect("over its timeout, and waits for ever").unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop(tx);
    wired.assert_settles(&[]).await;
}

/// A rollback that could not be made is not asked for again, whoever answers by then: the
/// transaction is over.
#[tokio::test]
async fn a_transaction_whose_nested_scope_could_not_be_undone_goes_no_further() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    let nested = timeout(PATIENCE, nested_too_late(&mut tx, &wired.proxy)).await;
    nested.expect("over its timeout, and waits for ever").unwrap_err();
    wired.proxy.release();
    let refused = Error::from(insert(&mut tx, 3).await.unwrap_err());
    assert!(refused.is_aborted(), "{refused}");
    assert!(tx.commit().await.unwrap_err().is_aborted());
    wired.assert_settles(&[]).await;
}

/// Nobody is dropped, and still the rollback comes to an end.
#[tokio::test]
async fn a_rollback_that_gets_no_answer_returns() {
    let wired = Wired::new().await;
    let tx = wired.begin().await;
    wired.proxy.stall();
    let rolled_back = timeout(PATIENCE, tx.rollback()).await;
    rolled_back.expect("it waits for ever").unwrap();
    if DB::SURVIVES_DROPS {
        let status = wired.db.status();
        assert_eq!((status.open, status.settling), (0, 0), "what was in vain is not done again");
    }
    wired.assert_settles(&[]).await;
}

/// The error tells whose time is over. The session is a new one, which no other replaces.
#[tokio::test]
async fn a_begin_over_the_timeout_of_its_scope_is_a_timeout() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient::<DB>(options).max_sessions(2);
    let db = db.settle_timeout(Duration::from_millis(150)).connect().await.unwrap();
    let held = db.session().await.unwrap();
    proxy.hold_answer_to(DB::BEGIN);
    let called = timeout(PATIENCE, too_late(&db, &proxy)).await;
    let error = called.expect("over its timeout, and waits for ever").unwrap_err();
    assert!(error.is_timeout() && !error.is_connection(), "{error}");
    proxy.release();
    drop(held);
    db.settled().await;
    assert!(fixture.ids().await.is_empty());
}

#[transactional(timeout = "100ms")]
async fn too_late(tx: &mut Tx<DB>, proxy: &Proxy) -> Result<(), Error> {
    insert(tx, 1).await?;
    proxy.stall();
    insert(tx, 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_scope_over_its_timeout_returns() {
    let wired = Wired::new().await;
    let called = timeout(PATIENCE, too_late(&wired.db, &wired.proxy)).await;
    let error = called.expect("over its timeout, and waits for ever").unwrap_err();
    assert!(error.is_timeout(), "{error}");
    wired.assert_settles(&[]).await;
}

#[transactional(nested)]
async fn nested_stalls(tx: &mut Tx<DB>, proxy: &Proxy) -> Result<(), Error> {
    proxy.stall();
    Ok(insert(tx, 2).await?)
}

/// A nested scope was dropped in the transaction, and has to be undone first.
#[tokio::test]
async fn a_scope_with_a_dropped_nested_one_is_given_up() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    select! {
        _ = nested_stalls(&mut tx, &wired.proxy) => panic!("complete without an answer"),
        () = wired.proxy.sent("INSERT", 2) => {}
    }
    let committed = timeout(PATIENCE, tx.commit()).await;
    let error = committed.expect("it waits for ever").unwrap_err();
    assert!(error.is_aborted(), "{error}");
    wired.assert_settles(&[]).await;
}

#[tokio::test]
async fn closing_the_handle_comes_to_an_end() {
    let wired = Wired::new().await;
    let mut tx = wired.begin().await;
    wired.drop_at("INSERT", insert(&mut tx, 2)).await;
    drop(tx);
    let closed = timeout(PATIENCE, wired.db.close()).await;
    closed.expect("close waits for ever");
    assert_eq!((wired.db.status().open, wired.db.status().settling), (0, 0));
}

#[tokio::test]
async fn closing_the_handle_with_sessions_in_the_pool_comes_to_an_end() {
    let wired = Wired::new().await;
    wired.proxy.stall();
    let closed = timeout(PATIENCE, wired.db.close()).await;
    closed.expect("close waits for ever");
    assert_eq!(wired.db.status().open, 0);
}

#[tokio::test]
async fn connecting_ends_with_the_acquire_timeout() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    proxy.stall();
    let limit = Duration::from_millis(100);
    let connecting = patient::<DB>(options).acquire_timeout(limit).connect();
    let error = timeout(PATIENCE, connecting).await.unwrap().unwrap_err();
    assert!(error.is_acquire_timeout(), "{error}");
}

#[transactional(timeout = "300ms")]
async fn limited(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

/// Its BEGIN is not answered. The others would not be answered in time either.
#[tokio::test]
async fn a_scope_whose_time_is_over_costs_one_session_and_not_one_after_the_other() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient(options).max_sessions(6).connect().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..6 {
        let mut session = db.session().await.unwrap();
        session.execute("SELECT 1").await.unwrap();
        sessions.push(session);
    }
    drop(sessions);
    proxy.stall();
    let error = limited(&db).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // A second one takes its place if they are no longer taken for alive, on a busy machine.
    assert!(proxy.count(DB::BEGIN) <= 2, "{}", proxy.count(DB::BEGIN));
    proxy.release();
}
