//! Sessions were opened while the server only read, and live on to when it takes writes again.

use std::collections::BTreeSet;

use sqlx::Executor;
use txn::{Db, Error, Tx, transactional};
use txn_test_servers::Server;

use super::{DB, TestEngine, insert, number, patient};
use crate::support::server_engine::ServerEngine;

const SESSIONS: usize = 3;
const COUNT: &str = "SELECT COUNT(*) FROM t";

/// A server that can be told to only read, and a handle on it whose sessions were all opened
/// meanwhile.
struct Reader {
    db: Db<DB>,
    admin: Db<DB>,
    _server: Server,
}

impl Reader {
    async fn new() -> Self {
        let server = DB::server().start().unwrap();
        let admin = Db::<DB>::builder(server.url().parse().unwrap());
        let admin = admin.max_sessions(1).connect().await.unwrap();
        let create = "CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)";
        admin.execute(create).await.unwrap();
        admin.execute(DB::ONLY_READ[0]).await.unwrap();
        let db = patient::<DB>(server.url().parse().unwrap());
        let db = db.max_sessions(SESSIONS).connect().await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(db.session().await.unwrap());
        }
        drop(sessions);
        Self { db, admin, _server: server }
    }

    /// Lets the server take writes again.
    async fn write(&self) {
        self.admin.execute(DB::ONLY_READ[1]).await.unwrap();
    }

    async fn rows(&self) -> i64 {
        let row = self.admin.fetch_one(COUNT).await.unwrap();
        DB::number(&row)
    }

    /// Asks until everything is written that was asked for, and returns how often it was refused.
    async fn refusals(&self, mut write: impl AsyncFnMut(i64) -> Result<(), Error>) -> usize {
        let mut refused = 0;
        for id in 0..10 {
            while let Err(error) = write(id).await {
                assert!(DB::READ_ONLY_CODES.contains(&error.code().unwrap().as_ref()), "{error}");
                refused += 1;
                assert!(refused <= SESSIONS, "one for each session at most");
            }
        }
        assert_eq!(self.rows().await, 10);
        self.admin.execute("DELETE FROM t").await.unwrap();
        refused
    }
}

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn write_nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    nested(tx, id).await
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    write(tx, id).await
}

#[transactional(read_only)]
async fn write_though_read_only(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn each_refuses_one_scope_at_most_when_the_server_takes_writes_again() {
    let reader = Reader::new().await;
    reader.write().await;
    let refused = reader.refusals(async |id| write(&reader.db, id).await).await;
    assert!(refused > 0, "the sessions only read");
    let refused = reader.refusals(async |id| write_nested(&reader.db, id).await).await;
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn so_it_is_inside_of_nested_scopes() {
    let reader = Reader::new().await;
    reader.write().await;
    let write = async |id| write_nested(&reader.db, id).await;
    assert!(reader.refusals(write).await > 0);
}

#[tokio::test]
async fn and_with_statements_on_the_handle_and_on_sessions() {
    for on_handle in [true, false] {
        let reader = Reader::new().await;
        reader.write().await;
        let write = async |id: i64| {
            let sql = sqlx::AssertSqlSafe(format!("INSERT INTO t (id, n) VALUES ({id}, 0)"));
            match on_handle {
                true => reader.db.execute(sql).await?,
                false => reader.db.session().await?.execute(sql).await?,
            };
            Ok(())
        };
        assert!(reader.refusals(write).await > 0);
    }
}

#[tokio::test]
async fn and_with_a_transaction_by_hand_that_is_dropped() {
    let reader = Reader::new().await;
    reader.write().await;
    for _ in 0..SESSIONS {
        let mut tx = reader.db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap_err();
        drop(tx);
        reader.db.settled().await;
    }
    assert_eq!(reader.refusals(async |id| write(&reader.db, id).await).await, 0);
}

#[tokio::test]
async fn and_with_a_sandbox() {
    let reader = Reader::new().await;
    reader.write().await;
    for _ in 0..SESSIONS {
        let sandbox = reader.db.sandbox().await.unwrap();
        write(&sandbox, 1).await.unwrap_err();
        sandbox.close().await;
    }
    assert_eq!(reader.refusals(async |id| write(&reader.db, id).await).await, 0);
}

/// The scope has asked to only read.
#[tokio::test]
async fn a_scope_that_is_read_only_itself_costs_no_session() {
    let reader = Reader::new().await;
    reader.write().await;
    let reads = async || {
        let mut tx = reader.db.begin().await.unwrap();
        number(&mut tx, DB::BACKEND).await.unwrap()
    };
    let before = reads().await;
    reader.db.settled().await;
    for _ in 0..4 {
        write_though_read_only(&reader.db).await.unwrap_err();
    }
    assert_eq!(reads().await, before);
    reader.db.settled().await;
    assert_eq!(reader.db.status().open, SESSIONS);
}

#[tokio::test]
async fn a_check_that_writes_tells_and_replaces_them() {
    let reader = Reader::new().await;
    reader.db.check().await.unwrap();
    for _ in 0..2 {
        let error = reader.db.check_writable().await.unwrap_err();
        assert!(!error.is_connection(), "{error}");
        assert!(error.to_string().contains("read"), "{error}");
    }
    reader.write().await;
    reader.db.check_writable().await.unwrap();
    assert_eq!(reader.refusals(async |id| write(&reader.db, id).await).await, 0);
}

/// The caller finds a session in the pool, or opens a connection of its own.
#[tokio::test]
async fn it_leaves_nothing_behind() {
    let reader = Reader::new().await;
    reader.write().await;
    let tables = async || {
        let rows = reader.admin.fetch_all(DB::TABLES).await.unwrap();
        rows.len()
    };
    let before = tables().await;
    for _ in 0..3 {
        reader.db.check_writable().await.unwrap();
        let mut backends = BTreeSet::new();
        let mut held = Vec::new();
        for _ in 0..SESSIONS {
            let mut session = reader.db.session().await.unwrap();
            let row = session.fetch_one(DB::BACKEND).await.unwrap();
            backends.insert(DB::number(&row));
            held.push(session);
        }
        assert_eq!(backends.len(), SESSIONS);
        reader.db.check_writable().await.unwrap();
        drop(held);
    }
    assert_eq!(tables().await, before);
    for _ in 0..SESSIONS {
        assert_eq!(reader.refusals(async |id| write(&reader.db, id).await).await, 0);
    }
    assert_eq!(reader.db.status().in_use, 0);
}
