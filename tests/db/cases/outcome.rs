//! The return value decides how a scope ends.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use txn::{Error, Outcome, Tx, Verdict, transactional};

use super::*;

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<i64, sqlx::Error> {
    insert(tx, id).await?;
    match fail {
        true => Err(sqlx::Error::RowNotFound),
        false => Ok(id),
    }
}

#[tokio::test]
async fn ok_commits_and_err_rolls_back_unchanged() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(write(&*db, 1, false).await.unwrap(), 1);
    let error = write(&*db, 2, true).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::RowNotFound));
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

#[transactional]
async fn write_and_panic(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    panic!("the body's own panic");
}

#[tokio::test]
async fn a_panic_in_the_body_rolls_back_and_continues() {
    let db = Fixture::<DB>::new().await;
    let panic = AssertUnwindSafe(write_and_panic(&*db)).catch_unwind().await;
    let payload = panic.unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "the body's own panic");
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());
}

#[transactional]
async fn swallow_a_failed_statement(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert_twice(tx, 1).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_swallowed_statement_failure_is_never_a_false_ok() {
    let db = Fixture::<DB>::new().await;
    let result = swallow_a_failed_statement(&*db).await;
    if DB::FAILURE_ABORTS {
        let error = result.unwrap_err();
        assert!(error.is_aborted(), "{error}");
        assert!(error.to_string().contains("duplicate key"), "{error}");
        assert!(db.ids().await.is_empty());
    } else {
        result.unwrap();
        assert_eq!(db.ids().await, [1]);
    }
    db.assert_at_rest().await;
}

#[derive(Clone, Copy)]
enum Exit {
    Return,
    Question,
    Break,
}

#[transactional]
async fn leave(tx: &mut Tx<DB>, id: i64, exit: Exit) -> Result<&'static str, sqlx::Error> {
    insert(tx, id).await?;
    let way = 'block: {
        match exit {
            Exit::Return => return Ok("return"),
            Exit::Question => return Err(sqlx::Error::RowNotFound)?,
            Exit::Break => break 'block "break",
        }
    };
    insert(tx, id + 1).await?;
    Ok(way)
}

#[tokio::test]
async fn every_way_out_of_the_body_ends_as_its_value_says() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(leave(&*db, 10, Exit::Return).await.unwrap(), "return");
    leave(&*db, 20, Exit::Question).await.unwrap_err();
    assert_eq!(leave(&*db, 30, Exit::Break).await.unwrap(), "break");
    assert_eq!(db.ids().await, [10, 30, 31]);
}

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("sold out")]
    SoldOut,
    #[error("unknown article {0}")]
    Unknown(i64),
    #[error(transparent)]
    Txn(#[from] Error),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

#[transactional(commit_on(ShopError::SoldOut | ShopError::Unknown(0..=9)))]
async fn order(tx: &mut Tx<DB>, id: i64, result: Result<(), ShopError>) -> Result<(), ShopError> {
    insert(tx, id).await?;
    result
}

#[tokio::test]
async fn an_err_that_matches_commit_on_commits_and_is_returned() {
    let db = Fixture::<DB>::new().await;
    let sold_out = order(&*db, 1, Err(ShopError::SoldOut)).await;
    assert!(matches!(sold_out, Err(ShopError::SoldOut)));
    order(&*db, 2, Err(ShopError::Unknown(9))).await.unwrap_err();
    order(&*db, 3, Err(ShopError::Unknown(10))).await.unwrap_err();
    order(&*db, 4, Ok(())).await.unwrap();
    assert_eq!(db.ids().await, [1, 2, 4]);
}

#[transactional(rollback_on(false))]
async fn accept(tx: &mut Tx<DB>, id: i64, accepted: bool) -> Result<bool, Error> {
    insert(tx, id).await?;
    Ok(accepted)
}

#[tokio::test]
async fn an_ok_that_matches_rollback_on_rolls_back_and_is_returned() {
    let db = Fixture::<DB>::new().await;
    assert!(!accept(&*db, 1, false).await.unwrap());
    assert!(accept(&*db, 2, true).await.unwrap());
    assert_eq!(db.ids().await, [2]);
}

#[transactional(
    commit_on(ShopError::Unknown(id) if *id == LAST || *id < 0),
    rollback_on(pieces if *pieces > LAST)
)]
async fn guarded(
    tx: &mut Tx<DB>,
    id: i64,
    result: Result<i64, ShopError>,
) -> Result<i64, ShopError> {
    insert(tx, id).await?;
    result
}

