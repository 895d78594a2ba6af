//! `Db::close` waits for everything that must end, and for nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_points::{is_pending, poll_at_most};
use crate::support::observer::until;
use crate::support::route::Route;

/// A hook that runs until it is let go.
#[derive(Clone, Default)]
struct Slow {
    begun: Arc<AtomicBool>,
    go: Arc<Notify>,
    done: Arc<AtomicBool>,
}

impl Slow {
    async fn run(self) {
        self.begun.store(true, Ordering::SeqCst);
        self.go.notified().await;
        self.done.store(true, Ordering::SeqCst);
    }

    /// Asserts that nobody who closes the handle goes on before the hook is done.
    async fn assert_waited_for(&self, db: &Db<DB>) {
        until("the hook runs", async || self.begun.load(Ordering::SeqCst)).await;
        let mut closing = Box::pin(db.close());
        for _ in 0..50 {
            assert!(is_pending(&mut closing).await);
            tokio::task::yield_now().await;
        }
        self.go.notify_one();
        closing.await;
        assert!(self.done.load(Ordering::SeqCst));
    }
}

#[transactional]
async fn hooked(tx: &mut Tx<DB>, slow: Slow) -> Result<(), Error> {
    tx.after_commit(slow.run());
    Ok(insert(tx, 1).await?)
}

#[transactional]
async fn fails(tx: &mut Tx<DB>, slow: Slow) -> Result<(), Error> {
    tx.after_rollback(|_| slow.run());
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional]
async fn around(tx: &mut Tx<DB>, slow: Slow) -> Result<(), Error> {
    nested(tx, slow).await
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, slow: Slow) -> Result<(), Error> {
    tx.after_commit(slow.run());
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn it_waits_for_the_hooks_of_scopes_that_have_committed() {
    for which in 0..2 {
        let (db, slow) = (Fixture::<DB>::of_sessions(2).await, Slow::default());
        let (handle, hook) = (Db::clone(&db), slow.clone());
        let caller = tokio::spawn(async move {
            match which {
                0 => hooked(&handle, hook).await,
                _ => around(&handle, hook).await,
            }
        });
        slow.assert_waited_for(&db).await;
        caller.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn it_waits_for_the_hooks_of_a_scope_that_was_rolled_back() {
    let (db, slow) = (Fixture::<DB>::of_sessions(2).await, Slow::default());
    let (handle, hook) = (Db::clone(&db), slow.clone());
    let caller = tokio::spawn(async move { fails(&handle, hook).await });
    slow.assert_waited_for(&db).await;
    caller.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn it_waits_for_the_hooks_of_a_transaction_by_hand_and_of_one_that_was_dropped() {
    for dropped in [false, true] {
        let (db, slow) = (Fixture::<DB>::of_sessions(2).await, Slow::default());
        let mut tx = db.begin().await.unwrap();
        let (after_commit, after_rollback) = (slow.clone(), slow.clone());
        tx.after_commit(after_commit.run());
        tx.after_rollback(|_| after_rollback.run());
        let ending = match dropped {
            true => {
                drop(tx);
                None
            }
            false => Some(tokio::spawn(tx.commit())),
        };
        slow.assert_waited_for(&db).await;
        if let Some(ending) = ending {
            ending.await.unwrap().unwrap();
        }
    }
}

/// Neither the sandbox nor what it has begun outlasts the handle.
#[tokio::test]
async fn it_waits_for_the_hooks_of_a_sandbox() {
    let (db, slow) = (Fixture::<DB>::of_sessions(2).await, Slow::default());
    let sandbox = db.sandbox().await.unwrap();
    let (handle, hook) = (sandbox.db().clone(), slow.clone());
    let caller = tokio::spawn(async move { hooked(&handle, hook).await });
    until("the hook runs", async || slow.begun.load(Ordering::SeqCst)).await;
    drop(sandbox);
    slow.assert_waited_for(&db).await;
    caller.await.unwrap().unwrap();
}

/// A session that was handed to a caller who waits is closed too: nobody knows whether that caller
/// will ever be polled.
#[tokio::test]
async fn it_closes_a_session_that_a_waiting_caller_was_given() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let held = db.session().await.unwrap();
    let mut waiting = Box::pin(db.session());
    assert!(is_pending(&mut waiting).await);
    drop(held);
    db.close().await;
    assert_eq!(db.status().open, 0);
    assert!(waiting.await.unwrap_err().is_closed());
}

/// It does not matter who opens the connection, and why.
#[tokio::test]
async fn a_session_that_is_being_opened_is_given_up_and_nothing_begins() {
    let route = Route::<DB>::new().await;
    let db = route.connect(|builder| builder.max_sessions(3)).await;
    let Some(silent) = route.replace() else { return };
    let held = db.session().await.unwrap();
    let mut callers = (Box::pin(db.begin()), Box::pin(db.session()), Box::pin(db.check()));
    for _ in 0..20 {
        assert!(is_pending(&mut callers.0).await);
        assert!(is_pending(&mut callers.1).await);
        assert!(is_pending(&mut callers.2).await);
        tokio::task::yield_now().await;
    }
    drop(held);
    db.close().await;
    assert!(callers.0.await.unwrap_err().is_closed());
    assert!(callers.1.await.unwrap_err().is_closed());
    assert!(callers.2.await.unwrap_err().is_closed());
    let status = db.status();
    assert_eq!((status.open, status.in_use, status.waiting), (0, 0, 0), "{status:?}");
    drop(silent);
}

/// Polls the future this often, whether it has asked for it or not. Returns true if it was over.
async fn is_over_after<F: Future + Unpin>(polls: usize, future: &mut F) -> bool {
    for _ in 0..polls {
        if !is_pending(future).await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// The opening is dropped at every point.
#[tokio::test]
async fn nothing_begins_after_it_has_returned() {
    let fixture = Fixture::<DB>::of_sessions(1).await;
    for polls in 1.. {
        let db = Db::<DB>::builder(fixture.url().parse().unwrap()).max_sessions(2);
        let db = db.connect().await.unwrap();
        // The next session is opened anew.
        let held = db.session().await.unwrap();
        let mut begin = Box::pin(db.begin());
        let begun = poll_at_most(polls, &mut begin).await;
        drop(held);
        match begun {
            Some(begun) => {
                begun.unwrap().rollback().await.unwrap();
                assert!(polls > 1, "opening takes time");
                return;
            }
            None => {
                // The caller has no session, or is in BEGIN: then the close waits for it.
                // It is often over before the caller learns that its connection is there.
                let mut closing = Box::pin(db.close());
                if is_over_after(1000, &mut closing).await {
                    assert!(begin.await.unwrap_err().is_closed());
                } else {
                    let begun = begin.await;
                    assert!(begun.as_ref().err().is_none_or(Error::is_closed), "{begun:?}");
                    drop(begun);
                    closing.await;
                }
            }
        }
        let status = db.status();
        assert_eq!((status.open, status.in_use), (0, 0), "{polls}: {status:?}");
    }
}
