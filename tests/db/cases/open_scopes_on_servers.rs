//! Open scopes of engines whose sessions a server has.

use sqlx::Executor;
use tokio::sync::Notify;
use txn::{Db, Error, ScopeState, Tx, WaitsFor, transactional};

use super::{DB, Fixture, TestEngine, insert, patient};
use crate::support::drop_points::is_pending;
use crate::support::observer::{Observed, until};
use crate::support::server_engine::ServerEngine;

/// This is deterministic here: the server's answer does not come.
#[tokio::test]
async fn a_scope_is_shown_in_the_state_in_which_it_hangs() {
    let place = DB::place().await;
    let (proxy, options) = DB::wired(&place);
    let proxy = proxy.unwrap();
    let db = patient::<DB>(options).max_sessions(1).connect().await;
    let db = db.unwrap();
    let state = async || db.scopes().await.pop().map(|scope| scope.state);
    proxy.hold_answer_to(DB::BEGIN);
    let mut tx = Box::pin(db.begin());
    assert!(is_pending(&mut tx).await);
    assert_eq!(state().await, Some(ScopeState::Beginning));
    proxy.release();
    let tx = tx.await.unwrap();
    assert_eq!(state().await, Some(ScopeState::Idle));
    proxy.hold_answer_to("COMMIT");
    let mut commit = Box::pin(tx.commit());
    assert!(is_pending(&mut commit).await);
    assert_eq!(state().await, Some(ScopeState::Committing));
    drop(commit);
    assert_eq!(state().await, Some(ScopeState::Committing));
    proxy.release();
    db.settled().await;
    assert_eq!(state().await, None);
}

#[tokio::test]
async fn who_waits_for_the_server_to_open_a_session_is_told_from_who_waits_for_others() {
    let place = DB::place().await;
    let (proxy, options) = DB::wired(&place);
    let proxy = proxy.unwrap();
    let db = patient::<DB>(options).max_sessions(2).connect().await;
    let db = db.unwrap();
    let held = db.begin().await.unwrap();
    proxy.stall();
    let mut second = Box::pin(db.begin());
    assert!(is_pending(&mut second).await);
    let scopes = db.scopes().await;
    assert_eq!(scopes[1].waits_for, Some(WaitsFor::Connection));
    assert!(scopes[1].waits_on.is_empty());
    let text = scopes[1].to_string();
    assert!(
        text.ends_with("waiting for the server to open a session"),
        "{text}"
    );
    let mut third = Box::pin(db.begin());
    assert!(is_pending(&mut third).await);
    let scopes = db.scopes().await;
    assert_eq!(scopes[2].waits_for, Some(WaitsFor::Session));
    let on: Vec<_> = scopes[2].waits_on.iter().map(|on| on.session).collect();
    assert_eq!(on, [scopes[0].session, None], "also on who opens one");
    // The session is opened though nobody polls the caller, and handed to it.
    proxy.release();
    until("it is seen that the second is not polled", async || {
        db.scopes().await[1].waits_for == Some(WaitsFor::Poll)
    })
    .await;
    drop((second, third));
    held.rollback().await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn where_the_server_does_not_say_whose_lock_it_is_the_rest_is_listed() {
    let place = DB::place().await;
    let (proxy, options) = DB::wired(&place);
    let proxy = proxy.unwrap();
    let db = patient::<DB>(options).max_sessions(1).connect().await;
    let db = db.unwrap();
    let mut tx = db.begin().await.unwrap();
    let mut slow = tx.execute(DB::SLOW_QUERY);
    assert!(is_pending(&mut slow).await);
    proxy.stall();
    let scopes = db.scopes().await;
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].state, ScopeState::Running);
    assert_eq!(scopes[0].waits_for, None);
    drop(slow);
    proxy.release();
    drop(tx);
    db.settled().await;
    assert!(db.scopes().await.is_empty());
}

#[transactional(requires_new, name = "audit")]
async fn audit(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional(name = "transfer")]
async fn transfer(tx: &mut Tx<DB>, waits: &Notify) -> Result<(), Error> {
    waits.notify_one();
    audit(tx).await
}

#[tokio::test]
async fn who_waits_for_a_second_session_is_shown_with_those_who_have_it() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let other = db.begin().await.unwrap();
    let waits = Notify::new();
    let seen = async {
        waits.notified().await;
        let scopes = db.scopes().await;
        let of = |name: &str| scopes.iter().find(|scope| scope.name == name).unwrap();
        let (held, transfer, audit) = (&scopes[0], of("transfer"), of("audit"));
        assert_eq!(scopes.len(), 3);
        assert_eq!(audit.state, ScopeState::Waiting);
        assert_eq!(transfer.state, ScopeState::Idle);
        for scope in [transfer, audit] {
            assert_eq!(scope.waits_for, Some(WaitsFor::Session));
            assert_eq!(scope.waits_on.len(), 1, "not on itself: {scope}");
            assert_eq!(scope.waits_on[0].session, held.session);
        }
        let text = transfer.to_string();
        assert!(
            text.contains("between statements") && text.contains("waits for a second session held"),
            "{text}"
        );
        other.rollback().await.unwrap();
    };
    tokio::join!(transfer(&*db, &waits), seen).0.unwrap();
    db.assert_at_rest().await;
}

/// Somebody of whom this handle knows nothing has the lock.
#[tokio::test]
async fn a_lock_of_a_stranger_is_shown_with_its_session() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let others = Db::<DB>::connect(db.url()).await.unwrap();
    let mut holder = others.begin().await.unwrap();
    insert(&mut holder, 1).await.unwrap();
    let stranger = others.scopes().await[0].session;
    let mut tx = db.begin().await.unwrap();
    let mut waits = Box::pin(insert(&mut tx, 1));
    assert!(is_pending(&mut waits).await);
    let mut seen = None;
    until("it is seen to wait", async || {
        // MariaDB tells news only to those who have not asked for a while.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        seen = db.scopes().await.into_iter().next();
        seen.as_ref().is_some_and(|scope| scope.waits_for == Some(WaitsFor::Lock))
    })
    .await;
    let scope = seen.unwrap();
    assert_eq!(scope.waits_on.len(), 1);
    assert_eq!((scope.waits_on[0].name, scope.waits_on[0].session), (None, stranger));
    let id = stranger.unwrap();
    let end = format!("waits for a lock held by session {id}, which is not of this handle");
    assert!(scope.to_string().ends_with(&end), "{scope}");
    holder.rollback().await.unwrap();
    waits.await.unwrap();
    tx.commit().await.unwrap();
    db.assert_at_rest().await;
}