const LAST: i64 = 9;

#[tokio::test]
async fn a_guard_decides_whether_a_pattern_matches() {
    let db = Fixture::<DB>::new().await;
    guarded(&*db, 1, Err(ShopError::Unknown(LAST))).await.unwrap_err();
    guarded(&*db, 2, Err(ShopError::Unknown(-1))).await.unwrap_err();
    guarded(&*db, 3, Err(ShopError::Unknown(8))).await.unwrap_err();
    guarded(&*db, 4, Err(ShopError::SoldOut)).await.unwrap_err();
    assert_eq!(guarded(&*db, 5, Ok(LAST)).await.unwrap(), LAST);
    assert_eq!(guarded(&*db, 6, Ok(LAST + 1)).await.unwrap(), LAST + 1);
    assert_eq!(db.ids().await, [1, 2, 5]);
}

#[transactional(rollback_on(()))]
async fn joins_guarded(tx: &mut Tx<DB>, result: Result<i64, ShopError>) -> Result<(), ShopError> {
    guarded(tx, 1, result).await.ok();
    Ok(())
}

/// A joined scope follows its own rules; what they let commit, its root may still roll back.
#[tokio::test]
async fn a_joined_scope_whose_err_commits_does_not_fail_the_transaction() {
    let db = Fixture::<DB>::new().await;
    joins_guarded(&*db, Err(ShopError::Unknown(LAST))).await.unwrap();
    assert!(db.ids().await.is_empty());
    let mut tx = db.begin().await.unwrap();
    let joined = guarded(&mut tx, 2, Err(ShopError::Unknown(LAST))).await;
    joined.unwrap_err();
    tx.commit().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let joined = guarded(&mut tx, 3, Ok(LAST + 1)).await;
    joined.unwrap();
    assert!(tx.commit().await.unwrap_err().is_rollback_only());
    assert_eq!(db.ids().await, [2]);
}

#[transactional]
async fn think_better_of_it(tx: &mut Tx<DB>) -> Result<i64, Error> {
    insert(tx, 1).await?;
    tx.set_rollback_only("on second thoughts");
    number(tx, "SELECT COUNT(*) FROM t").await.map_err(Error::from)
}

#[tokio::test]
async fn rollback_only_returns_the_value_and_writes_nothing() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(think_better_of_it(&*db).await.unwrap(), 1);
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

struct Response {
    status: u16,
    body: String,
}

impl Outcome for Response {
    fn verdict(&self) -> Verdict {
        match self.status {
            0..400 => Verdict::Commit,
            _ => Verdict::Rollback,
        }
    }

    fn from_error(error: Error) -> Self {
        Self {
            status: 500,
            body: error.to_string(),
        }
    }
}

#[transactional]
async fn respond(tx: &mut Tx<DB>, id: i64, status: u16) -> Response {
    let body = match insert(tx, id).await {
        Ok(()) => String::new(),
        Err(error) => error.to_string(),
    };
    Response { status, body }
}

#[tokio::test]
async fn a_return_type_of_the_users_own_decides() {
    let db = Fixture::<DB>::new().await;
    assert_eq!(respond(&*db, 1, 201).await.status, 201);
    assert_eq!(respond(&*db, 2, 404).await.status, 404);
    assert_eq!(db.ids().await, [1]);
    db.close().await;
    let closed = respond(&*db, 3, 201).await;
    assert_eq!(closed.status, 500);
    assert!(closed.body.contains("closed"), "{}", closed.body);
}

/// A transaction that is begun by hand can end in three ways.
#[tokio::test]
async fn a_transaction_by_hand_commits_rolls_back_or_is_dropped() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    write(&mut tx, 1, false).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    write(&mut tx, 2, false).await.unwrap();
    tx.rollback().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    write(&mut tx, 3, false).await.unwrap();
    drop(tx);
    db.assert_at_rest().await;
    assert_eq!(db.ids().await, [1]);
}
