//! A scope keeps its promises when something fails.

use std::time::Duration;

use sqlx::Executor;
use tokio::task::JoinSet;
use txn::{Db, Error, Tx, transactional};

use crate::support::drop_points::poll_at_most;
use crate::support::drop_trial::Trial;

use super::super::{DB, TestEngine, insert, insert_twice};

#[tokio::test]
async fn state_checked_before_commit() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut tx = trial.begin().await.unwrap();
    insert_twice(&mut tx, 1).await.unwrap_err();
    let committed = tx.commit().await;
    if DB::FAILURE_ABORTS {
        assert!(committed.unwrap_err().is_aborted());
    } else {
        committed.unwrap();
    }
    let mut tx = trial.begin().await.unwrap();
    assert!(poll_at_most(1, tx.execute(DB::SLOW_QUERY)).await.is_none());
    assert!(tx.commit().await.unwrap_err().is_aborted());
    trial.assert_recovered("after a refused commit").await;
    let kept = trial.ids().await;
    assert_eq!(kept.is_empty(), DB::FAILURE_ABORTS, "{kept:?}");
}

#[tokio::test]
async fn state_checked_before_rollback() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut tx = trial.begin().await.unwrap();
    insert_twice(&mut tx, 1).await.unwrap_err();
    tx.rollback().await.unwrap();
    trial.assert_recovered("after a failed statement").await;

    let mut tx = trial.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    assert!(poll_at_most(1, tx.execute(DB::SLOW_QUERY)).await.is_none());
    tx.rollback().await.unwrap();
    trial.assert_recovered("with a statement in flight").await;

    let mut tx = trial.begin().await.unwrap();
    tx.connection().await.unwrap().execute("ROLLBACK").await.unwrap();
    // Nobody can tell this rollback from a COMMIT afterwards.
    let error = tx.rollback().await.unwrap_err();
    assert!(error.is_partly_committed(), "{error}");
    trial.assert_recovered("already rolled back").await;
    assert!(trial.ids().await.is_empty());
}

#[transactional]
async fn error_in_body(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    Err(sqlx::Error::ColumnNotFound("of the body's own".into()))
}

#[tokio::test]
async fn error_in_the_body() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let error = error_in_body(&*trial).await.unwrap_err();
    assert!(matches!(&error, sqlx::Error::ColumnNotFound(name) if name == "of the body's own"));
    assert_eq!(trial.status().in_use, 0, "rolled back before it is returned");
    trial.assert_recovered("after an error").await;
    assert!(trial.ids().await.is_empty());
}

#[transactional]
async fn ends_it_behind_our_back(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    tx.connection().await?.execute("ROLLBACK").await?;
    Err(sqlx::Error::ColumnNotFound("of the body's own".into()))
}

/// There is nothing to roll back any more, and nobody can tell whether it was committed.
#[tokio::test]
async fn rollback_that_fails() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let error = ends_it_behind_our_back(&*trial).await.unwrap_err();
    let error = Error::from(error);
    assert!(error.is_partly_committed(), "{error}");
    assert!(error.to_string().contains("of the body's own"), "{error}");
    trial.assert_recovered("after a rollback").await;
    assert!(trial.ids().await.is_empty());
}

/// The ways in which a scope can end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    Error,
    FailedStatement,
    Panic,
    Dropped,
    RollbackOnly,
    Refused,
    TooLate,
}

const ENDS: [End; 8] = [
    End::Well,
    End::Error,
    End::FailedStatement,
    End::Panic,
    End::Dropped,
    End::RollbackOnly,
    End::Refused,
    End::TooLate,
];

#[transactional]
async fn ends(tx: &mut Tx<DB>, id: i64, end: End) -> Result<(), sqlx::Error> {
    insert(tx, id).await?;
    match end {
        End::Well => {}
        End::Error => return Err(sqlx::Error::RowNotFound),
        End::FailedStatement => insert(tx, id).await?,
        End::Panic => panic!("a body's own panic"),
        End::Dropped => std::future::pending().await,
        End::RollbackOnly => tx.set_rollback_only("on second thoughts"),
        End::Refused => {
            tx.execute("COMMIT").await?;
        }
        End::TooLate => late(tx).await?,
    }
    Ok(())
}

#[transactional(timeout = "10ms")]
async fn late(_tx: &mut Tx<DB>) -> Result<(), Error> {
    std::future::pending().await
}

async fn end(db: Db<DB>, id: i64, how: End) {
    let scope = Box::pin(ends(&db, id, how));
    match how {
        End::Well | End::RollbackOnly => scope.await.unwrap(),
        End::Dropped => {
            let moment = Duration::from_millis(20);
            tokio::time::timeout(moment, scope).await.unwrap_err();
        }
        End::Panic => drop(scope.await),
        _ => drop(scope.await.unwrap_err()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_errors() {
    let mut trial = Trial::<DB>::of_sessions(3).await;
    let mut tasks = JoinSet::new();
    let (mut panics, mut expected) = (0, Vec::new());
    for id in 0..80 {
        let how = ENDS[usize::try_from(id).unwrap() * 5 % ENDS.len()];
        if how == End::Well {
            expected.push(id);
        }
        tasks.spawn(end(Db::clone(&trial), id, how));
    }
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            assert!(error.is_panic(), "{error}");
            panics += 1;
        }
    }
    assert_eq!(panics, 10);
    trial.assert_recovered("all have ended").await;
    assert_eq!(trial.ids().await, expected);
}
