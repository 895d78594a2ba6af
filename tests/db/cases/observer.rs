//! The observer sees what it is to see: otherwise its silence would prove nothing.

use sqlx::Executor;
use txn::Db;

use super::{DB, Fixture, TestEngine, insert};
use crate::support::observer::{Observed, until};

#[tokio::test]
async fn an_open_transaction_is_seen_and_one_that_has_ended_is_not() {
    let db = Fixture::<DB>::new().await;
    let mut observer = DB::observer(db.place()).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    assert_eq!(DB::inside(&mut observer, db.place()).await, 1);
    assert!(DB::is_inside(tx.connection().await.unwrap()).await);
    tx.rollback().await.unwrap();
    until("the transaction is gone", async || {
        DB::inside(&mut observer, db.place()).await == 0
    })
    .await;
    let mut session = db.session().await.unwrap();
    assert!(!DB::is_inside(session.connection()).await);
}

#[tokio::test]
async fn a_session_is_seen_for_as_long_as_it_is_connected() {
    let place = DB::place().await;
    let mut observer = DB::observer(&DB::place().await).await;
    assert_eq!(DB::connected(&mut observer, &place).await, 0);
    let db = Db::<DB>::connect(&place.url).await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT)").await.unwrap();
    assert!(DB::connected(&mut observer, &place).await > 0);
    db.close().await;
    until("the session is gone", async || {
        DB::connected(&mut observer, &place).await == 0
    })
    .await;
}
