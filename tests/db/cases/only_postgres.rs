//! Faults that only PostgreSQL has.

use sqlx::Executor;
use txn::{Db, Postgres};

use super::{Fixture, insert};
use crate::proxy::Proxy;
use crate::remote::Remote;

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
