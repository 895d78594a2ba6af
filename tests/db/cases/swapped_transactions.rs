//! A body has its transaction by `&mut`, and can put another in its place. Then neither has all of
//! what belongs together, and neither commits.

use std::mem::{replace, swap};

use txn::{Error, Tx, transactional};

use super::{DB, Fixture, insert};

#[transactional]
async fn joined(#[tx] tx: &mut Tx<DB>, other: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    swap(&mut *tx, other);
    insert(tx, 2).await?;
    Ok(())
}

#[transactional(nested)]
async fn nested(#[tx] tx: &mut Tx<DB>, other: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    swap(&mut *tx, other);
    insert(tx, 2).await?;
    Ok(())
}

#[transactional(nested, timeout = "1h")]
async fn nested_with_a_limit(#[tx] tx: &mut Tx<DB>, other: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    swap(&mut *tx, other);
    insert(tx, 2).await?;
    Ok(())
}

#[transactional(nested, timeout = "1s")]
async fn nested_and_late(#[tx] tx: &mut Tx<DB>, other: &mut Tx<DB>) -> Result<(), Error> {
    swap(&mut *tx, other);
    std::future::pending().await
}

/// Two databases, since a database may have one writer.
async fn two() -> [Fixture<DB>; 2] {
    [Fixture::<DB>::of_sessions(1).await, Fixture::<DB>::of_sessions(1).await]
}

async fn assert_nothing_is_written(databases: [Fixture<DB>; 2]) {
    for db in databases {
        db.settled().await;
        assert!(db.ids().await.is_empty());
        db.assert_at_rest().await;
        assert_eq!(db.status().open, 1, "its session is kept");
    }
}

#[track_caller]
fn assert_refused(result: Result<(), Error>) {
    let error = result.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    assert!(error.to_string().contains("exchanged for another"), "{error}");
}

#[tokio::test]
async fn neither_commits_when_a_joined_scope_has_exchanged_them() {
    let [here, there] = two().await;
    let (mut tx, mut other) = (here.begin().await.unwrap(), there.begin().await.unwrap());
    joined(&mut tx, &mut other).await.unwrap();
    assert_refused(tx.commit().await);
    assert_refused(other.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[tokio::test]
async fn neither_commits_when_a_nested_scope_has_exchanged_them() {
    let [here, there] = two().await;
    let (mut tx, mut other) = (here.begin().await.unwrap(), there.begin().await.unwrap());
    nested(&mut tx, &mut other).await.unwrap();
    assert_refused(tx.commit().await);
    assert_refused(other.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[tokio::test]
async fn neither_commits_when_a_nested_scope_with_a_limit_has_exchanged_them() {
    let [here, there] = two().await;
    let (mut tx, mut other) = (here.begin().await.unwrap(), there.begin().await.unwrap());
    nested_with_a_limit(&mut tx, &mut other).await.unwrap();
    assert_refused(tx.commit().await);
    assert_refused(other.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[tokio::test]
async fn neither_commits_when_a_nested_scope_over_its_limit_has_exchanged_them() {
    let [here, there] = two().await;
    let (mut tx, mut other) = (here.begin().await.unwrap(), there.begin().await.unwrap());
    let late = nested_and_late(&mut tx, &mut other).await.unwrap_err();
    assert!(late.is_timeout(), "{late}");
    assert_refused(tx.commit().await);
    assert_refused(other.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[tokio::test]
async fn neither_commits_when_a_root_scope_has_exchanged_them() {
    let [here, there] = two().await;
    let mut other = there.begin().await.unwrap();
    assert_refused(joined(&*here, &mut other).await);
    assert_refused(other.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[tokio::test]
async fn neither_commits_when_a_hook_has_exchanged_them() {
    let [here, there] = two().await;
    let (mut tx, mut other) = (here.begin().await.unwrap(), there.begin().await.unwrap());
    insert(&mut tx, 1).await.unwrap();
    insert(&mut other, 2).await.unwrap();
    tx.before_commit(move |tx| {
        let mut other = other;
        Box::pin(async move {
            swap(tx, &mut other);
            Ok(())
        })
    });
    assert_refused(tx.commit().await);
    assert_nothing_is_written([here, there]).await;
}

#[transactional]
async fn takes_it_home(tx: &mut Tx<DB>, other: Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    let own = replace(&mut *tx, other);
    assert_refused(own.commit().await);
    Ok(())
}

#[tokio::test]
async fn a_body_cannot_commit_the_transaction_of_its_scope() {
    let [here, there] = two().await;
    let other = there.begin().await.unwrap();
    assert_refused(takes_it_home(&*here, other).await);
    assert_nothing_is_written([here, there]).await;
}

#[transactional]
async fn drops_it(tx: &mut Tx<DB>, other: Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    *tx = other;
    insert(tx, 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_drops_its_transaction_for_another_commits_neither() {
    let [here, there] = two().await;
    let other = there.begin().await.unwrap();
    assert_refused(drops_it(&*here, other).await);
    assert_nothing_is_written([here, there]).await;
}

#[transactional]
async fn exchanges_twice(#[tx] tx: &mut Tx<DB>, other: &mut Tx<DB>) -> Result<(), Error> {
    swap(&mut *tx, other);
    insert(tx, 2).await?;
    swap(&mut *tx, other);
    insert(tx, 1).await?;
    Ok(())
}

/// A transaction that is back in its place in the end is whole.
#[tokio::test]
async fn both_commit_when_each_is_back_in_its_place() {
    let [here, there] = two().await;
    let mut other = there.begin().await.unwrap();
    exchanges_twice(&*here, &mut other).await.unwrap();
    other.commit().await.unwrap();
    assert_eq!((here.ids().await, there.ids().await), (vec![1], vec![2]));
}
