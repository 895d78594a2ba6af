//! Faults that only PostgreSQL has.

use sqlx::Executor;
use txn::{Db, Postgres};

use super::{Fixture, TestEngine, insert, number};
use crate::proxy::Proxy;
use crate::remote::{Remote, until_gone};

async fn by_proxy() -> (Fixture<Postgres>, Proxy, Db<Postgres>) {
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let db = Db::builder(options).connect().await.unwrap();
    (fixture, proxy, db)
}

/// CASES 3
#[tokio::test]
async fn a_deferred_constraint_fails_the_one_commit_and_no_rollback_follows() {
    let (fixture, proxy, db) = by_proxy().await;
    fixture
        .execute("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.execute("INSERT INTO child (t) VALUES (99)")
        .await
        .unwrap();

    let error = tx.commit().await.unwrap_err();

    assert!(
        error
            .to_string()
            .starts_with("cannot commit, nothing was written"),
        "{error}"
    );
    assert_eq!(
        error.code().as_deref(),
        Some("23503"),
        "foreign_key_violation"
    );
    assert!(!error.is_aborted() && !error.is_commit_unknown(), "{error}");
    db.settled().await;
    assert_eq!((proxy.count("COMMIT"), proxy.count("ROLLBACK")), (1, 0));
    assert!(fixture.ids().await.is_empty());
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// The server's own limit, whose message lies in wait for the next statement.
#[tokio::test]
async fn a_session_that_the_server_closed_for_idleness_is_replaced_at_begin() {
    let (fixture, _proxy, db) = by_proxy().await;
    let mut session = db.session().await.unwrap();
    session
        .execute("SET idle_session_timeout = '20ms'")
        .await
        .unwrap();
    let id = session.fetch_one(Postgres::BACKEND).await.unwrap();
    drop(session);
    until_gone(&fixture, Postgres::number(&id)).await;

    let tx = db.begin().await.unwrap();

    tx.commit().await.unwrap();
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// Likewise: the transaction and its session are gone, which is more than a failed statement.
#[tokio::test]
async fn a_transaction_that_the_server_ended_for_idleness_was_lost_with_its_connection() {
    let (fixture, _proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let id = number(&mut tx, Postgres::BACKEND).await.unwrap();
    tx.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        .await
        .unwrap();
    until_gone(&fixture, id).await;

    let error = txn::Error::from(insert(&mut tx, 2).await.unwrap_err());

    assert!(error.is_connection(), "{error}");
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted() && error.is_connection(), "{error}");
    db.settled().await;
    assert_eq!((db.status().in_use, db.status().open), (0, 0));
    assert!(fixture.ids().await.is_empty());
}
