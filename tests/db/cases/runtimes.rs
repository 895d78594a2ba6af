//! One handle outlives runtimes that come and go: a static `Db`, and a runtime for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::yield_now;
use std::time::Duration;

use sqlx::Executor;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use txn::{Db, DbBuilder, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, patient};
use crate::support::drop_points::poll_at_most;
use crate::support::observer::{PATIENCE, until};

const SESSIONS: usize = 3;
const SOON: Duration = Duration::from_millis(50);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A runtime whose tasks go on though nobody waits for them.
fn busy_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A handle whose runtime has just ended, with all its sessions in the pool.
fn outlived() -> Fixture<DB> {
    let runtime = runtime();
    runtime.block_on(async {
        let db = Fixture::<DB>::of_sessions(SESSIONS).await;
        use_all(&db).await;
        db
    })
}

async fn use_all(db: &Db<DB>) {
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = db.session().await.unwrap();
        session.execute("SELECT 1").await.unwrap();
        sessions.push(session);
    }
}

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// Each caller is the first to meet the sessions of the runtime before.
#[test]
fn sessions_of_a_runtime_that_has_ended_are_replaced_unseen() {
    for form in 0..6 {
        let db = outlived();
        // The call is made again after a new runtime has served the handle.
        for round in 0..3 {
            runtime().block_on(async {
                match form {
                    0 => _ = db.execute("SELECT 1").await.unwrap(),
                    1 => _ = db.session().await.unwrap().execute("SELECT 1").await.unwrap(),
                    2 => db.begin().await.unwrap().commit().await.unwrap(),
                    3 => write(&*db, round).await.unwrap(),
                    4 => db.check().await.unwrap(),
                    _ => db.sandbox().await.unwrap().close().await,
                }
                use_all(&db).await;
                db.assert_at_rest().await;
            });
        }
    }
}

/// One runtime has run a scope, and whoever waits for something on it would wait for ever.
#[test]
fn one_that_nobody_drives_any_more_keeps_no_handle_from_being_closed() {
    let (still, driven) = (runtime(), runtime());
    let soon = |builder: DbBuilder<DB>| builder.max_sessions(1).settle_timeout(SOON);
    let db = still.block_on(Fixture::<DB>::with(soon));
    still.block_on(write(&*db, 1)).unwrap();
    driven.block_on(async {
        timeout(PATIENCE, db.close()).await.expect("it ends");
        assert_eq!(db.status().open, 0);
    });
}

/// What is closed for its age is closed on a runtime that is driven.
#[test]
fn nor_its_places_from_being_used_again() {
    let (still, driven) = (runtime(), runtime());
    let home = still.block_on(Fixture::<DB>::of_sessions(1));
    let lazy = still.block_on(async {
        let builder = patient::<DB>(home.url().parse().unwrap());
        builder.max_sessions(1).idle_timeout(SOON).connect_lazy()
    });
    driven.block_on(async {
        for id in 0..3 {
            write(&lazy, id).await.unwrap();
            until("it is closed", async || lazy.status().open == 0).await;
        }
        lazy.close().await;
    });
}

/// The one who had it opened has left, and another has used it since, on its own runtime.
#[test]
fn a_session_that_was_opened_for_somebody_elsewhere_is_replaced_unseen() {
    let (here, elsewhere) = (runtime(), busy_runtime());
    let db = here.block_on(Fixture::<DB>::of_sessions(2));
    let held = here.block_on(db.session()).unwrap();
    elsewhere.block_on(async {
        assert!(poll_at_most(1, Box::pin(db.session())).await.is_none());
        until("it was opened", async || db.status().idle == 1).await;
    });
    here.block_on(async { db.session().await.unwrap().execute("SELECT 1").await.unwrap() });
    drop(elsewhere);
    here.block_on(async {
        db.execute("SELECT 1").await.expect("a session that lives");
        drop(held);
        db.assert_at_rest().await;
    });
}

/// A dropped scope is settled in the runtime of its user.
#[test]
fn what_is_dropped_is_settled_though_the_handle_s_own_runtime_is_gone() {
    let db = outlived();
    for _ in 0..2 {
        runtime().block_on(async {
            let hooks = Arc::new(AtomicUsize::new(0));
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let hook = Arc::clone(&hooks);
            tx.after_rollback(|_| async move { _ = hook.fetch_add(1, SeqCst) });
            drop(tx);
            db.settled().await;
            assert_eq!(hooks.load(SeqCst), 1);
            assert!(db.status().open > 0, "settled, not closed");
            assert!(db.ids().await.is_empty());
            db.assert_at_rest().await;
        });
    }
}

/// The caller of the commit is dropped, and nobody knows how far it is.
#[test]
fn so_a_commit_is_finished() {
    let db = outlived();
    runtime().block_on(async {
        for polls in 1..4 {
            let committed = Arc::new(AtomicUsize::new(0));
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, polls).await.unwrap();
            let hook = Arc::clone(&committed);
            tx.after_commit(async move { _ = hook.fetch_add(1, SeqCst) });
            poll_at_most(1, tx.commit()).await;
            db.settled().await;
            assert_eq!(committed.load(SeqCst), 1);
        }
        assert_eq!(db.ids().await, [1, 2, 3]);
        db.assert_at_rest().await;
    });
}

/// The scope is dropped in a thread that is in no runtime at all.
#[test]
fn so_is_what_is_dropped_outside_of_any() {
    let db = outlived();
    let runtime = busy_runtime();
    let hooks = Arc::new(AtomicUsize::new(0));
    let mut tx = runtime.block_on(db.begin()).unwrap();
    let hook = Arc::clone(&hooks);
    tx.after_rollback(|_| async move { _ = hook.fetch_add(1, SeqCst) });
    drop(tx);
    runtime.block_on(db.settled());
    assert_eq!(hooks.load(SeqCst), 1);
    runtime.block_on(db.assert_at_rest());
}

/// A cleanup ends with its runtime, and is no reason for the next one to fail.
#[test]
fn a_runtime_may_end_in_the_middle_of_everything() {
    let db = outlived();
    for id in 0..3 {
        let runtime = busy_runtime();
        let open = Arc::new(AtomicUsize::new(0));
        for _ in 0..SESSIONS {
            let (db, open) = (Db::clone(&db), Arc::clone(&open));
            runtime.spawn(async move {
                let _tx = db.begin().await.unwrap();
                open.fetch_add(1, SeqCst);
                std::future::pending::<()>().await;
            });
        }
        let expected = if <DB as TestEngine>::ONE_WRITER { 1 } else { SESSIONS };
        while open.load(SeqCst) < expected {
            yield_now();
        }
        drop(runtime);
        busy_runtime().block_on(async {
            db.settled().await;
            write(&*db, id).await.unwrap();
            db.assert_at_rest().await;
        });
    }
    runtime().block_on(async { assert_eq!(db.ids().await, [0, 1, 2]) });
}
