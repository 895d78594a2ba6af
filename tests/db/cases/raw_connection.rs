//! Code is given the raw connection of a scope, and begins a transaction of its own on it.

use sqlx::{AssertSqlSafe, Connection, Executor};
use txn::{Db, Error, Sandbox, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, insert_twice};
use crate::support::drop_trial::Trial;

type Raw = <DB as sqlx::Database>::Connection;

fn insertion(id: i64) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("INSERT INTO t (id, n) VALUES ({id}, 0)"))
}

/// A library that knows nothing of scopes.
async fn library(on: &mut Raw, id: i64, commits: bool) -> Result<(), sqlx::Error> {
    let mut own = on.begin().await?;
    own.execute(insertion(id)).await?;
    match commits {
        true => own.commit().await,
        false => own.rollback().await,
    }
}

#[derive(Clone, Copy)]
enum End {
    Well,
    Error,
}

impl End {
    fn outcome(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Well => Ok(()),
            Self::Error => Err(sqlx::Error::ColumnNotFound("of the body's own".into())),
        }
    }
}

/// The rows 1 and 4 are the scope's own; 2 is the library's, and 3 is what it undoes.
#[transactional]
async fn calls_a_library(tx: &mut Tx<DB>, end: End) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    library(tx.connection().await?, 2, true).await?;
    library(tx.connection().await?, 3, false).await?;
    insert(tx, 4).await?;
    end.outcome()
}

#[tokio::test]
async fn a_transaction_that_a_library_begins_inside_of_a_scope_nests() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let error = calls_a_library(&*db, End::Error).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::ColumnNotFound(_)), "{error}");
    assert!(db.ids().await.is_empty());
    calls_a_library(&*db, End::Well).await.unwrap();
    assert_eq!(db.ids().await, [1, 2, 4]);
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

#[transactional(nested)]
async fn calls_a_library_in_a_nested_scope(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    library(tx.connection().await?, 12, true).await?;
    End::Error.outcome()
}

#[tokio::test]
async fn what_a_library_commits_in_a_nested_scope_is_undone_with_it() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    library(tx.connection().await.unwrap(), 1, true).await.unwrap();
    calls_a_library_in_a_nested_scope(&mut tx).await.unwrap_err();
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn what_a_library_commits_is_rolled_back_with_a_transaction_begun_by_hand() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for ends_by_hand in [true, false] {
        let mut tx = db.begin().await.unwrap();
        library(tx.connection().await.unwrap(), 1, true).await.unwrap();
        match ends_by_hand {
            true => tx.rollback().await.unwrap(),
            false => drop(tx),
        }
        db.settled().await;
        assert!(db.ids().await.is_empty());
    }
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

async fn ids(sandbox: &Sandbox<DB>) -> usize {
    sandbox.fetch_all("SELECT id FROM t").await.unwrap().len()
}

#[tokio::test]
async fn what_a_library_commits_in_a_sandbox_goes_with_its_scope() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let sandbox = db.sandbox().await.unwrap();
    calls_a_library(&sandbox, End::Error).await.unwrap_err();
    assert_eq!(ids(&sandbox).await, 0);
    calls_a_library(&sandbox, End::Well).await.unwrap();
    assert_eq!(ids(&sandbox).await, 3);
    sandbox.close().await;
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

/// The driver counts no transaction any more when the session comes back, and its own BEGIN is one.
#[tokio::test]
async fn a_session_that_was_lent_to_a_library_begins_anew_for_the_next() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for (id, commits) in [(1, true), (2, false), (3, true)] {
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, id).await.unwrap();
        let inner = tx.connection().await.unwrap().begin().await;
        std::mem::forget(inner.unwrap()); // begun, and never ended
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        db.settled().await;
        let mut session = db.session().await.unwrap();
        library(session.connection(), id + 10, true).await.unwrap();
        drop(session);
    }
    assert_eq!(db.ids().await, [1, 3, 11, 12, 13]);
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn a_transaction_that_a_library_leaves_open_on_a_session_is_rolled_back() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut session = db.session().await.unwrap();
    let mut inner = session.connection().begin().await.unwrap();
    inner.execute(insertion(1)).await.unwrap();
    std::mem::forget(inner);
    drop(session);
    calls_a_library(&*db, End::Well).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(db.ids().await, [1, 2, 4]);
    assert_eq!(db.status().open, 1);
}

/// A transaction of the library's that is dropped is undone, and nothing else.
#[tokio::test]
async fn a_transaction_that_a_library_drops_is_undone_by_itself() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let mut inner = tx.connection().await.unwrap().begin().await.unwrap();
    inner.execute(insertion(2)).await.unwrap();
    drop(inner);
    insert(&mut tx, 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 3]);
}

/// The driver refuses a BEGIN of its caller's own inside of a transaction, and rolls that back.
#[tokio::test]
async fn a_begin_that_the_driver_refuses_takes_ours_with_it_and_the_commit_says_so() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let refused = tx.connection().await.unwrap().begin_with("SELECT 1").await;
    drop(refused.unwrap_err());
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted(), "{error}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
    assert_eq!(db.status().open, 1);
}

/// The transaction is all or nothing, whatever the driver does then, and the commit says which.
#[tokio::test]
async fn a_scope_that_calls_a_library_is_all_or_nothing_wherever_it_is_dropped() {
    let mut trial = Trial::<DB>::of_sessions(2).await.in_pieces_of(24);
    trial
        .drop_everywhere(async |db: &Db<DB>, marks| {
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            library(tx.connection().await.unwrap(), 2, true).await.unwrap();
            insert(&mut tx, 3).await.unwrap();
            marks.commits(&[1, 2, 3]);
            tx.commit().await.unwrap();
        })
        .await;
}

/// The library's transaction is undone, or that of the scope is lost with it and the commit says
/// so.
#[tokio::test]
async fn a_library_that_is_dropped_costs_itself_or_the_transaction() {
    let mut trial = Trial::<DB>::of_sessions(2).await.in_pieces_of(24);
    trial
        .at_every_point(async |trial, point| {
            let mut tx = trial.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let inner = async { library(tx.connection().await?, 2, true).await };
            let complete = trial.drop_at(point, inner).await.is_some();
            let went_on = insert(&mut tx, 9).await;
            let committed = tx.commit().await;
            trial.assert_recovered(point).await;
            let written = trial.ids().await;
            match committed {
                Ok(()) if complete => assert_eq!(written, [1, 2, 9], "{point:?}"),
                Ok(()) => {
                    went_on.unwrap();
                    // The library's commit may have been on its way.
                    let kept = [[1, 9].as_slice(), &[1, 2, 9]];
                    assert!(kept.contains(&&*written), "{point:?}: {written:?}");
                }
                Err(error) => {
                    assert!(!complete && error.is_aborted(), "{point:?}: {error}");
                    assert!(written.is_empty(), "{point:?}: {written:?}");
                }
            }
            trial.clear().await;
            complete
        })
        .await;
}

/// The raw connection of a transaction that refuses everything is refused as well.
#[tokio::test]
async fn there_is_no_raw_connection_after_a_failed_statement() {
    if !DB::FAILURE_ABORTS {
        return;
    }
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert_twice(&mut tx, 1).await.unwrap_err();
    let error: Error = tx.connection().await.err().unwrap();
    assert!(error.is_aborted() && !error.is_partly_committed(), "{error}");
    tx.rollback().await.unwrap();
}
