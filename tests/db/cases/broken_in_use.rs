//! A connection is lost in the middle of a body, which goes on for as long as it likes. Its place
//! in the pool is free at once.

use futures_util::TryStreamExt;
use sqlx::Executor;
use txn::{Db, Error, Session, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::drop_points::poll_at_most;
use crate::support::route::Route;
use crate::support::row_streams::Streams;
use crate::support::server_engine::{ServerEngine, kill, until_gone};

/// A pool of one session, and a handle that can end it.
struct OneSession {
    db: Fixture<DB>,
    admin: Db<DB>,
}

impl OneSession {
    async fn new() -> Self {
        let db = Fixture::<DB>::of_sessions(1).await;
        let admin = Db::connect(db.url()).await.unwrap();
        Self { db, admin }
    }

    /// Ends the connection of a transaction, and lets the transaction notice.
    async fn breaks(&self, tx: &mut Tx<DB>) {
        let id = number(tx, DB::BACKEND).await.unwrap();
        kill(&self.admin, id).await;
        assert_eq!(self.db.status().in_use, 1);
        let error = Error::from(insert(tx, 1).await.unwrap_err());
        assert!(error.is_connection(), "{error}");
        self.db.assert_sessions(0, 0, 0, 0);
    }

    /// Others are served, though the body that had the one session goes on.
    async fn assert_free(&self, holder: &mut Tx<DB>) {
        assert_eq!(self.db.status().in_use, 0);
        self.assert_serves().await;
        let error = Error::from(insert(holder, 2).await.unwrap_err());
        assert!(error.is_aborted(), "{error}");
    }

    async fn assert_serves(&self) {
        let other = self.db.begin().await.unwrap();
        self.db.assert_sessions(1, 0, 1, 0);
        other.rollback().await.unwrap();
        self.db.assert_sessions(1, 1, 0, 0);
    }

    /// Asserts the state of the pool once the body has ended.
    async fn assert_over(&self) {
        self.db.settled().await;
        self.db.assert_sessions(1, 1, 0, 0);
        assert!(self.db.ids().await.is_empty());
        self.db.assert_at_rest().await;
        self.db.close().await;
    }
}

#[transactional]
async fn scope(tx: &mut Tx<DB>, lonely: &OneSession) -> Result<(), Error> {
    lonely.breaks(tx).await;
    lonely.assert_free(tx).await;
    Ok(())
}

#[transactional]
async fn with_joined(tx: &mut Tx<DB>, lonely: &OneSession) -> Result<(), Error> {
    let failed = joined(tx, lonely).await;
    assert!(failed.is_ok(), "its fate is the transaction's");
    lonely.assert_free(tx).await;
    Ok(())
}

#[transactional]
async fn joined(tx: &mut Tx<DB>, lonely: &OneSession) -> Result<(), Error> {
    lonely.breaks(tx).await;
    lonely.assert_free(tx).await;
    Ok(())
}

#[transactional]
async fn with_nested(tx: &mut Tx<DB>, lonely: &OneSession) -> Result<(), Error> {
    nested(tx, lonely).await.unwrap_err();
    lonely.assert_free(tx).await;
    Ok(())
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, lonely: &OneSession) -> Result<(), Error> {
    lonely.breaks(tx).await;
    lonely.assert_free(tx).await;
    Ok(())
}

#[tokio::test]
async fn a_scope_whose_connection_breaks_holds_no_place_any_more() {
    let lonely = OneSession::new().await;
    for which in 0..3 {
        let ended = match which {
            0 => scope(&*lonely.db, &lonely).await,
            1 => with_joined(&*lonely.db, &lonely).await,
            _ => with_nested(&*lonely.db, &lonely).await,
        };
        let error = ended.unwrap_err();
        assert!(error.is_aborted() && error.is_connection(), "{error}");
        lonely.db.settled().await;
    }
    lonely.assert_over().await;
}

#[tokio::test]
async fn a_transaction_by_hand_holds_none_either_however_it_ends() {
    let lonely = OneSession::new().await;
    for end in ["commit", "rollback", "drop"] {
        let mut tx = lonely.db.begin().await.unwrap();
        lonely.breaks(&mut tx).await;
        lonely.assert_free(&mut tx).await;
        match end {
            "commit" => _ = tx.commit().await.unwrap_err(),
            "rollback" => tx.rollback().await.unwrap(),
            _ => drop(tx),
        }
        lonely.db.settled().await;
        lonely.db.assert_sessions(1, 1, 0, 0);
    }
    lonely.assert_over().await;
}

#[tokio::test]
async fn nor_does_one_that_reads_a_stream_of_rows() {
    let lonely = OneSession::new().await;
    let mut tx = lonely.db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    let mut rows = tx.fetch(DB::LOSE_CONNECTION);
    let lost = loop {
        match rows.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(lost, "the server hangs up");
    lonely.db.assert_sessions(0, 0, 0, 0);
    drop(rows);
    until_gone(&lonely.admin, id).await;
    lonely.assert_free(&mut tx).await;
    drop(tx);
    lonely.assert_over().await;
}

#[tokio::test]
async fn nor_does_a_session_in_autocommit_mode() {
    let lonely = OneSession::new().await;
    let mut session: Session<DB> = lonely.db.session().await.unwrap();
    let id = session.fetch_one(DB::BACKEND).await.unwrap();
    kill(&lonely.admin, DB::number(&id)).await;
    session.execute("SELECT 1").await.unwrap_err();
    lonely.db.assert_sessions(0, 0, 0, 0);
    lonely.assert_serves().await;
    session.execute("SELECT 1").await.unwrap_err();
    drop(session);
    lonely.assert_over().await;
}

/// The loss shows when what was left on the wire is to be read, before the next statement is sent.
#[tokio::test]
async fn nor_does_one_that_breaks_after_its_statement_was_dropped() {
    let lonely = OneSession::new().await;
    let mut session: Session<DB> = lonely.db.session().await.unwrap();
    let id = session.fetch_one(DB::BACKEND).await.unwrap();
    let dropped = poll_at_most(1, (&mut session).execute(DB::SLOW_QUERY)).await;
    assert!(dropped.is_none());
    kill(&lonely.admin, DB::number(&id)).await;
    lonely.db.assert_sessions(1, 0, 1, 0);
    session.execute("SELECT 1").await.unwrap_err();
    lonely.db.assert_sessions(0, 0, 0, 0);
    lonely.assert_serves().await;
    drop(session);
    lonely.assert_over().await;
}

#[tokio::test]
async fn nor_does_a_transaction_that_breaks_between_two_rows() {
    let lonely = OneSession::new().await;
    let mut tx = lonely.db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    let mut rows = tx.fetch(DB::ENDLESS_ROWS);
    assert!(rows.try_next().await.unwrap().is_some());
    drop(rows);
    kill(&lonely.admin, id).await;
    lonely.db.assert_sessions(1, 0, 1, 0);
    insert(&mut tx, 1).await.unwrap_err();
    lonely.db.assert_sessions(0, 0, 0, 0);
    lonely.assert_free(&mut tx).await;
    drop(tx);
    lonely.assert_over().await;
}

/// The sandbox has lost its transaction, and says so; the pool has lost nothing.
#[tokio::test]
async fn nor_does_a_sandbox() {
    let lonely = OneSession::new().await;
    let sandbox = lonely.db.sandbox().await.unwrap();
    let mut tx = sandbox.begin().await.unwrap();
    lonely.breaks(&mut tx).await;
    lonely.assert_free(&mut tx).await;
    drop(tx);
    lonely.db.settled().await;
    let error = sandbox.begin().await.unwrap_err();
    assert!(error.to_string().contains("lost its transaction"), "{error}");
    sandbox.close().await;
    lonely.assert_over().await;
}

#[transactional(nested)]
async fn fails(tx: &mut Tx<DB>, break_it: impl FnOnce() + Send) -> Result<(), Error> {
    insert(tx, 2).await?;
    break_it();
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional]
async fn writes(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

/// Nor can the server be reached to end the session there, so that the cleanup takes its time.
#[tokio::test]
async fn nor_does_one_that_breaks_on_a_statement_of_the_runtime() {
    for word in [DB::BEGIN, "SAVEPOINT", "ROLLBACK TO", "COMMIT", "ROLLBACK"] {
        let route = Route::<DB>::new().await;
        let db = route.connect(|builder| builder.max_sessions(1)).await;
        writes(&db).await.unwrap();
        let break_it = || {
            route.proxy.as_ref().unwrap().cut_at(word);
            route.block();
        };
        let mut tx = match word {
            _ if word == DB::BEGIN => {
                break_it();
                let error = db.begin().await.unwrap_err();
                assert!(error.is_connection(), "{error}");
                None
            }
            _ => Some(db.begin().await.unwrap()),
        };
        match (word, tx.take()) {
            ("SAVEPOINT", Some(mut begun)) => {
                break_it();
                fails(&mut begun, || unreachable!("there is no savepoint")).await.unwrap_err();
                tx = Some(begun);
            }
            ("ROLLBACK TO", Some(mut begun)) => {
                fails(&mut begun, break_it).await.unwrap_err();
                tx = Some(begun);
            }
            ("COMMIT", Some(begun)) => {
                break_it();
                assert!(begun.commit().await.unwrap_err().is_commit_unknown());
            }
            (_, Some(begun)) => {
                break_it();
                begun.rollback().await.ok();
            }
            (_, None) => {}
        }
        let status = db.status();
        assert_eq!((status.open, status.in_use), (0, 0), "{word}: {status:?}");
        route.proxy.as_ref().unwrap().release();
        route.unblock();
        drop(tx);
        let row = db.fetch_one("SELECT COUNT(*) FROM t").await.unwrap();
        assert_eq!(DB::number(&row), 1, "{word}");
        db.settled().await;
        let status = db.status();
        assert_eq!((status.open, status.in_use), (1, 0), "{word}: {status:?}");
    }
}

/// A scope that no longer holds a place is an open scope all the same.
#[tokio::test]
async fn closing_waits_for_the_body_that_goes_on() {
    let lonely = OneSession::new().await;
    let mut tx = lonely.db.begin().await.unwrap();
    lonely.breaks(&mut tx).await;
    let mut closing = Box::pin(lonely.db.close());
    assert!(crate::support::drop_points::is_pending(&mut closing).await);
    tx.rollback().await.unwrap();
    closing.await;
}

#[transactional(requires_new)]
async fn second(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 3).await?)
}

/// The second session gets the place of the first one.
#[tokio::test]
async fn a_second_session_is_to_be_had_from_inside_of_the_body() {
    let lonely = OneSession::new().await;
    let mut tx = lonely.db.begin().await.unwrap();
    lonely.breaks(&mut tx).await;
    second(&mut tx).await.unwrap();
    drop(tx);
    lonely.db.settled().await;
    assert_eq!(lonely.db.ids().await, [3]);
    lonely.db.assert_at_rest().await;
}
