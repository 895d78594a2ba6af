//! A future is dropped while an answer is certainly outstanding: the tests show what becomes of the
//! statement, the scope and the session.

use std::pin::pin;

use sqlx::Executor;
use tokio::select;
use txn::{Db, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, patient};
use crate::support::drop_points::is_pending;
use crate::support::drop_trial::Marks;
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;
use crate::support::warnings::Warnings;

/// A handle with one session by way of a proxy, and a fixture that sees what the server has.
async fn by_proxy() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient(options)
        .max_sessions(1)
        .connect()
        .await
        .unwrap();
    (fixture, proxy, db)
}

/// Polls the operation until the answer to `word` is held back, drops it, and lets the answer
/// through.
async fn drop_at(proxy: &Proxy, word: &'static str, operation: impl Future) {
    proxy.hold_answer_to(word);
    select! {
        _ = operation => panic!("complete without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
}

/// The COMMIT is finished in the background.
#[tokio::test]
async fn a_commit_dropped_in_flight_is_finished_all_the_same() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "COMMIT", tx.commit()).await;
    db.settled().await;
    assert_eq!(fixture.ids().await, [1]);
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// The ROLLBACK is finished in the background.
#[tokio::test]
async fn a_rollback_dropped_in_flight_is_finished_all_the_same() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "ROLLBACK", tx.rollback()).await;
    db.settled().await;
    assert!(fixture.ids().await.is_empty());
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

fn register(tx: &mut Tx<DB>) -> Marks {
    let marks = Marks::default();
    let (committed, undone) = (marks.clone(), marks.clone());
    tx.after_commit(async move { committed.note("committed") });
    tx.after_rollback(move |_| async move { undone.note("undone") });
    marks
}

/// Somebody else may wait to be told, even if the caller was dropped.
#[tokio::test]
async fn the_hooks_of_an_end_dropped_in_flight_run_once_it_has_come() {
    let (_fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let marks = register(&mut tx);
    drop_at(&proxy, "COMMIT", tx.commit()).await;
    db.settled().await;
    assert_eq!(marks.notes(), ["committed"]);

    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    let marks = register(&mut tx);
    drop_at(&proxy, "ROLLBACK", tx.rollback()).await;
    db.settled().await;
    assert_eq!(marks.notes(), ["undone"]);
}

/// There is nothing to settle on such a session, and still somebody may wait to be told.
#[tokio::test]
async fn the_hooks_of_a_scope_dropped_after_its_connection_was_lost_are_those_of_a_rollback() {
    let (fixture, _proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let marks = register(&mut tx);
    (&mut tx).execute(DB::LOSE_CONNECTION).await.unwrap_err();
    drop(tx);
    db.settled().await;
    assert_eq!(marks.notes(), ["undone"]);
    assert!(fixture.ids().await.is_empty());
}

/// Nobody knows whether the statement took effect.
#[tokio::test]
async fn a_statement_dropped_in_flight_fails_the_transaction_that_goes_on() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "INSERT", insert(&mut tx, 2)).await;

    let error = txn::Error::from(insert(&mut tx, 3).await.unwrap_err());
    assert!(error.is_aborted(), "{error}");
    assert!(error.to_string().contains("dropped"), "{error}");
    assert!(tx.commit().await.unwrap_err().is_aborted());

    db.settled().await;
    assert_eq!(db.status().in_use, 0);
    assert!(fixture.ids().await.is_empty());
}

/// A statement that may be given up alone belongs in a nested scope.
#[tokio::test]
async fn a_nested_scope_dropped_in_flight_is_undone_alone_where_the_wire_survives() {
    #[transactional(nested)]
    async fn nested(tx: &mut Tx<DB>) -> Result<(), txn::Error> {
        insert(tx, 2).await?;
        Ok(insert(tx, 222).await?)
    }
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "222", nested(&mut tx)).await;

    let went_on = insert(&mut tx, 3).await;
    assert_eq!(went_on.is_ok(), DB::SURVIVES_DROPS, "{went_on:?}");
    let committed = tx.commit().await;
    assert_eq!(committed.is_ok(), DB::SURVIVES_DROPS, "{committed:?}");
    let written = fixture.ids().await;
    assert_eq!(
        written,
        if DB::SURVIVES_DROPS {
            vec![1, 3]
        } else {
            vec![]
        }
    );
}

