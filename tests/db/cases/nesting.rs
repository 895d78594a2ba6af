//! Nested scopes are deep, empty, and mixed.

use tokio::task::yield_now;
use txn::{Error, Tx, transactional};

use super::{DB, insert, insert_twice};
use crate::support::drop_points::poll_at_most;
use crate::support::drop_trial::Trial;
use crate::support::observer::Observed;

#[transactional(nested)]
async fn down(tx: &mut Tx<DB>, depth: i64, fails_at: i64) -> Result<(), Error> {
    insert(tx, depth).await?;
    if depth == fails_at {
        return Err(sqlx::Error::RowNotFound.into());
    }
    if depth > 0 {
        let deeper = Box::pin(down(tx, depth - 1, fails_at)).await;
        // A failure is handled two levels up.
        if depth != fails_at + 1 {
            deeper.or_else(|error| if depth == fails_at + 2 { Ok(()) } else { Err(error) })?;
        } else {
            deeper?;
        }
    }
    Ok(())
}

#[transactional]
async fn deep(tx: &mut Tx<DB>, fails_at: i64) -> Result<(), Error> {
    down(tx, 40, fails_at).await
}

#[tokio::test]
async fn nested_edge_cases_forty_levels_deep() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for fails_at in [0, 1, 20, 38] {
        deep(&*trial, fails_at).await.unwrap();
        trial.assert_recovered(fails_at).await;
        let expected: Vec<i64> = (fails_at + 2..=40).collect();
        assert_eq!(trial.ids().await, expected);
        trial.clear().await;
    }
    deep(&*trial, -1).await.unwrap();
    assert_eq!(trial.ids().await.len(), 41);
    trial.clear().await;
    deep(&*trial, 40).await.unwrap_err();
    assert!(trial.ids().await.is_empty());
    trial.assert_recovered("failed at the top").await;
}

#[transactional(nested)]
async fn empty(_tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(())
}

#[transactional(nested)]
async fn gives_up(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    tx.set_rollback_only("on second thoughts");
    Ok(())
}

#[transactional(nested)]
async fn breaks(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    empty(tx).await.unwrap();
    insert_twice(tx, id).await
}

#[transactional(nested)]
async fn keeps(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    breaks(tx, id + 1).await.unwrap_err();
    gives_up(tx, id + 2).await?;
    empty(tx).await
}

#[transactional]
async fn mixed(tx: &mut Tx<DB>) -> Result<(), Error> {
    empty(tx).await?;
    breaks(tx, 1).await.unwrap_err();
    keeps(tx, 10).await?;
    gives_up(tx, 20).await?;
    keeps(tx, 30).await
}

#[tokio::test]
async fn nested_edge_cases_empty_broken_and_given_up() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    mixed(&*trial).await.unwrap();
    trial.assert_recovered("mixed").await;
    assert_eq!(trial.ids().await, [10, 30]);
}

#[transactional(nested)]
async fn stuck(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 99).await?;
    loop {
        yield_now().await; // always asks for one more poll
    }
}

/// Nested scopes that are never polled do nothing; those that are dropped one after the other leave
/// the outer scope as it was.
#[tokio::test]
async fn nested_edge_cases_dropped_siblings() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    let mut tx = trial.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    for polls in [0, 1, 2, 3, 0, 1, 4, 2, 8, 1, 1] {
        let sibling = Box::pin(stuck(&mut tx));
        let dropped = poll_at_most(polls, sibling).await;
        // An earlier sibling may have cost the connection.
        let refused = dropped.map(|ended| ended.unwrap_err());
        let allowed = |error: &Error| DB::DROP_COSTS_SESSION && error.is_aborted();
        assert!(refused.as_ref().is_none_or(allowed), "after {polls} polls: {refused:?}");
    }
    let went_on = keeps(&mut tx, 30).await;
    let committed = tx.commit().await;
    assert_eq!(went_on.is_ok(), committed.is_ok());
    // A drop in flight may have cost the connection there.
    assert!(committed.is_ok() || DB::DROP_COSTS_SESSION, "{committed:?}");
    trial.assert_recovered("dropped siblings").await;
    let expected: &[i64] = if committed.is_ok() { &[1, 30] } else { &[] };
    assert_eq!(trial.ids().await, expected);
}
