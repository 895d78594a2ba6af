//! A server answers a COMMIT with these codes.

use sqlx::Executor;
use txn::MySql;

use super::{Fixture, patient};
use crate::support::server_engine::ServerEngine;

/// A query as a request of the protocol.
fn query(sql: &str) -> Vec<u8> {
    let length = u8::try_from(sql.len() + 1).unwrap();
    [&[length, 0, 0, 0, 3], sql.as_bytes()].concat()
}

/// A server that could not commit, and cannot tell how far it had come, answers so: 1180 of a
/// storage engine, 8501 of `TiDB`, and the standard's states of a proxy in between.
#[tokio::test]
async fn a_server_that_does_not_know_what_became_of_a_commit_is_believed() {
    let fixture = Fixture::<MySql>::new().await;
    let (proxy, options) = MySql::by_proxy(fixture.url());
    let db = patient::<MySql>(options).max_sessions(1).connect().await.unwrap();
    for (state, number, unknown) in [
        ("HY000", 1180, true),
        ("HY000", 8501, true),
        ("40003", 1105, true),
        ("08007", 1105, true),
        ("HY000", 1105, false),
        ("08S01", 1429, false),
        ("40001", 1213, false),
    ] {
        let mut tx = db.begin().await.unwrap();
        tx.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
        let signal = format!("SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}");
        proxy.send_instead_of("COMMIT", query(&signal));
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(&*number.to_string()), "{error}");
        assert_eq!(error.is_commit_unknown(), unknown, "{error}");
        assert!(!error.is_connection(), "{error}");
        assert_eq!(error.is_retryable(), number == 1213, "{error}");
        db.settled().await;
        assert!(fixture.ids().await.is_empty());
    }
    assert_eq!(db.status().open, 1, "over a connection that lives on");
}
