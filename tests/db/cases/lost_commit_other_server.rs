//! The answer to a COMMIT is lost, and the server that is asked about it is not the one that began:
//! it is the same after a crash, or another at its address. There the id means somebody else's
//! transaction, whatever became of that.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use txn::{Db, Error, Postgres, Tx};
use txn_test_servers::{Options, Server};

use super::{number, patient};
use crate::support::engine::TestEngine;
use crate::support::observer::until;
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

/// A transaction that has written, by way of a proxy.
struct Begun {
    server: Server,
    proxy: Proxy,
    db: Db<Postgres>,
    tx: Tx<Postgres>,
    id: i64,
}

const ID: &str = "SELECT pg_current_xact_id()::text::bigint";

/// Options with which nothing is written to the log before its time, so that a crash takes all of
/// an open transaction with it.
const LAZY: [&str; 2] = ["-c", "wal_writer_delay=10s"];

async fn server() -> Server {
    let server = Options::postgres().durable(true).arguments(LAZY).start().unwrap();
    let db = Db::<Postgres>::connect(&server.url()).await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)").await.unwrap();
    // The next crash replays the log from here.
    db.execute("CHECKPOINT").await.unwrap();
    server
}

async fn begin() -> Begun {
    let server = server().await;
    let (proxy, options) = Postgres::by_proxy(&server.url());
    let db = patient::<Postgres>(options).verify_commits(true);
    let db = db.settle_timeout(Duration::from_secs(20)).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    super::insert(&mut tx, 1).await.unwrap();
    let id = number(&mut tx, ID).await.unwrap();
    Begun { server, proxy, db, tx, id }
}

/// Lets others work at the server until `id` has been given to another transaction, which commits
/// or does not.
async fn give_away(server: &Server, id: i64, commits: bool) {
    let strangers = Db::<Postgres>::connect(&server.url()).await.unwrap();
    loop {
        let mut tx = strangers.begin().await.unwrap();
        let given = number(&mut tx, ID).await.unwrap();
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        if given >= id {
            assert_eq!(given, id, "the transaction's id was in the log");
            return;
        }
    }
}

/// Commits over a connection that does not lead anywhere any more.
async fn commit_in_vain(proxy: &Proxy, tx: Tx<Postgres>) -> Error {
    proxy.cut_at("COMMIT");
    tx.commit().await.unwrap_err()
}

async fn rows(server: &Server) -> i64 {
    let db = Db::<Postgres>::connect(&server.url()).await.unwrap();
    Postgres::number(&db.fetch_one("SELECT COUNT(*) FROM t").await.unwrap())
}

#[tokio::test]
async fn a_strangers_transaction_after_a_crash_proves_nothing() {
    for commits in [true, false] {
        let Begun { mut server, proxy, db, tx, id } = begin().await;
        server.crash().unwrap();
        server.start().unwrap();
        give_away(&server, id, commits).await;

        let error = commit_in_vain(&proxy, tx).await;

        assert!(error.is_commit_unknown() && !error.is_retryable(), "{error}");
        assert_eq!(rows(&server).await, 0);
        db.settled().await;
        assert_eq!(db.status().in_use, 0);
    }
}

/// The postmaster goes on, and its start time stays the same.
#[tokio::test]
async fn a_strangers_transaction_after_the_crash_of_one_process_proves_nothing() {
    let Begun { server, proxy, db: _db, tx, id } = begin().await;
    let admin = Db::<Postgres>::connect(&server.url()).await.unwrap();
    let victim = "SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'walwriter'";
    let pid = Postgres::number(&admin.fetch_one(victim).await.unwrap());
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
    until("all sessions have ended", async || admin.execute("SELECT 1").await.is_err()).await;
    until("the server takes connections again", async || {
        Db::<Postgres>::connect(&server.url()).await.is_ok()
    })
    .await;
    give_away(&server, id, true).await;

    let error = commit_in_vain(&proxy, tx).await;

    assert!(error.is_commit_unknown(), "{error}");
    assert_eq!(rows(&server).await, 0);
}

/// A standby that was promoted has the same system identifier.
#[tokio::test]
async fn another_servers_transaction_proves_nothing() {
    for commits in [true, false] {
        let Begun { server: _server, proxy, db: _db, tx, id } = begin().await;
        let other = server().await;
        give_away(&other, id, commits).await;
        proxy.lead_to(socket(&other));

        let error = commit_in_vain(&proxy, tx).await;

        assert!(error.is_commit_unknown(), "{error}");
    }
}

/// The connection for questions had reached another server, and the next one reaches the right
/// server.
#[tokio::test]
async fn a_server_that_can_be_reached_again_is_found_behind_another() {
    let Begun { server, proxy, db, tx, .. } = begin().await;
    let other = self::server().await;
    proxy.lead_to(socket(&other));
    let mut dropped = db.begin().await.unwrap();
    let slow = tokio::time::timeout(
        Duration::from_millis(100),
        (&mut dropped).execute(Postgres::SLOW_QUERY),
    );
    assert!(slow.await.is_err());
    dropped.rollback().await.unwrap();
    assert_ne!(proxy.count("pg_cancel_backend"), 0, "that connection is open");
    proxy.lead_to(socket(&server));

    let error = commit_in_vain(&proxy, tx).await;

    assert!(!error.is_commit_unknown(), "{error}");
    // The server may have to be asked again, because it still ends the transaction.
    assert!(proxy.count("pg_xact_status") >= 2);
    assert_eq!(rows(&server).await, 0);
}

#[tokio::test]
async fn an_answer_proves_nothing_where_the_server_may_not_say_which_it_is() {
    let server = server().await;
    let admin = Db::<Postgres>::connect(&server.url()).await.unwrap();
    admin.execute("CREATE ROLE plain LOGIN").await.unwrap();
    admin.execute("GRANT ALL ON t TO plain").await.unwrap();
    admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC").await.unwrap();
    let (proxy, options) = Postgres::by_proxy(&server.url());
    let db = patient::<Postgres>(options.username("plain")).verify_commits(true);
    let db = db.connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute(AssertSqlSafe("INSERT INTO t VALUES (1, 0)".to_owned())).await.unwrap();

    let error = commit_in_vain(&proxy, tx).await;

    assert!(error.is_commit_unknown(), "{error}");
    assert_eq!(proxy.count("pg_xact_status"), 0);
    assert_eq!(rows(&server).await, 0);
}

fn socket(server: &Server) -> PathBuf {
    Postgres::upstream(&server.url().parse().unwrap())
}
