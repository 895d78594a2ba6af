//! Sessions that are opened and closed.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use txn::{Error, Tx, transactional};

use super::*;
use crate::support::observer::until;

#[transactional(name = "one")]
async fn one(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[transactional(name = "loses its connection")]
async fn loses_connection(tx: &mut Tx<DB>) -> Result<(), Error> {
    let sql = match DB::SYSTEM {
        "mysql" => "KILL CONNECTION_ID()",
        _ => "SELECT pg_terminate_backend(pg_backend_pid())",
    };
    tx.execute(sql).await?;
    Ok(())
}

/// Ends the one idle session on the server, over that session, which does not hear of it.
async fn kill_the_idle_one(place: &Place) {
    let (ask, kill, count) = match DB::SYSTEM {
        "mysql" => (
            "SELECT CAST(CONNECTION_ID() AS SIGNED)",
            "KILL ",
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ",
        ),
        _ => (
            "SELECT pg_backend_pid()::BIGINT",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ",
            "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = ",
        ),
    };
    let id = DB::number(&place.db.fetch_one(ask).await.unwrap());
    let by = &place.fixture;
    by.execute(AssertSqlSafe(format!("{kill}{id}"))).await.unwrap();
    until("the session is gone", async || {
        let left = by.fetch_one(AssertSqlSafe(format!("{count}{id}"))).await;
        DB::number(&left.unwrap()) == 0
    })
    .await;
}

macro_rules! replaced {
    ($why:literal) => { concat!(
        "db.client.connection.wait_time 1
         db.client.connection.use_time 1
         db.client.connection.create_time 1
         txn.sessions.created 1
         txn.sessions.closed{", $why, "} 1
         txn.begin.duration 1
         txn.commit.duration 1
         txn.scope.duration{one root committed end} 1"
    ) };
}

#[tokio::test]
async fn of_sessions_that_are_too_old() {
    check([
        row("idle for too long", async |place| one(&place.db).await.unwrap(), {
            replaced!("idle_timeout")
        })
        .with(|builder| builder.idle_timeout(Duration::ZERO)),
        row("open for too long", async |place| one(&place.db).await.unwrap(), {
            replaced!("max_lifetime")
        })
        .with(|builder| builder.max_lifetime(Duration::ZERO)),
    ])
    .await;
}

#[tokio::test]
async fn of_a_handle_that_is_closed() {
    check([
        row("with its sessions in the pool", async |place| place.db.close().await, {
            "txn.sessions.closed{pool_closed} 1
             db.client.connection.count{idle} -1"
        }),
        row(
            "with a session out of it",
            async |place| {
                let session = place.db.session().await.unwrap();
                let mut close = Box::pin(place.db.close());
                assert!(crate::support::drop_points::is_pending(&mut close).await);
                drop(session);
                close.await;
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             txn.settle.duration{clean} 1
             txn.sessions.closed{pool_closed} 1
             db.client.connection.count{idle} -1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_sessions_that_the_server_has_ended() {
    if DB::SYSTEM == "sqlite" {
        return; // Its sessions are in this process.
    }
    check([
        row(
            "in a scope",
            async |place| drop(loses_connection(&place.db).await.unwrap_err()),
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             db.client.connection.count{idle} -1
             txn.begin.duration 1
             txn.rollbacks{connection} 1
             txn.sessions.closed{broken} 1
             mysql: txn.settle.duration{broken} 1
             txn.scope.duration{loses its connection root rolled_back end} 1",
        ),
        row(
            "before a scope, which does not notice",
            async |place| {
                kill_the_idle_one(place).await;
                one(&place.db).await.unwrap();
            },
            concat!(
                replaced!("begin_failed"),
                "
                 db.client.connection.wait_time 2
                 db.client.connection.use_time 2"
            ),
        ),
        row(
            "before a statement in autocommit mode",
            async |place| {
                kill_the_idle_one(place).await;
                // A session that has been idle for less time than this is trusted.
                tokio::time::sleep(Duration::from_millis(1001)).await;
                place.db.execute("SELECT 1").await.unwrap();
            },
            "db.client.connection.wait_time 3
             db.client.connection.use_time 3
             db.client.connection.create_time 1
             txn.sessions.created 1
             txn.sessions.closed{ping_failed} 1",
        ),
    ])
    .await;
}

/// Makes the one session refuse to write from now on.
async fn let_it_only_read(place: &Place) {
    let sql = match DB::SYSTEM {
        "mysql" => "SET SESSION TRANSACTION READ ONLY",
        "postgresql" => "SET default_transaction_read_only = on",
        _ => "PRAGMA query_only = 1",
    };
    let mut session = place.db.session().await.unwrap();
    session.execute(sql).await.unwrap();
}

#[tokio::test]
async fn of_a_session_that_only_reads() {
    check([
        row(
            "in a scope",
            async |place| {
                let_it_only_read(place).await;
                one(&place.db).await.unwrap_err();
            },
            "db.client.connection.wait_time 2
             db.client.connection.use_time 2
             db.client.connection.count{idle} -1
             mysql|postgresql: txn.begin.duration 1
             mysql|postgresql: txn.rollbacks{outcome} 1
             mysql|postgresql: txn.scope.duration{one root rolled_back end} 1
             sqlite: txn.scope.duration{one root failed beginning} 1
             sqlite: txn.settle.duration{clean} 1
             txn.sessions.closed{read_only} 1",
        ),
        row(
            "in autocommit mode",
            async |place| {
                let_it_only_read(place).await;
                let insert = "INSERT INTO t (id, n) VALUES (1, 0)";
                place.db.execute(insert).await.unwrap_err();
            },
            "db.client.connection.wait_time 2
             db.client.connection.use_time 2
             db.client.connection.count{idle} -1
             txn.sessions.closed{read_only} 1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn of_a_session_whose_server_does_not_answer_any_more() {
    if DB::SYSTEM == "sqlite" {
        return; // Its server is a thread of this process.
    }
    check([
        row(
            "that does not answer any more",
            async |place| {
                let mut tx = place.db.begin().await.unwrap();
                insert(&mut tx, 1).await.unwrap();
                let proxy = place.proxy.as_ref().unwrap();
                proxy.stall();
                drop(tx);
                place.db.settled().await;
                proxy.release();
            },
            "db.client.connection.wait_time 1
             db.client.connection.use_time 1
             db.client.connection.count{idle} -1
             txn.begin.duration 1
             txn.rollbacks{dropped} 1
             txn.sessions.closed{unsettled} 1
             txn.settle.duration{timed_out} 1
             txn.scope.duration{a transaction begun by hand root dropped body} 1",
        )
        .with(|builder| builder.settle_timeout(Duration::from_millis(500))),
    ])
    .await;
}

#[tokio::test]
async fn of_a_session_that_cannot_be_opened() {
    check([row(
        "a database that is not there",
        async |place| {
            let url = place.fixture.url();
            let name = &place.fixture.place().name;
            let url = match DB::SYSTEM {
                "mysql" => url.replace(name, "missing"),
                "postgresql" => format!("{url}&dbname=missing"),
                _ => "sqlite:///missing/missing.db".to_owned(),
            };
            Db::<DB>::connect(&url).await.unwrap_err();
        },
        "txn.sessions.refused 1",
    )])
    .await;
}
