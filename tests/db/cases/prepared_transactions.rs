//! A prepared transaction belongs to no session of PostgreSQL's, and is ended outside of any scope.

use sqlx::{AssertSqlSafe, Executor};
use txn::Postgres;
use txn_test_servers::Options;

use super::patient;

#[tokio::test]
async fn a_prepared_transaction_is_ended_through_the_handle_and_not_in_a_scope() {
    let arguments = ["-c", "max_prepared_transactions=2"];
    let server = Options::postgres().arguments(arguments).start().unwrap();
    let options = server.url().parse().unwrap();
    let db = patient::<Postgres>(options).max_sessions(1).connect().await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY)").await.unwrap();
    for (id, end) in [(1, "COMMIT"), (2, "ROLLBACK")] {
        let prepare =
            format!("BEGIN; INSERT INTO t VALUES ({id}); PREPARE TRANSACTION 'two phases'");
        db.execute(AssertSqlSafe(prepare)).await.unwrap();
        let end = format!("{end} PREPARED 'two phases'");
        let mut tx = db.begin().await.unwrap();
        let error = tx.execute(AssertSqlSafe(end.clone())).await.unwrap_err().to_string();
        assert!(error.contains("through `&Db`"), "{error}");
        tx.execute("SELECT 1").await.unwrap();
        tx.commit().await.unwrap();
        db.execute(AssertSqlSafe(end)).await.unwrap();
    }
    let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM t");
    assert_eq!(count.fetch_one(&db).await.unwrap(), 1);
    assert_eq!(db.status().open, 1);
}
