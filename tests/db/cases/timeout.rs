//! A scope with `timeout` has so long for acquiring, beginning and the body together.

use sqlx::Executor;
use tokio::time::timeout;
use txn::{Error, Tx, transactional};

use super::*;
use crate::support::observer::PATIENCE;

#[transactional(timeout = "1s")]
async fn dawdle(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

#[transactional(timeout = "1s")]
async fn forget_to_return(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    std::future::pending().await
}

/// Calls the scope again if the time is over before its body has begun, or the server takes too
/// long to undo it, as on a busy machine.
async fn late_in_its_body(
    call: impl AsyncFn() -> Result<(), Error>,
    is_undone: impl Fn() -> bool,
) -> Error {
    for _ in 0..20 {
        let error = timeout(PATIENCE, call()).await.expect("it ends").unwrap_err();
        assert!(error.is_timeout(), "{error}");
        if is_undone() && error.to_string().contains("running its body") {
            return error;
        }
    }
    panic!("never in its body");
}

#[tokio::test]
async fn a_body_over_its_timeout_is_rolled_back_before_the_error_is_returned() {
    let db = Fixture::<DB>::new().await;
    // No cleanup is left for the background, unless a statement was in flight.
    let at_rest = || (db.status().settling, db.status().in_use) == (0, 0);
    let dawdled = late_in_its_body(async || dawdle(&*db, 1).await, || true).await;
    db.settled().await;
    let forgot = late_in_its_body(async || forget_to_return(&*db, 2).await, at_rest).await;
    for (name, error) in [("dawdle", dawdled), ("forget_to_return", forgot)] {
        assert!(error.is_timeout() && !error.is_acquire_timeout(), "{error}");
        let text = error.to_string();
        for part in [name, "1s", "running its body"] {
            assert!(text.contains(part), "{text}");
        }
    }
    assert!(db.ids().await.is_empty());
}

#[transactional(timeout = "1h")]
async fn quick(tx: &mut Tx<DB>, id: i64) -> Result<i64, Error> {
    insert(tx, id).await?;
    Ok(id)
}

#[tokio::test]
async fn a_body_within_its_timeout_commits() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    assert_eq!(quick(&*db, 1).await.unwrap(), 1);
    quick(&*db, 1).await.unwrap_err();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    db.assert_at_rest().await;
}

/// The wait for a session counts.
#[tokio::test]
async fn the_timeout_includes_the_wait_for_a_session() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let holder = db.begin().await.unwrap();
    let error = dawdle(&*db, 1).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("waiting for a session"), "{error}");
    holder.rollback().await.unwrap();
    db.assert_at_rest().await;
}

#[transactional(nested, timeout = "3s")]
async fn nested_dawdle(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    std::future::pending().await
}

#[transactional(timeout = "3s", name = "the late one")]
async fn joined_dawdle(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    std::future::pending().await
}

#[tokio::test]
async fn a_nested_scope_over_its_timeout_is_undone_alone() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    assert!(nested_dawdle(&mut tx).await.unwrap_err().is_timeout());
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

#[tokio::test]
async fn a_joined_scope_over_its_timeout_makes_the_transaction_rollback_only() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    assert!(joined_dawdle(&mut tx).await.unwrap_err().is_timeout());
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    let text = error.to_string();
    assert!(text.contains("`the late one`") && text.contains("timeout of 3s"), "{text}");
}

#[transactional(timeout = "100s")]
async fn ask_limits(tx: &mut Tx<DB>, ask: &'static str) -> Result<i64, Error> {
    Ok(number(tx, ask).await?)
}

/// The server ends the transaction too, should this process be gone; and forgets the limit with the
/// transaction.
#[tokio::test]
async fn the_server_gets_the_remaining_time_for_this_transaction_only() {
    let Some(ask) = DB::ASK_LIMIT else {
        return; // SQLite runs in this process
    };
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let before = ask_now(&db, ask).await;
    let inside = ask_limits(&*db, ask).await.unwrap();
    assert!((90..=102).contains(&inside), "{inside}");
    assert_eq!(ask_now(&db, ask).await, before);
    let failed = dawdle(&*db, 1).await;
    failed.unwrap_err();
    assert_eq!(ask_now(&db, ask).await, before);
}

async fn ask_now(db: &Fixture<DB>, ask: &'static str) -> i64 {
    DB::number(&db.fetch_one(ask).await.unwrap())
}
