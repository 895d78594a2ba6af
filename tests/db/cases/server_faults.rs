//! The connection is lost, or the server is: at BEGIN, in the body, at COMMIT, in the pool.

use sqlx::Executor;
use tokio::task::JoinSet;
use txn::{Db, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number, patient};
use crate::support::proxy::Proxy;
use crate::support::server_engine::{ServerEngine, kill, until_gone};
use crate::support::warnings::Warnings;

/// A handle by way of a proxy, and a fixture that sees what the server has.
async fn by_proxy() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient(options).connect().await.unwrap();
    (fixture, proxy, db)
}

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_failed_begin_keeps_its_cause_and_runs_no_body() {
    #[transactional]
    async fn never(_: &mut Tx<DB>) -> Result<(), txn::Error> {
        unreachable!("the body runs in a transaction only")
    }
    let (fixture, proxy, db) = by_proxy().await;
    proxy.cut_at(DB::BEGIN);

    let error = never(&db).await.unwrap_err();

    assert!(error.is_connection(), "{error}");
    assert!(
        error.to_string().starts_with("cannot begin (in `")
            && error.to_string().contains("::never`): "),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
    db.settled().await;
    assert_eq!((db.status().in_use, db.status().open), (0, 0));

    proxy.release();
    write(&db, 1).await.unwrap();
    assert_eq!(fixture.ids().await, [1]);
}

#[tokio::test]
async fn a_server_that_is_gone_is_a_connection_error_at_once() {
    let mut server = DB::server().start().unwrap();
    let db = Db::<DB>::connect(&server.url()).await.unwrap();
    server.stop().unwrap();

    let error = write(&db, 1).await.unwrap_err();

    assert!(error.is_connection(), "{error}");
    db.settled().await;
    assert_eq!((db.status().in_use, db.status().open), (0, 0));
}

#[tokio::test]
async fn a_connection_lost_at_commit_is_unknown_and_one_commit_was_sent() {
    let (fixture, proxy, db) = by_proxy().await;
    let warnings = Warnings::listen();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.cut_at("COMMIT");

    let error = tx.commit().await.unwrap_err();

    assert!(
        error.is_commit_unknown() && error.is_connection(),
        "{error}"
    );
    assert!(!error.is_retryable());
    db.settled().await;
    assert_eq!(proxy.count("COMMIT"), 1);
    assert_eq!(proxy.count("ROLLBACK"), 0);
    assert_eq!(
        (db.status().in_use, db.status().open),
        (0, 0),
        "{:?}",
        warnings.all()
    );
    assert!(fixture.ids().await.is_empty());
}

#[tokio::test]
async fn a_session_killed_before_its_commit_is_no_success() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    kill(&db, id).await;

    let error = tx.commit().await.unwrap_err();

    assert!(error.is_connection(), "{error}");
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn the_bodys_error_is_not_masked_by_the_rollback_that_failed() {
    #[transactional]
    async fn fails(tx: &mut Tx<DB>, proxy: &Proxy) -> Result<(), sqlx::Error> {
        insert(tx, 1).await?;
        proxy.cut();
        Err(sqlx::Error::RowNotFound)
    }
    let (fixture, proxy, db) = by_proxy().await;
    let warnings = Warnings::listen();

    let error = fails(&db, &proxy).await.unwrap_err();

    assert!(matches!(error, sqlx::Error::RowNotFound), "{error}");
    assert_eq!(
        warnings.with("rollback failed, session closed"),
        1,
        "{:?}",
        warnings.all()
    );
    db.settled().await;
    assert_eq!((db.status().in_use, db.status().open), (0, 0));
    assert!(fixture.ids().await.is_empty());
}

#[tokio::test]
async fn a_statement_on_a_lost_connection_fails_and_so_does_everything_after_it() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.cut();
    let first = txn::Error::from(insert(&mut tx, 2).await.unwrap_err());
    assert!(first.is_connection(), "{first}");
    let second = txn::Error::from(insert(&mut tx, 3).await.unwrap_err());
    assert!(second.is_aborted() && second.is_connection(), "{second}");
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted() && !error.is_commit_unknown(), "{error}");
    assert!(fixture.ids().await.is_empty());
}

/// Opens this many sessions, and gives them back to the pool.
async fn warm_up(db: &Db<DB>, sessions: usize) {
    let mut open = Vec::new();
    for _ in 0..sessions {
        open.push(db.begin().await.unwrap());
    }
    for tx in open {
        tx.rollback().await.unwrap();
    }
    assert_eq!(db.status().idle, sessions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_between_calls_costs_no_caller_an_error() {
    let mut server = DB::server().durable(true).start().unwrap();
    let db = patient::<DB>(server.url().parse().unwrap()).max_sessions(4);
    let db = db.connect().await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)")
        .await
        .unwrap();
    let ends = [
        txn_test_servers::Server::stop,
        txn_test_servers::Server::crash,
    ];
    for (round, end) in (0..).zip(ends) {
        warm_up(&db, 4).await;
        end(&mut server).unwrap();
        server.start().unwrap();
        let mut callers = JoinSet::new();
        for caller in 0..6 {
            let db = db.clone();
            callers.spawn(async move { write(&db, round * 10 + caller).await });
        }
        for called in callers.join_all().await {
            called.unwrap();
        }
    }
    assert_eq!(db.fetch_all("SELECT id FROM t").await.unwrap().len(), 12);
}

#[tokio::test]
async fn sessions_that_an_administrator_ended_cost_no_caller_an_error() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(2)).await;
    let admin = Db::<DB>::connect(db.url()).await.unwrap();
    for id in 0..3 {
        let mut tx = db.begin().await.unwrap();
        let session = number(&mut tx, DB::BACKEND).await.unwrap();
        tx.rollback().await.unwrap();
        kill(&admin, session).await;
        write(&*db, id).await.unwrap();
    }
    assert_eq!(db.ids().await, [0, 1, 2]);
    db.assert_at_rest().await;
}

/// The limits are the servers' own, `idle_session_timeout` and `wait_timeout`.
#[tokio::test]
async fn a_session_that_the_server_closed_for_idleness_costs_no_caller_an_error() {
    let server = DB::server().arguments(DB::CLOSE_IDLE).start().unwrap();
    let db = Db::<DB>::connect(&server.url()).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let session = number(&mut tx, DB::BACKEND).await.unwrap();
    tx.rollback().await.unwrap();
    // The question keeps the session awake that asks it.
    let admin = Db::<DB>::connect(&server.url()).await.unwrap();
    until_gone(&admin, session).await;

    let tx = db.begin().await.unwrap();

    tx.commit().await.unwrap();
}

/// An autocommit statement cannot be repeated: a session that lay idle for long is asked before it
/// is used.
#[tokio::test]
async fn a_session_ended_long_ago_costs_no_autocommit_statement_an_error() {
    let server = DB::server().arguments(DB::CLOSE_IDLE).start().unwrap();
    let db = Db::<DB>::connect(&server.url()).await.unwrap();
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    let admin = Db::<DB>::connect(&server.url()).await.unwrap();
    until_gone(&admin, DB::number(&row)).await;

    let row = db.fetch_one("SELECT 1").await;

    row.unwrap();
}
