//! Scopes run inside of scopes: joined, nested, and on a session of their own.

use futures_util::FutureExt;
use tokio::sync::Notify;
use txn::{Error, Tx, transactional};

use super::*;

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("told to fail")]
    Told,
    #[error(transparent)]
    Txn(#[from] Error),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

#[transactional(name = "the joined one")]
async fn joined(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<(), Fault> {
    insert(tx, id).await?;
    match fail {
        true => Err(Fault::Told),
        false => Ok(()),
    }
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<(), Fault> {
    joined(tx, id, fail).await
}

#[transactional]
async fn swallow_joined(tx: &mut Tx<DB>) -> Result<(), Fault> {
    insert(tx, 1).await?;
    joined(tx, 2, true).await.unwrap_err();
    insert(tx, 3).await?;
    Ok(())
}

#[tokio::test]
async fn a_swallowed_failure_of_a_joined_scope_reaches_the_root_with_its_cause() {
    let db = Fixture::<DB>::new().await;
    let error = swallow_joined(&*db).await.unwrap_err();
    let Fault::Txn(error) = error else {
        panic!("{error:?}")
    };
    assert!(error.is_rollback_only(), "{error}");
    let text = error.to_string();
    assert!(text.contains("`the joined one`"), "{text}");
    assert!(text.contains("told to fail"), "{text}");
    assert!(text.contains("swallow_joined"), "{text}");
    assert!(db.ids().await.is_empty());
}

#[transactional]
async fn panic_joined(tx: &mut Tx<DB>) -> Result<(), Fault> {
    panics(tx).await
}

#[transactional(name = "the panicking one")]
async fn panics(tx: &mut Tx<DB>) -> Result<(), Fault> {
    insert(tx, 1).await?;
    panic!("joined");
}

#[tokio::test]
async fn a_joined_scope_that_panics_or_is_dropped_makes_the_transaction_rollback_only() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    let panic = std::panic::AssertUnwindSafe(panic_joined(&mut tx)).catch_unwind().await;
    panic.unwrap_err();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    assert!(error.to_string().contains("`the panicking one`"), "{error}");

    let mut tx = db.begin().await.unwrap();
    assert!(stops_after_insert(&mut tx).now_or_never().is_none());
    let error = tx.commit().await.unwrap_err();
    assert!(!error.is_commit_unknown(), "{error}");
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());
}

#[transactional]
async fn stops_after_insert(tx: &mut Tx<DB>) -> Result<(), Fault> {
    insert(tx, 1).await?;
    std::future::pending().await
}

#[transactional]
async fn handle_nested(tx: &mut Tx<DB>) -> Result<(), Fault> {
    insert(tx, 1).await?;
    nested(tx, 2, true).await.unwrap_err();
    nested(tx, 3, false).await?;
    insert(tx, 4).await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_nested_scope_is_undone_alone() {
    let db = Fixture::<DB>::new().await;
    handle_nested(&*db).await.unwrap();
    assert_eq!(db.ids().await, [1, 3, 4]);
}

#[transactional(nested)]
async fn swallow_in_nested(tx: &mut Tx<DB>) -> Result<(), Fault> {
    joined(tx, 2, true).await.unwrap_err();
    Ok(())
}

/// Rollback-only ends with the nested scope that it happened in.
#[tokio::test]
async fn a_joined_failure_inside_a_nested_scope_is_that_scopes_alone() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let error = swallow_in_nested(&mut tx).await.unwrap_err();
    assert!(matches!(&error, Fault::Txn(error) if error.is_rollback_only()), "{error:?}");
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

/// Nests `fates.len()` deep; at each level the fate says whether it fails after what is inside it.
#[transactional(nested)]
async fn tower(tx: &mut Tx<DB>, id: i64, fates: &[bool]) -> Result<(), Fault> {
    insert(tx, id).await?;
    if let [_, inner @ ..] = fates
        && !inner.is_empty()
    {
        Box::pin(tower(tx, id + 1, inner)).await.ok();
    }
    match fates {
        [true, ..] => Err(Fault::Told),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn nesting_five_deep_keeps_exactly_the_right_rows() {
    let db = Fixture::<DB>::new().await;
    for fates in 0_u32..32 {
        let fates: Vec<bool> = (0..5).map(|level| fates >> level & 1 == 1).collect();
        let mut tx = db.begin().await.unwrap();
        tower(&mut tx, 1, &fates).await.ok();
        let kept = fates.iter().position(|fails| *fails).unwrap_or(fates.len());
        let count = number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap();
        assert_eq!(count, i64::try_from(kept).unwrap(), "{fates:?}");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn five_siblings_with_mixed_outcomes_keep_exactly_the_right_rows() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    for id in 0..5 {
        assert_eq!(nested(&mut tx, id, id % 2 == 1).await.is_err(), id % 2 == 1);
    }
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [0, 2, 4]);
}

/// Work that a drop leaves to be undone is undone before the next statement.
#[tokio::test]
async fn a_dropped_nested_scope_is_undone_and_the_outer_goes_on() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let there = Notify::new();
    tokio::select! {
        _ = nested_that_stops(&mut tx, &there) => unreachable!("it does not end"),
        () = there.notified() => {}
    }
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

#[transactional(nested)]
async fn nested_that_stops(tx: &mut Tx<DB>, there: &Notify) -> Result<(), Fault> {
    insert(tx, 2).await?;
    there.notify_one();
    std::future::pending().await
}

#[transactional(nested)]
async fn succeed(_tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(())
}

#[tokio::test]
async fn ten_thousand_nested_scopes_do_not_pile_up() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    for _ in 0..10_000 {
        succeed(&mut tx).await.unwrap();
    }
    // If the levels were still on the server, releasing the first would now find its ten thousand
    // successors. On every engine the first is unknown, because each RELEASE rode in front of the
    // next SAVEPOINT.
    let raw = tx.connection().await.unwrap();
    let release = txn::sqlx::Executor::execute(raw, "RELEASE SAVEPOINT txn_1").await;
    release.unwrap_err();
    tx.rollback().await.unwrap();
    db.assert_at_rest().await;
}

#[transactional(requires_new)]
async fn apart(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<(), Fault> {
    joined(tx, id, fail).await
}

#[transactional]
async fn around(tx: &mut Tx<DB>, inner_fails: bool, outer_fails: bool) -> Result<(), Fault> {
    apart(tx, 1, inner_fails).await.ok();
    insert(tx, 2).await?;
    match outer_fails {
        true => Err(Fault::Told),
        false => Ok(()),
    }
}

#[tokio::test]
async fn a_second_session_does_not_share_the_fate_of_the_first() {
    if DB::ONE_WRITER {
        return; // `a_second_writer_on_sqlite_is_refused_with_the_reason`
    }
    for (inner_fails, outer_fails, left) in [
        (false, false, vec![1, 2]),
        (true, false, vec![2]),
        (false, true, vec![1]),
        (true, true, vec![]),
    ] {
        let db = Fixture::<DB>::new().await;
        assert_eq!(around(&*db, inner_fails, outer_fails).await.is_err(), outer_fails);
        assert_eq!(db.ids().await, left, "{inner_fails} {outer_fails}");
        db.assert_at_rest().await;
    }
}

#[transactional(read_only)]
async fn read_around(tx: &mut Tx<DB>) -> Result<(), Fault> {
    number(tx, "SELECT COUNT(*) FROM t").await?;
    apart(tx, 1, false).await
}

#[tokio::test]
async fn a_second_writer_on_sqlite_is_refused_with_the_reason() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    let second = apart(&mut tx, 1, false).await;
    if DB::ONE_WRITER {
        let error = second.unwrap_err().to_string();
        assert!(error.contains("one writer") && error.contains("nested"), "{error}");
    } else {
        second.unwrap();
    }
    tx.rollback().await.unwrap();
    // A second writer waits for nobody inside of a reader.
    read_around(&*db).await.unwrap_or_else(|error| assert!(!DB::ONE_WRITER, "{error}"));
    db.assert_at_rest().await;
}

/// A joined scope that only asks for a rollback has to tell the root, whose `Ok` would not be true.
#[tokio::test]
async fn a_joined_scope_that_asks_for_rollback_is_named_to_the_root() {
    #[transactional(name = "the doubter")]
    async fn doubts(tx: &mut Tx<DB>) -> Result<(), Fault> {
        tx.set_rollback_only("doubts");
        Ok(())
    }
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    doubts(&mut tx).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rollback_only());
    assert!(error.to_string().contains("`the doubter`"), "{error}");
}
