//! The texts of transactions that have met another one.

use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::Barrier;
use tokio::time::sleep;
use txn::{Db, Error, Tx, transactional};

use super::*;
use crate::support::observer::Observed;

pub(super) async fn all(seen: &mut Seen) {
    retried(seen).await;
    deadlock(seen).await;
    overtaken(seen).await;
    deferred(seen).await;
    a_lock(seen).await;
    locked(seen).await;
}

#[transactional(name = "bank.transfer", retry = 2)]
async fn conflicting(tx: &mut Tx<DB>, conflict: &str) -> Result<(), Error> {
    tx.execute(AssertSqlSafe(conflict.to_owned())).await.unwrap_err();
    Ok(())
}

async fn retried(seen: &mut Seen) {
    let Some(conflict) = DB::CONFLICT else { return };
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&conflicting(&*db, conflict).await.unwrap_err());
}

async fn bump(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    let sql = format!("UPDATE t SET n = n + 1 WHERE id = {id}");
    tx.execute(AssertSqlSafe(sql)).await.map(drop)
}

#[transactional]
async fn cross(tx: &mut Tx<DB>, first: i64, second: i64, both: &Barrier) -> Result<(), Error> {
    bump(tx, first).await?;
    both.wait().await;
    Ok(bump(tx, second).await?)
}

async fn deadlock(seen: &mut Seen) {
    if DB::ONE_WRITER {
        return; // no two writers, no deadlock
    }
    let db = Fixture::<DB>::of_sessions(2).await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0), (2, 0)").await.unwrap();
    let both = Barrier::new(2);
    let (a, b) = tokio::join!(cross(&*db, 1, 2, &both), cross(&*db, 2, 1, &both));
    let error = a.and(b).unwrap_err();
    assert!(error.is_deadlock(), "{error}");
    seen.note(&error);
}

#[transactional(isolation = serializable)]
async fn slower(tx: &mut Tx<DB>, others: &Db<DB>) -> Result<(), Error> {
    number(tx, "SELECT n FROM t").await?;
    others.autocommit().execute("UPDATE t SET n = n + 1").await?;
    Ok(bump(tx, 1).await?)
}

async fn overtaken(seen: &mut Seen) {
    if !DB::FAILURE_ABORTS {
        return; // MySQL locks what it reads, SQLite has one writer
    }
    let db = Fixture::<DB>::of_sessions(2).await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
    let error = slower(&*db, &db).await.unwrap_err();
    assert!(error.is_serialization_failure(), "{error}");
    seen.note(&error);
}

#[transactional(name = "bank.transfer")]
async fn orphan(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute("INSERT INTO child (t) VALUES (99)").await?;
    Ok(())
}

/// The server refuses the COMMIT.
async fn deferred(seen: &mut Seen) {
    if DB::ENDS_BY_ITSELF {
        return; // InnoDB defers no constraint
    }
    let db = Fixture::<DB>::of_sessions(1).await;
    db.execute("CREATE TABLE child (t BIGINT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
        .await
        .unwrap();
    seen.note(&orphan(&*db).await.unwrap_err());
}

#[transactional(name = "bank.transfer")]
async fn same_row(tx: &mut Tx<DB>) -> Result<(), Error> {
    number(tx, "SELECT COUNT(*) FROM t").await?;
    Ok(insert(tx, 1).await?)
}

async fn a_lock(seen: &mut Seen) {
    if DB::ONE_WRITER {
        return; // it would wait for its turn
    }
    let db = Fixture::<DB>::of_sessions(2).await;
    let holder = holding(&db).await;
    let mut waiting = Box::pin(same_row(&*db));
    until("one waits for the other", async || {
        assert!(is_pending(&mut waiting).await);
        // MariaDB answers from a copy, which is renewed when nobody asks for a while.
        sleep(Duration::from_millis(120)).await;
        let scopes = db.scopes().await;
        let waits = scopes.iter().find(|scope| scope.to_string().contains("a lock"));
        waits.inspect(|scope| seen.note(scope)).is_some()
    })
    .await;
    drop(waiting);
    drop(holder);
    db.assert_at_rest().await;
}

/// The lock is held as if by another process.
async fn locked(seen: &mut Seen) {
    if !DB::ONE_WRITER {
        return;
    }
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut stranger = DB::observer(db.place()).await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    seen.note(&transfer(&*db, 1).await.unwrap_err());
}
