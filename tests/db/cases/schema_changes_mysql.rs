//! More of a session's memory can be out of date on MySQL and MariaDB.

use sqlx::{AssertSqlSafe, Executor};
use txn::{Error, MySql, Tx, transactional};

use super::Fixture;

/// Raises the error as the server does.
fn signal(number: u16, words: &str) -> String {
    format!("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = '{words}'")
}

#[transactional(retry = 3)]
async fn meets(tx: &mut Tx<MySql>, signal: String) -> Result<u32, Error> {
    if tx.attempt() == 1 {
        tx.execute(AssertSqlSafe(signal)).await?;
    }
    Ok(tx.attempt())
}

#[tokio::test]
async fn a_statement_that_needs_to_be_prepared_again_is_a_reason_to_try_again() {
    let db = Fixture::<MySql>::of_sessions(2).await;
    for (number, words) in [
        (1615, "Prepared statement needs to be re-prepared"),
        (1243, "Unknown prepared statement handler (1) given to mysqld_stmt_execute"),
    ] {
        assert_eq!(meets(&*db, signal(number, words)).await.unwrap(), 2, "{words}");
    }
    db.assert_at_rest().await;
}

#[tokio::test]
async fn one_that_the_user_has_not_prepared_is_none() {
    let db = Fixture::<MySql>::of_sessions(1).await;
    let error = db.execute("EXECUTE nobody_has_prepared_this").await;
    let error = Error::from(error.unwrap_err());
    assert_eq!(error.code().as_deref(), Some("1243"), "{error}");
    assert!(!error.is_retryable(), "{error}");
}
