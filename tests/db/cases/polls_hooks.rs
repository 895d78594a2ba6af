//! A scope with hooks is dropped after every number of polls. The hooks of the commit run if it
//! commits, and those of the rollback if it does not, once.

use txn::{Error, Tx, transactional};

use super::{DB, insert};
use crate::support::drop_trial::{Marks, Trial};

fn register(tx: &mut Tx<DB>, marks: &Marks) {
    marks.note("registered");
    let log = marks.clone();
    tx.after_commit(async move {
        tokio::task::yield_now().await;
        log.note("committed");
    });
    let log = marks.clone();
    tx.after_rollback(move |_| async move {
        tokio::task::yield_now().await;
        log.note("rolled back");
    });
}

fn assert_ran(marks: &Marks) {
    let notes = marks.notes();
    let committed = !marks.committed().is_empty();
    match (&notes[..], committed) {
        ([], false) | (["registered", "rolled back"], false) => {}
        (["registered", "committed"], true) => {}
        unexpected => panic!("{unexpected:?}"),
    }
}

#[transactional]
async fn commits(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    register(tx, marks);
    tx.before_commit(|tx| Box::pin(async move { Ok(insert(tx, 2).await?) }));
    insert(tx, 1).await?;
    marks.commits(&[1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_scope_with_hooks_that_commits() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere_then(
            async |db, marks| commits(db, marks).await.unwrap(),
            assert_ran,
        )
        .await;
}

#[transactional]
async fn fails(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), sqlx::Error> {
    register(tx, marks);
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound)
}

#[tokio::test]
async fn a_scope_with_hooks_that_fails() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere_then(
            async |db, marks| {
                fails(db, marks).await.unwrap_err();
            },
            assert_ran,
        )
        .await;
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    register(tx, marks);
    insert(tx, 1).await?;
    Ok(())
}

#[transactional]
async fn with_nested(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    nested(tx, marks).await?;
    insert(tx, 2).await?;
    marks.commits(&[1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_scope_with_the_hooks_of_a_nested_one() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere_then(
            async |db, marks| with_nested(db, marks).await.unwrap(),
            assert_ran,
        )
        .await;
}

#[transactional]
async fn refused_by_hook(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    register(tx, marks);
    tx.before_commit(|tx| {
        Box::pin(async move {
            insert(tx, 2).await?;
            Err("no".into())
        })
    });
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn a_scope_that_a_hook_before_the_commit_fails() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere_then(
            async |db, marks| {
                refused_by_hook(db, marks).await.unwrap_err();
            },
            assert_ran,
        )
        .await;
}

/// The transaction around the dropped scope goes on and commits, and no hook of the scope's commit
/// may run with it.
#[tokio::test]
async fn a_nested_scope_with_hooks_in_a_transaction_that_goes_on() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .at_every_point(async |trial, point| {
            let marks = Marks::default();
            let mut tx = trial.begin().await.unwrap();
            let inner = Box::pin(nested(&mut tx, &marks));
            let dropped = trial.drop_at(point, inner).await;
            let kept = tx.commit().await.is_ok() && dropped.is_some();
            trial.assert_recovered(point).await;
            match &marks.notes()[..] {
                [] => assert!(!kept, "{point:?}"),
                ["registered", "committed"] => assert!(kept, "{point:?}"),
                ["registered", "rolled back"] => assert!(!kept, "{point:?}"),
                unexpected => panic!("{point:?}: {unexpected:?}"),
            }
            trial.clear().await;
            dropped.is_some()
        })
        .await;
}
