//! Only the first half of a commit is run: an administrator cancels it, or a time limit of the
//! server's ends it, between the statement that proves the transaction and the COMMIT behind it.

use sqlx::Executor;

use super::{DB, Fixture, insert, patient};
use crate::support::server_engine::ServerEngine;

#[tokio::test]
async fn a_commit_that_fails_half_way_leaves_its_session_outside_of_the_transaction() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient::<DB>(options).max_sessions(1).connect().await.unwrap();
    // The server cannot make sense of what it reads in the place of the COMMIT.
    for id in [1, 2] {
        proxy.garble("COMMIT", "COMMIX");
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        let error = tx.commit().await.unwrap_err();
        assert!(error.to_string().contains("nothing was written"), "{error}");
        assert!(!error.is_commit_unknown() && !error.is_aborted(), "{error}");
        proxy.release();
        // This runs on the same session, which is the only one.
        let sql = format!("INSERT INTO t (id, n) VALUES ({}, 0)", 10 * id);
        db.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    assert_eq!(fixture.ids().await, [10, 20]);
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}
