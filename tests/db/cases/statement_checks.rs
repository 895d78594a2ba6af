//! A transaction lets some statements through to the server, and refuses others.

use sqlx::Executor;
use txn::{Error, Tx, transactional};

use super::*;

#[tokio::test]
async fn after_a_failed_statement_the_next_is_refused_with_the_first_as_cause() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert_twice(&mut tx, 1).await.unwrap_err();
    let next = number(&mut tx, "SELECT COUNT(*) FROM t").await;
    if DB::FAILURE_ABORTS {
        let error = Error::from(next.unwrap_err());
        assert!(error.is_aborted(), "{error}");
        // The server's own refusal would be 25P02; this is the first failure, and nothing was sent.
        assert_eq!(error.code().as_deref(), Some("23505"), "{error}");
        assert!(tx.commit().await.unwrap_err().is_aborted());
    } else {
        assert_eq!(next.unwrap(), 1);
        tx.commit().await.unwrap();
    }
    db.assert_at_rest().await;
}

#[transactional(nested)]
async fn fail_inside(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert_twice(tx, 2).await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_statement_in_a_nested_scope_ends_with_it() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    fail_inside(&mut tx).await.unwrap_err();
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

#[tokio::test]
async fn transaction_control_by_hand_is_refused_and_the_transaction_goes_on() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    for sql in ["COMMIT", " rollback;", "BEGIN", "-- now\nSAVEPOINT a", "/* x */ END"] {
        let error = (&mut tx).execute(sql).await.unwrap_err().to_string();
        assert!(error.contains("was refused"), "{error}");
        let error = sqlx::query(sql).fetch_optional(&mut tx).await.unwrap_err();
        assert!(error.to_string().contains("was refused"), "{error}");
    }
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    let error = db.execute("BEGIN").await.unwrap_err().to_string();
    assert!(error.contains("was refused"), "{error}");
}

/// A statement that commits implicitly is no less a COMMIT.
#[tokio::test]
async fn a_statement_that_commits_implicitly_is_refused() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let ddl = (&mut tx).execute("CREATE TABLE u (id INT)").await;
    if DB::ENDS_BY_ITSELF {
        let error = ddl.unwrap_err().to_string();
        assert!(error.contains("commits the transaction"), "{error}");
        (&mut tx).execute("CREATE TEMPORARY TABLE u (id INT)").await.unwrap();
    } else {
        ddl.unwrap();
    }
    tx.rollback().await.unwrap();
    assert!(db.ids().await.is_empty());
    db.execute("CREATE TABLE u (id INT)").await.unwrap();
}

/// A commit that the first keyword does not show is found out by the COMMIT.
#[tokio::test]
async fn a_commit_hidden_behind_another_statement_is_no_false_ok() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    (&mut tx).execute("SELECT 1; COMMIT").await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted(), "{error}");
    db.assert_at_rest().await;
}

/// `OR ROLLBACK` takes the whole transaction with it: what followed would autocommit.
#[tokio::test]
async fn a_statement_that_rolls_everything_back_ends_the_transaction() {
    if !DB::ONE_WRITER {
        return; // an SQLite speciality
    }
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let all = (&mut tx).execute("INSERT OR ROLLBACK INTO t (id, n) VALUES (1, 1)").await;
    all.unwrap_err();
    let error = Error::from(insert(&mut tx, 2).await.unwrap_err());
    assert!(error.is_aborted(), "{error}");
    assert!(tx.commit().await.unwrap_err().is_aborted());
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

/// A row stream dropped half-way leaves nothing behind.
#[tokio::test]
async fn a_half_read_row_stream_is_no_failure() {
    use futures_util::TryStreamExt;
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    for id in 0..100 {
        insert(&mut tx, id).await.unwrap();
    }
    for _ in 0..3 {
        let mut rows = (&mut tx).fetch("SELECT id FROM t ORDER BY id");
        rows.try_next().await.unwrap().unwrap();
        drop(rows);
        assert_eq!(number(&mut tx, "SELECT COUNT(*) FROM t").await.unwrap(), 100);
    }
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await.len(), 100);
}

#[transactional]
async fn wrapped(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert_twice(tx, 1).await
}

/// Code that matches on sqlx's own error finds it.
#[tokio::test]
async fn errors_pass_through_sqlx_and_back_without_loss() {
    let db = Fixture::<DB>::new().await;
    let error = wrapped(&*db).await.unwrap_err();
    assert!(error.as_database_error().unwrap().is_unique_violation());
    db.close().await;
    let error = wrapped(&*db).await.unwrap_err();
    assert!(Error::from(error).is_closed());
}
