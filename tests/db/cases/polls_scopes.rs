//! A scope of every shape is dropped after every number of polls. What it has committed is there,
//! all of it, and nothing is there of what it has not committed.

use std::future::pending;

use txn::{Db, Error, Tx, transactional};

use super::{DB, TestEngine, insert};
use crate::support::drop_trial::{Marks, Trial};

#[transactional]
async fn root(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    insert(tx, 2).await?;
    marks.commits(&[1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_root_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| root(db, marks).await.unwrap())
        .await;
}

#[tokio::test]
async fn a_root_scope_on_the_only_session() {
    let mut trial = Trial::<DB>::of_sessions(1).await;
    trial
        .drop_everywhere(async |db, marks| root(db, marks).await.unwrap())
        .await;
}

#[tokio::test]
async fn a_transaction_by_hand_that_commits() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| {
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            marks.commits(&[1]);
            tx.commit().await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_transaction_by_hand_that_rolls_back() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, _| {
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            tx.rollback().await.unwrap();
        })
        .await;
}

#[transactional]
async fn fails(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound)
}

#[tokio::test]
async fn a_root_scope_that_fails() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, _| drop(fails(db).await.unwrap_err()))
        .await;
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    joined(tx, id + 1).await
}

#[transactional(nested)]
async fn nested_fails(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    insert(tx, id).await?;
    Err(sqlx::Error::RowNotFound)
}

#[transactional]
async fn with_joined(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    joined(tx, 2).await?;
    marks.commits(&[1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_joined_scope_in_a_root_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_joined(db, marks).await.unwrap())
        .await;
}

#[transactional]
async fn with_nested(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    nested(tx, 1).await?;
    insert(tx, 3).await?;
    marks.commits(&[1, 2, 3]);
    Ok(())
}

#[tokio::test]
async fn a_nested_scope_with_a_joined_one_inside_in_a_root_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_nested(db, marks).await.unwrap())
        .await;
}

#[transactional(nested)]
async fn nested_twice(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    nested(tx, 2).await?;
    Ok(insert(tx, 4).await?)
}

#[transactional]
async fn with_two_levels(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    nested_twice(tx).await?;
    marks.commits(&[1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn a_nested_scope_in_a_nested_scope_in_a_root_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_two_levels(db, marks).await.unwrap())
        .await;
}

/// ROLLBACK TO is in flight at some of the points.
#[transactional]
async fn with_failing(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    nested_fails(tx, 2).await.unwrap_err();
    insert(tx, 3).await?;
    marks.commits(&[1, 3]);
    Ok(())
}

#[tokio::test]
async fn a_nested_scope_that_fails_in_a_root_scope_that_goes_on() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_failing(db, marks).await.unwrap())
        .await;
}

#[transactional]
async fn with_siblings(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    nested(tx, 1).await?;
    nested_fails(tx, 3).await.unwrap_err();
    nested(tx, 5).await?;
    marks.commits(&[1, 2, 5, 6]);
    Ok(())
}

#[tokio::test]
async fn siblings_of_which_one_fails_in_a_root_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_siblings(db, marks).await.unwrap())
        .await;
}

#[transactional(requires_new)]
async fn independent(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 2).await?;
    marks.commits(&[2]);
    Ok(())
}

#[transactional]
async fn with_independent(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    independent(tx, marks).await?;
    insert(tx, 3).await?;
    marks.commits(&[1, 3]);
    Ok(())
}

#[tokio::test]
async fn a_scope_on_a_second_session_in_a_root_scope() {
    if DB::ONE_WRITER {
        return; // refused there
    }
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| with_independent(db, marks).await.unwrap())
        .await;
}

#[transactional(timeout = "15ms")]
async fn too_late(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    pending().await
}

#[tokio::test]
async fn a_scope_over_its_timeout() {
    let mut trial = Trial::<DB>::of_sessions(2).await.in_pieces_of(5);
    trial
        .drop_everywhere(async |db, _| assert!(too_late(db).await.unwrap_err().is_timeout()))
        .await;
}

#[transactional(timeout = "15ms")]
async fn too_late_in_a_query(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    sqlx::Executor::execute(tx, DB::SLOW_QUERY).await?;
    Ok(())
}

#[tokio::test]
async fn a_scope_over_its_timeout_with_a_query_running() {
    let mut trial = Trial::<DB>::of_sessions(2).await.in_pieces_of(5);
    trial
        .drop_everywhere(async |db, _| {
            assert!(too_late_in_a_query(db).await.unwrap_err().is_timeout());
        })
        .await;
}

#[transactional(timeout = "1h")]
async fn in_time(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 1).await?;
    marks.commits(&[1]);
    Ok(())
}

#[tokio::test]
async fn a_scope_within_its_timeout() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db, marks| in_time(db, marks).await.unwrap())
        .await;
}

#[transactional(read_only)]
async fn reads(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(super::number(tx, "SELECT COUNT(*) FROM t").await?)
}

#[tokio::test]
async fn a_read_only_scope() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial
        .drop_everywhere(async |db: &Db<DB>, _| assert_eq!(reads(db).await.unwrap(), 0))
        .await;
}
