//! The server dies under load and comes back: neither a session nor an acknowledged commit is lost,
//! and service resumes without a restart of the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::Executor;
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::timeout;
use txn::{Db, Error, Tx, transactional};

use super::{DB, insert, patient};
use crate::support::drop_points::poll_at_most;
use crate::support::observer::{PATIENCE, until};
use crate::support::server_engine::ServerEngine;

const SESSIONS: usize = 4;

#[transactional]
async fn pair(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, 2 * id).await?;
    yield_now().await;
    insert(tx, 2 * id + 1).await?;
    Ok(())
}

#[derive(Default)]
struct Load {
    next: AtomicI64,
    committed: AtomicUsize,
    failed: AtomicUsize,
    over: AtomicBool,
}

/// Writes pairs until the load is over, and drops a third of the writers. Returns the acknowledged
/// pairs.
async fn work(db: Db<DB>, load: Arc<Load>) -> Vec<i64> {
    let mut acknowledged = Vec::new();
    while !load.over.load(Ordering::Relaxed) {
        let id = load.next.fetch_add(1, Ordering::Relaxed);
        let polls = match id % 3 {
            0 => 1 + usize::try_from(id).unwrap() / 3 % 8,
            _ => usize::MAX,
        };
        match poll_at_most(polls, Box::pin(pair(&db, id))).await {
            Some(Ok(())) => {
                acknowledged.push(id);
                load.committed.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(error)) => {
                let expected =
                    error.is_connection() || error.is_aborted() || error.is_commit_unknown();
                assert!(expected, "{error}");
                load.failed.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
        yield_now().await;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cascading_failure() {
    let mut server = DB::server().durable(true).start().unwrap();
    let db = patient::<DB>(server.url().parse().unwrap())
        .max_sessions(SESSIONS)
        .settle_timeout(Duration::from_secs(2));
    let db = db.connect().await.unwrap();
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)")
        .await
        .unwrap();
    let load = Arc::new(Load::default());
    let mut workers = JoinSet::new();
    for _ in 0..2 * SESSIONS {
        workers.spawn(work(db.clone(), Arc::clone(&load)));
    }
    for _ in 0..2 {
        let before = load.committed.load(Ordering::Relaxed);
        until("there is load", async || load.committed.load(Ordering::Relaxed) > before + 50).await;
        let failed = load.failed.load(Ordering::Relaxed);
        server = spawn_blocking(move || {
            server.crash().unwrap();
            server
        })
        .await
        .unwrap();
        until("callers are told", async || load.failed.load(Ordering::Relaxed) > failed).await;
        server = spawn_blocking(move || {
            server.start().unwrap();
            server
        })
        .await
        .unwrap();
    }
    let before = load.committed.load(Ordering::Relaxed);
    until("service has resumed", async || load.committed.load(Ordering::Relaxed) > before + 50)
        .await;
    load.over.store(true, Ordering::Relaxed);
    let acknowledged: Vec<i64> = workers.join_all().await.concat();

    timeout(PATIENCE, db.settled()).await.unwrap();
    let status = db.status();
    let pending = (status.in_use, status.settling, status.waiting);
    assert_eq!(pending, (0, 0, 0), "{status:?}");
    let mut all = Vec::new();
    for _ in 0..SESSIONS {
        all.push(db.session().await.unwrap());
    }
    drop(all);
    let rows = db.fetch_all("SELECT id FROM t ORDER BY id").await.unwrap();
    let written: Vec<i64> =
        rows.iter().map(<DB as crate::support::engine::TestEngine>::number).collect();
    assert!(written.chunks(2).all(|both| both.len() == 2 && both[0] + 1 == both[1]));
    for id in acknowledged {
        assert!(written.binary_search(&(2 * id)).is_ok(), "{id} was acknowledged and is lost");
    }
}
