//! A hook is told of the end that came about, whatever a hook decides, and whichever scope it
//! belongs to.

use std::future::pending;

use sqlx::Executor;
use tokio::sync::oneshot;
use txn::{Db, Error, Tx, transactional};

use super::*;
use crate::support::drop_points::{PLENTY, poll_at_most};
use crate::support::drop_trial::Marks;
use crate::support::warnings::Warnings;

fn register(tx: &mut Tx<DB>, marks: &Marks, committed: &'static str, undone: &'static str) {
    let log = marks.clone();
    tx.after_commit(async move { log.note(committed) });
    let log = marks.clone();
    tx.after_rollback(move |_| async move { log.note(undone) });
}

/// A transaction that has written the row 1, and whose hooks note how it ends.
async fn begun(db: &Db<DB>, marks: &Marks) -> Tx<DB> {
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    register(&mut tx, marks, "committed", "undone");
    tx
}

/// Drops the commit while a hook before it waits for `go_on`, and then lets the hook go on.
async fn drop_commit_in_its_hook(
    db: &Db<DB>,
    marks: &Marks,
    tx: Tx<DB>,
    go_on: oneshot::Sender<()>,
) {
    let dropped = poll_at_most(1, Box::pin(tx.commit())).await;
    assert!(dropped.is_none(), "{dropped:?}");
    assert!(marks.notes().is_empty());
    go_on.send(()).unwrap();
    db.settled().await;
}

/// The decision to commit is taken before the hook runs, and once more after it.
#[tokio::test]
async fn a_hook_before_the_commit_may_still_ask_for_a_rollback() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    let mut tx = begun(&db, &marks).await;
    tx.before_commit(|tx| {
        Box::pin(async move {
            tx.set_rollback_only("the books do not balance");
            Ok(())
        })
    });
    tx.commit().await.unwrap();
    assert_eq!(marks.notes(), ["undone"]);
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional]
async fn joined(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    Err(sqlx::Error::RowNotFound.into())
}

#[tokio::test]
async fn a_joined_scope_that_fails_in_a_hook_before_the_commit_fails_the_transaction() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    let mut tx = begun(&db, &marks).await;
    tx.before_commit(|tx| {
        Box::pin(async move {
            joined(tx).await.unwrap_err();
            Ok(())
        })
    });
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    assert_eq!(marks.notes(), ["undone"]);
    assert!(db.ids().await.is_empty());
}

/// The same holds in a scope, and in a sandbox.
#[transactional]
async fn changes_its_mind(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    register(tx, marks, "committed", "undone");
    tx.before_commit(|tx| {
        Box::pin(async move {
            insert(tx, 2).await?;
            tx.set_rollback_only("on second thoughts");
            Ok(())
        })
    });
    Ok(())
}

#[tokio::test]
async fn a_scope_whose_hook_asks_for_a_rollback_writes_nothing() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    changes_its_mind(&*db, &marks).await.unwrap();
    assert!(db.ids().await.is_empty());
    let sandbox = db.sandbox().await.unwrap();
    changes_its_mind(&*sandbox, &marks).await.unwrap();
    let left = sandbox.fetch_all("SELECT id FROM t").await.unwrap();
    assert!(left.is_empty());
    assert_eq!(marks.notes(), ["undone", "undone"]);
}

/// A hook may register another hook of either kind, until there are none.
#[tokio::test]
async fn hooks_before_the_commit_run_until_there_are_none() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    let mut tx = db.begin().await.unwrap();
    for (id, note) in [(1, "first"), (3, "third")] {
        let marks = marks.clone();
        tx.before_commit(move |tx| {
            Box::pin(async move {
                marks.note(note);
                insert(tx, id).await?;
                register(tx, &marks, "committed", "undone");
                tx.before_commit(move |tx| Box::pin(async move { Ok(insert(tx, id + 1).await?) }));
                Ok(())
            })
        });
    }
    tx.commit().await.unwrap();
    assert_eq!(marks.notes(), ["first", "third", "committed", "committed"]);
    assert_eq!(db.ids().await, [1, 2, 3, 4]);
}

#[transactional(nested)]
async fn stops(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 2).await?;
    register(tx, marks, "nested committed", "nested undone");
    tx.before_commit(|_| Box::pin(async { Err("of a scope that is gone".into()) }));
    marks.note("in the body");
    pending().await
}

async fn drop_in_its_body(tx: &mut Tx<DB>, marks: &Marks) {
    let mut nested = Box::pin(stops(tx, marks));
    while !marks.notes().contains(&"in the body") {
        let moment = std::time::Duration::from_millis(5);
        let ended = tokio::time::timeout(moment, nested.as_mut()).await;
        assert!(ended.is_err(), "{ended:?}");
    }
}

/// The hooks of the rollback run when the transaction around the scope has ended, however it ends.
#[tokio::test]
async fn the_hooks_of_a_nested_scope_that_was_dropped_are_those_of_a_rollback() {
    for commits in [true, false] {
        let db = Fixture::<DB>::new().await;
        let marks = Marks::default();
        let mut tx = begun(&db, &marks).await;
        drop_in_its_body(&mut tx, &marks).await;
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        let end = if commits { "committed" } else { "undone" };
        assert_eq!(marks.notes(), ["in the body", end, "nested undone"]);
        let expected: &[i64] = if commits { &[1] } else { &[] };
        assert_eq!(db.ids().await, expected);
        db.assert_at_rest().await;
    }
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, marks: &Marks, id: i64, fails: bool) -> Result<(), Error> {
    register(tx, marks, "nested committed", "nested undone");
    insert(tx, id).await?;
    match fails {
        true => Err(sqlx::Error::RowNotFound.into()),
        false => Ok(()),
    }
}

