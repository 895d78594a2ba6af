//! A part of a transaction is dropped after every number of polls, and the transaction goes on.

use futures_util::TryStreamExt;
use sqlx::Executor;
use tokio::task::yield_now;
use txn::{Error, Tx, transactional};

use super::{DB, insert};
use crate::support::drop_trial::{Loses, Marks, Trial};

#[transactional]
async fn joined(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 2).await?;
    marks.commits(&[2]);
    Ok(())
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 3).await?;
    joined(tx, marks).await?;
    marks.commits(&[3]);
    Ok(())
}

#[transactional(nested)]
async fn fails(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 4).await?;
    Err(sqlx::Error::RowNotFound)
}

#[transactional(nested)]
async fn nested_twice(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    nested(tx, marks).await?;
    fails(tx).await.unwrap_err();
    insert(tx, 5).await?;
    marks.commits(&[5]);
    Ok(())
}

async fn trial() -> Trial<DB> {
    Trial::of_sessions(2).await
}

#[tokio::test]
async fn a_joined_scope_takes_the_transaction_with_it() {
    trial()
        .await
        .drop_everywhere_inside(Loses::Transaction, async |tx, marks| {
            joined(tx, marks).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_nested_scope_is_lost_alone() {
    trial()
        .await
        .drop_everywhere_inside(Loses::Itself, async |tx, marks| {
            nested(tx, marks).await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn a_nested_scope_that_fails_is_lost_alone() {
    trial()
        .await
        .drop_everywhere_inside(Loses::Itself, async |tx, _| {
            fails(tx).await.unwrap_err();
        })
        .await;
}

#[tokio::test]
async fn a_nested_scope_with_nested_ones_inside_is_lost_alone() {
    trial()
        .await
        .drop_everywhere_inside(Loses::Itself, async |tx, marks| {
            nested_twice(tx, marks).await.unwrap();
        })
        .await;
}

/// The RELEASE of the first rides in front of the SAVEPOINT of the second.
#[tokio::test]
async fn a_sibling_of_a_nested_scope_is_lost_alone() {
    #[transactional(nested)]
    async fn one(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
        Ok(insert(tx, id).await?)
    }
    #[transactional(nested)]
    async fn both(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
        one(tx, 2).await?;
        one(tx, 3).await?;
        marks.commits(&[2, 3]);
        Ok(())
    }
    trial()
        .await
        .drop_everywhere_inside(Loses::Itself, async |tx, marks| {
            both(tx, marks).await.unwrap();
        })
        .await;
}

#[transactional(nested, timeout = "15ms")]
async fn too_late(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 2).await?;
    marks.note("inserted");
    std::future::pending().await
}

#[tokio::test]
async fn a_nested_scope_over_its_timeout_is_lost_alone() {
    trial()
        .await
        .in_pieces_of(5)
        .drop_everywhere_inside(Loses::Itself, async |tx, marks| {
            assert!(too_late(tx, marks).await.unwrap_err().is_timeout());
            // On a busy machine the time may be over in the middle of the INSERT. What that costs
            // is what a drop costs, so it counts as one.
            while marks.notes().is_empty() {
                yield_now().await;
            }
        })
        .await;
}

#[transactional(requires_new)]
async fn independent(tx: &mut Tx<DB>, marks: &Marks) -> Result<(), Error> {
    insert(tx, 2).await?;
    marks.commits(&[2]);
    Ok(())
}

/// The scope commits on its own; the transaction that it is called in has nothing to do with it.
#[tokio::test]
async fn a_scope_on_a_second_session_is_lost_alone_and_costs_the_first_nothing() {
    if <DB as super::TestEngine>::ONE_WRITER {
        return; // refused there
    }
    trial().await.at_every_point(async |trial, point| {
        let marks = Marks::default();
        let mut tx = trial.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        let inner = Box::pin(independent(&mut tx, &marks));
        let complete = trial.drop_at(point, inner).await.is_some();
        insert(&mut tx, 9).await.unwrap();
        tx.commit().await.unwrap();
        trial.assert_recovered(point).await;
        marks.commits(&[1, 9]);
        assert_eq!(trial.ids().await, marks.committed(), "{point:?}");
        trial.clear().await;
        complete
    })
    .await;
}

/// A stream that is polled while its rows are not there yet is a statement in flight; between two
/// rows it costs nothing. Either way nobody is told that something was written which was not.
#[tokio::test]
async fn a_row_stream_leaves_a_transaction_that_is_whole_or_refused() {
    trial().await.at_every_point(async |trial, point| {
        let mut tx = trial.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        let stream = async {
            let mut rows = tx.fetch("SELECT id FROM t UNION ALL SELECT 7 UNION ALL SELECT 8");
            for _ in 0..2 {
                rows.try_next().await.unwrap().unwrap();
            }
        };
        let complete = trial.drop_at(point, stream).await.is_some();
        let went_on = insert(&mut tx, 9).await;
        let committed = tx.commit().await;
        trial.assert_recovered(point).await;
        assert_eq!(went_on.is_ok(), committed.is_ok(), "{point:?}");
        assert!(committed.is_ok() || !complete, "{point:?}: {committed:?}");
        let expected: &[i64] = if committed.is_ok() { &[1, 9] } else { &[] };
        assert_eq!(trial.ids().await, expected, "{point:?}");
        trial.clear().await;
        complete
    })
    .await;
}
