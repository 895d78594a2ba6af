//! A scope is dropped, at BEGIN or in its body: nothing is committed, and no session is left in
//! doubt.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, oneshot};
use txn::{Db, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::drop_points::{PLENTY, poll_at_most};

#[transactional]
async fn writes_and_waits(tx: &mut Tx<DB>, inside: oneshot::Sender<()>) -> Result<(), txn::Error> {
    insert(tx, 1).await?;
    inside.send(()).unwrap();
    pending().await
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_task_aborted_in_the_body_commits_nothing() {
    let db = Fixture::<DB>::new().await;
    let (inside, is_inside) = oneshot::channel();
    let source = Db::clone(&db);
    let task = tokio::spawn(async move { writes_and_waits(&source, inside).await });
    is_inside.await.unwrap();
    assert_eq!(db.status().in_use, 1);

    task.abort();

    assert!(task.await.unwrap_err().is_cancelled());
    db.settled().await;
    assert_eq!(
        db.status().open,
        1,
        "the session is clean, there is no need to close it"
    );
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

/// The session of a dropped BEGIN does not go back inside of a transaction, on any engine.
#[tokio::test]
async fn dropped_at_any_point_of_begin_the_next_users_update_is_kept() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    let mut polls = 0;
    loop {
        let begun = poll_at_most(polls, db.begin()).await;
        let Some(begun) = begun else {
            db.execute("UPDATE t SET n = n + 1 WHERE id = 1")
                .await
                .unwrap();
            polls += 1;
            assert!(polls < PLENTY);
            continue;
        };
        begun.unwrap().rollback().await.unwrap();
        break;
    }
    db.close().await;
    let db = Db::<DB>::connect(db.url()).await.unwrap();
    let n = DB::number(&db.fetch_one("SELECT n FROM t").await.unwrap());
    assert_eq!(usize::try_from(n).unwrap(), polls);
}

/// A dropped savepoint does not end the transaction around it unseen, on any engine.
#[tokio::test]
async fn dropped_at_any_point_of_a_nested_scope_the_outer_writes_everything_or_nothing() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2)).await;
    for polls in 0.. {
        assert!(polls < PLENTY);
        let base = 10 * i64::try_from(polls).unwrap();
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, base).await.unwrap();
        let complete = poll_at_most(polls, nested(&mut tx, base + 1))
            .await
            .is_some();
        let went_on = insert(&mut tx, base + 2).await.is_ok();
        let committed = tx.commit().await.is_ok();
        assert_eq!(went_on, committed);

        let mut written = db.ids().await;
        written.retain(|id| *id >= base);
        match (committed, complete) {
            (false, _) => assert!(written.is_empty(), "after {polls} polls"),
            (true, false) => assert_eq!(written, [base, base + 2], "after {polls} polls"),
            (true, true) => assert_eq!(written, [base, base + 1, base + 2], "after {polls} polls"),
        }
        if complete {
            break;
        }
    }
    db.assert_at_rest().await;
}

/// No statement is in flight, so that every engine's connection survives.
#[tokio::test]
async fn a_nested_scope_dropped_between_its_statements_is_undone_alone() {
    #[transactional(nested)]
    async fn waits(tx: &mut Tx<DB>, inside: &Notify) -> Result<(), txn::Error> {
        insert(tx, 2).await?;
        inside.notify_one();
        pending().await
    }
    let db = Fixture::<DB>::new().await;
    let inside = Notify::new();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tokio::select! {
        _ = waits(&mut tx, &inside) => unreachable!("it waits for ever"),
        () = inside.notified() => {}
    }
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
    db.assert_at_rest().await;
}

/// The session is closed, if nothing else helps, and its place is free.
#[tokio::test]
async fn a_scope_dropped_with_a_statement_in_flight_leaves_no_session_in_doubt() {
    let limit = Duration::from_millis(200);
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2).settle_timeout(limit)).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();

    let slow = async {
        tx.execute(DB::SLOW_QUERY).await.unwrap();
        tx.commit().await.unwrap();
    };
    assert!(poll_at_most(1, slow).await.is_none());

    db.assert_at_rest().await;
    // The query waits for the other session's locks if it still has them.
    assert!(db.ids().await.is_empty());
}

/// This is invariant 8 of the runtime.
#[test]
fn a_scope_dropped_outside_of_a_runtime_is_settled() {
    let runtime = Runtime::new().unwrap();
    let (db, tx) = runtime.block_on(open_scope());
    drop(tx);
    runtime.block_on(async {
        db.assert_at_rest().await;
        assert_eq!(db.status().open, 1);
        assert!(db.ids().await.is_empty());
    });
}

#[test]
fn a_scope_that_outlives_its_runtime_is_rolled_back() {
    let runtime = Runtime::new().unwrap();
    let (db, tx) = runtime.block_on(open_scope());
    drop(runtime);
    drop(tx);
    let url = db.url();
    Runtime::new().unwrap().block_on(assert_rolled_back(url));
}

#[test]
fn a_runtime_that_shuts_down_with_scopes_open_rolls_them_back() {
    let runtime = Runtime::new().unwrap();
    let db = Arc::new(runtime.block_on(Fixture::<DB>::new()));
    let (inside, is_inside) = oneshot::channel();
    let source = Db::clone(&db);
    runtime.spawn(async move { writes_and_waits(&source, inside).await });
    runtime.block_on(is_inside).unwrap();
    drop(runtime);
    Runtime::new()
        .unwrap()
        .block_on(assert_rolled_back(db.url()));
}

async fn open_scope() -> (Fixture<DB>, Tx<DB>) {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    (db, tx)
}

/// Inserts the same row again, which waits for whoever still has it, and is refused if it was
/// committed.
async fn assert_rolled_back(url: &str) {
    let db = Db::<DB>::connect(url).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    assert_eq!(number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// A commit behind the scope's back is no success of the scope's.
#[tokio::test]
async fn a_commit_on_the_raw_connection_is_no_success_of_the_scope() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.connection().await.unwrap().execute("COMMIT").await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted(), "{error}");
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}