#[transactional(nested)]
async fn around(tx: &mut Tx<DB>, marks: &Marks, inner_fails: bool) -> Result<(), Error> {
    nested(tx, marks, 2, inner_fails).await.ok();
    Err(sqlx::Error::RowNotFound.into())
}

/// A nested scope that fails does not undo what an earlier one has left to the scope around both.
#[tokio::test]
async fn hooks_that_were_kept_outlive_a_later_nested_scope_that_fails() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    let mut tx = db.begin().await.unwrap();
    nested(&mut tx, &marks, 1, false).await.unwrap();
    nested(&mut tx, &marks, 2, true).await.unwrap_err();
    tx.commit().await.unwrap();
    assert_eq!(marks.notes(), ["nested committed", "nested undone"]);
    assert_eq!(db.ids().await, [1]);
}

/// The inner scope is told once, whether it had succeeded or failed before.
#[tokio::test]
async fn hooks_of_a_nested_scope_are_undone_with_the_nested_scope_around_it() {
    let db = Fixture::<DB>::new().await;
    for inner_fails in [false, true] {
        let marks = Marks::default();
        let mut tx = db.begin().await.unwrap();
        around(&mut tx, &marks, inner_fails).await.unwrap_err();
        insert(&mut tx, 3).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(marks.notes(), ["nested undone"], "{inner_fails}");
    }
    assert!(db.ids().await.is_empty());
}

/// A scope that is independent of the transaction runs its own hooks at its own end; a hook of the
/// transaction's waits for that of the transaction.
#[transactional(requires_new)]
async fn apart(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    let marks = marks.clone();
    tx.before_commit(move |_| {
        Box::pin(async move {
            marks.note("before the commit of the one apart");
            Ok(())
        })
    });
    Ok(())
}

#[tokio::test]
async fn in_a_sandbox_each_scope_runs_its_own_hooks_before_its_commit() {
    let db = Fixture::<DB>::new().await;
    if DB::ONE_WRITER {
        return; // refuses a second writer, in a sandbox too
    }
    let sandbox = db.sandbox().await.unwrap();
    let marks = Marks::default();
    let mut tx = sandbox.begin().await.unwrap();
    let log = marks.clone();
    tx.before_commit(move |_| {
        Box::pin(async move {
            log.note("before the commit");
            Ok(())
        })
    });
    apart(&mut tx, &marks).await.unwrap();
    marks.note("after the one apart");
    tx.commit().await.unwrap();
    assert_eq!(
        marks.notes(),
        [
            "before the commit of the one apart",
            "after the one apart",
            "before the commit"
        ]
    );
}

/// An independent scope ends before the transaction: it takes its own hooks along, and no others.
#[tokio::test]
async fn in_a_sandbox_the_hooks_of_a_failed_nested_scope_wait_for_the_transaction_around_it() {
    let db = Fixture::<DB>::new().await;
    if DB::ONE_WRITER {
        return; // refuses a second writer, in a sandbox too
    }
    let sandbox = db.sandbox().await.unwrap();
    let marks = Marks::default();
    let mut tx = sandbox.begin().await.unwrap();
    nested(&mut tx, &marks, 1, true).await.unwrap_err();
    apart(&mut tx, &marks).await.unwrap();
    marks.note("after the one apart");
    tx.commit().await.unwrap();
    assert_eq!(
        marks.notes(),
        [
            "before the commit of the one apart",
            "after the one apart",
            "nested undone"
        ]
    );
}

/// Nobody is left to be told, so the failure is logged.
#[tokio::test]
async fn a_commit_that_fails_behind_a_drop_is_an_event() {
    let db = Fixture::<DB>::new().await;
    let warnings = Warnings::listen();
    let marks = Marks::default();
    let (go_on, told) = oneshot::channel::<()>();
    let mut tx = begun(&db, &marks).await;
    tx.before_commit(move |_| {
        Box::pin(async move {
            told.await?;
            Err("the books do not balance".into())
        })
    });
    drop_commit_in_its_hook(&db, &marks, tx, go_on).await;
    assert_eq!(marks.notes(), ["undone"]);
    assert!(db.ids().await.is_empty());
    let told = warnings.with("failed to end after its caller was dropped");
    assert_eq!(told, 1, "{:?}", warnings.all());
    assert_eq!(warnings.with("the books do not balance"), 1);
}

/// The commit is dropped at its first poll: the hooks before it may then have begun, and those
/// after it have not.
#[tokio::test]
async fn a_commit_dropped_in_a_hook_before_it_goes_on_behind() {
    let db = Fixture::<DB>::new().await;
    let marks = Marks::default();
    let (go_on, told) = oneshot::channel::<()>();
    let mut tx = begun(&db, &marks).await;
    tx.before_commit(move |tx| {
        Box::pin(async move {
            told.await?;
            Ok(insert(tx, 2).await?)
        })
    });
    drop_commit_in_its_hook(&db, &marks, tx, go_on).await;
    assert_eq!(marks.notes(), ["committed"]);
    assert_eq!(db.ids().await, [1, 2]);
    let plenty = poll_at_most(PLENTY, Box::pin(db.settled())).await;
    assert!(plenty.is_some(), "nothing is left to settle");
}
