//! A query is dropped while it runs: plain sqlx 0.9 lets it run on, and its transaction keeps its
//! locks, which is shown beside the same program with txn.
//!
//! The query waits for an advisory lock, so that it runs for exactly as long as the test wants. The
//! lock is named after the table, which each test has for itself in a database that all share.
//! Should sqlx end the query, its half of the test fails and says so.

use sqlx::{Connection, Executor, PgConnection, PgPool};
use tokio::select;
use tokio::time::timeout;
use txn::{Db, Error, Postgres, Session, Tx, transactional};

use super::{Fixture, insert};
use crate::support::observer::{PATIENCE, until};

const INSERT: &str = "INSERT INTO t (id, n) VALUES (1, 0)";
const TAKE: &str = "SELECT pg_advisory_lock('t'::regclass::oid::bigint)";
const GIVE: &str = "SELECT pg_advisory_unlock('t'::regclass::oid::bigint)";
const WAIT: &str = "SELECT pg_advisory_xact_lock('t'::regclass::oid::bigint)";
const WAITING: &str = "SELECT COUNT(*) FROM pg_locks \
     WHERE locktype = 'advisory' AND NOT granted AND objid = 't'::regclass";

/// A database, and a session that has the lock which the query is going to wait for.
async fn with_the_lock_taken() -> (Fixture<Postgres>, Session<Postgres>) {
    let db = Fixture::<Postgres>::new().await;
    let mut holder = db.session().await.unwrap();
    holder.execute(TAKE).await.unwrap();
    (db, holder)
}

async fn drop_once_it_runs(db: &Db<Postgres>, query: impl Future) {
    let runs = until("the query waits for the lock", async || {
        let waiting = sqlx::query_scalar::<_, i64>(WAITING).fetch_one(db);
        waiting.await.unwrap() == 1
    });
    select! {
        _ = query => panic!("it has got the lock"),
        () = runs => {}
    }
}

#[tokio::test]
async fn plain_sqlx_keeps_the_locks_of_a_dropped_query_until_it_ends() {
    let (db, mut holder) = with_the_lock_taken().await;
    let pool = PgPool::connect(db.url()).await.unwrap();
    let query = async {
        let mut tx = pool.begin().await.unwrap();
        tx.execute(INSERT).await.unwrap();
        tx.execute(WAIT).await.unwrap();
    };
    drop_once_it_runs(&db, query).await;

    let mut other = PgConnection::connect(db.url()).await.unwrap();
    other.execute("SET lock_timeout = '250ms'").await.unwrap();
    let refused = other.execute(INSERT).await;
    let error = Error::from(refused.expect_err("sqlx no longer keeps it: say so in the README"));
    assert_eq!(error.code().as_deref(), Some("55P03"), "{error}");

    holder.execute(GIVE).await.unwrap();
    pool.close().await;
}

#[transactional]
async fn insert_and_wait(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    insert(tx, 1).await?;
    tx.execute(WAIT).await?;
    Ok(())
}

#[tokio::test]
async fn the_locks_of_a_dropped_query_are_free_while_it_would_still_run() {
    let (db, holder) = with_the_lock_taken().await;
    drop_once_it_runs(&db, insert_and_wait(&*db)).await;

    let mut tx = db.begin().await.unwrap();
    let inserted = timeout(PATIENCE, insert(&mut tx, 1)).await;
    inserted.expect("the lock is free").unwrap();
    tx.rollback().await.unwrap();
    drop(holder);
    db.assert_at_rest().await;
}
