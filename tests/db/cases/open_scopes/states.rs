//! An operator sees what a scope is doing.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use sqlx::Executor;
use tokio::sync::Notify;
use tokio::task::yield_now;
use txn::ScopeState::{self, Beginning, Committing, Hooks, Idle, RollingBack, Running, Settling};
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, the_one};
use crate::support::drop_points::is_pending;
use crate::support::observer::until;

/// Collects what is listed whenever the future waits.
async fn seen_during<T>(
    db: &Fixture<DB>,
    future: impl Future<Output = T>,
    seen: &mut Vec<ScopeState>,
) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return output;
        }
        seen.extend(db.scopes().await.iter().map(|scope| scope.state));
        yield_now().await;
    }
}

#[transactional]
async fn passes(tx: &mut Tx<DB>, commits: bool) -> Result<(), Error> {
    tx.after_commit(yield_now());
    tx.after_rollback(async |_| yield_now().await);
    tx.execute("SELECT n FROM t").await?;
    yield_now().await;
    match commits {
        true => Ok(()),
        false => Err(sqlx::Error::RowNotFound.into()),
    }
}

/// The driver need not wait for each answer, so the scope is tried until it did.
#[tokio::test]
async fn a_scope_is_seen_to_begin_to_run_to_end_and_to_run_its_hooks_in_this_order() {
    for (commits, end) in [(true, Committing), (false, RollingBack)] {
        let db = Fixture::<DB>::of_sessions(1).await;
        let order = [Beginning, Running, Idle, end, Hooks];
        let mut all = Vec::new();
        until("all states are seen", async || {
            let mut seen = Vec::new();
            let passed = seen_during(&db, passes(&*db, commits), &mut seen).await;
            assert_eq!(passed.is_ok(), commits);
            assert!(db.scopes().await.is_empty());
            seen.dedup();
            let place = |state| match state {
                // The answer to a BEGIN may be read before the statement is sent.
                Idle | Running => Some(1),
                state => order.iter().position(|other| *other == state),
            };
            let places: Vec<_> = seen.iter().map(|state| place(*state)).collect();
            assert!(
                places.is_sorted() && places.iter().all(Option::is_some),
                "{seen:?}"
            );
            all.extend(seen);
            order.iter().all(|state| all.contains(state))
        })
        .await;
    }
}

#[tokio::test]
async fn a_statement_runs_until_it_is_answered_or_given_up() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let mut slow = tx.execute(DB::SLOW_QUERY);
    assert!(is_pending(&mut slow).await);
    let scope = the_one(&db).await;
    assert_eq!((scope.state, scope.statements), (Running, 2));
    let text = scope.to_string();
    assert!(
        text.contains("running a statement, 2 statements, session "),
        "{text}"
    );
    drop(slow);
    assert_eq!(the_one(&db).await.state, Idle);
    drop(tx);
    let scope = the_one(&db).await;
    assert_eq!(scope.state, Settling);
    assert_eq!(scope.name, "a transaction begun by hand");
    db.assert_at_rest().await;
}

#[transactional(name = "hooked")]
async fn hooked(tx: &mut Tx<DB>, go: &Arc<Notify>, in_body: Option<&Notify>) -> Result<(), Error> {
    let (committed, rolled_back) = (Arc::clone(go), Arc::clone(go));
    tx.after_commit(async move { committed.notified().await });
    tx.after_rollback(async move |_| rolled_back.notified().await);
    insert(tx, 1).await?;
    if let Some(in_body) = in_body {
        in_body.notify_one();
        std::future::pending::<()>().await;
    }
    Ok(())
}

async fn until_hooks_run(db: &Fixture<DB>) {
    until("its hooks run", async || {
        db.scopes()
            .await
            .iter()
            .any(|scope| scope.state == Hooks && scope.session.is_none())
    })
    .await;
    let hooks = the_one(db).await;
    assert_eq!((hooks.name, hooks.statements), ("hooked", 1));
}

#[tokio::test]
async fn hooks_are_listed_without_a_session_until_they_have_run() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let go = Arc::new(Notify::new());
    let seen = async {
        until_hooks_run(&db).await;
        go.notify_one();
    };
    tokio::join!(hooked(&*db, &go, None), seen).0.unwrap();
    assert!(db.scopes().await.is_empty());
}

#[tokio::test]
async fn hooks_of_a_dropped_scope_are_listed_too() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let (go, in_body) = (Arc::new(Notify::new()), Notify::new());
    tokio::select! {
        _ = hooked(&*db, &go, Some(&in_body)) => unreachable!("its body never ends"),
        () = in_body.notified() => {}
    }
    until_hooks_run(&db).await;
    go.notify_one();
    db.assert_at_rest().await;
}