/// An answer never reaches the statement after.
#[tokio::test]
async fn an_autocommit_statement_dropped_in_flight_leaves_nothing_to_the_next() {
    let (fixture, proxy, db) = by_proxy().await;
    for (word, statement) in [("1111", "SELECT 1111"), ("missing", "SELECT missing")] {
        drop_at(&proxy, word, db.fetch_one(statement)).await;
        drop_at(&proxy, word, sqlx::query(statement).fetch_one(&db)).await;
        db.execute("INSERT INTO t (id, n) VALUES (1, 0)")
            .await
            .unwrap();
        db.execute("DELETE FROM t").await.unwrap();
    }
    assert!(fixture.ids().await.is_empty());
    db.settled().await;
    assert_eq!((db.status().idle, db.status().open), (1, 1));
}

/// The session that could tell whether the script has ended the transaction is gone. No COMMIT was
/// sent whose fate would be unknown.
#[tokio::test]
async fn a_transaction_that_cannot_be_asked_after_a_script_is_not_committed() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let script = sqlx::raw_sql("SELECT 1; EXPLAIN SELECT 2");
    script.execute(&mut tx).await.unwrap();
    proxy.cut_at("RELEASE SAVEPOINT");
    let error = tx.commit().await.unwrap_err();
    assert!(!error.is_commit_unknown(), "{error}");
    assert_eq!(proxy.count("COMMIT"), 0);
    proxy.release();
    db.settled().await;
    assert!(fixture.ids().await.is_empty());
}

/// The rest of a dropped answer is read and forgotten, or costs the session: it is never the answer
/// to the next statement.
#[tokio::test]
async fn a_statement_dropped_in_flight_on_a_session_leaves_nothing_to_the_next_on_it() {
    let (_fixture, proxy, db) = by_proxy().await;
    for (word, statement) in [("1111", "SELECT 1111"), ("missing", "SELECT missing")] {
        let mut session = db.session().await.unwrap();
        drop_at(&proxy, word, session.fetch_one(statement)).await;
        for number in [7, 8] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) + {number} FROM t"));
            match session.fetch_one(sql).await {
                Ok(row) => assert_eq!(DB::number(&row), number),
                Err(error) => assert!(!DB::SURVIVES_DROPS, "{error}"),
            }
        }
    }
}

/// The session is settled, and not closed.
#[tokio::test]
async fn an_autocommit_statement_dropped_in_flight_keeps_its_session_where_the_wire_survives() {
    let (_fixture, proxy, db) = by_proxy().await;
    let before = DB::number(&db.fetch_one(DB::BACKEND).await.unwrap());
    drop_at(&proxy, "1111", db.fetch_one("SELECT 1111")).await;
    db.settled().await;
    let after = DB::number(&db.fetch_one(DB::BACKEND).await.unwrap());
    assert_eq!(before == after, DB::SURVIVES_DROPS, "{before} {after}");
}

#[tokio::test]
async fn a_session_is_settled_before_anybody_gets_it_and_before_the_handle_is_closed() {
    let (fixture, proxy, db) = by_proxy().await;
    let warnings = Warnings::listen();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.hold_answer_to("ROLLBACK");
    drop(tx);
    assert_eq!((db.status().settling, db.status().in_use), (1, 0));
    proxy.holding().await;

    let mut next = Box::pin(db.begin());
    assert!(is_pending(&mut next).await);
    assert_eq!(db.status().waiting, 1);
    let mut close = pin!(db.close());
    assert!(is_pending(&mut close).await);
    assert!(next.await.unwrap_err().is_closed());
    assert!(is_pending(&mut close).await);
    proxy.release();
    close.await;

    assert_eq!((db.status().settling, db.status().open), (0, 0));
    assert!(fixture.ids().await.is_empty());
    assert!(warnings.all().is_empty(), "{:?}", warnings.all());
}
