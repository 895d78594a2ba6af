//! Many callers of one handle at a time: none is lost, and none sees half of what another writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert, number};

/// A time that no test reaches.
const NEVER: Duration = Duration::from_secs(3600);

#[transactional]
async fn pair(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, 2 * id).await?;
    insert(tx, 2 * id + 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thundering_herd() {
    const CALLERS: i64 = 1_000;
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(8).acquire_timeout(NEVER)).await;
    let start = Arc::new(tokio::sync::Barrier::new(CALLERS.try_into().unwrap()));
    let mut callers = JoinSet::new();
    for id in 0..CALLERS {
        let (db, start) = (Db::clone(&db), Arc::clone(&start));
        callers.spawn(async move {
            start.wait().await;
            pair(&db, id).await
        });
    }
    for called in callers.join_all().await {
        called.unwrap();
    }
    db.assert_at_rest().await;
    assert_eq!(db.ids().await, (0..2 * CALLERS).collect::<Vec<_>>());
}

/// The abort and the end of the scope meet at a different moment each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn races_between_drop_and_completion() {
    const ROUNDS: i64 = 600;
    let db = Fixture::<DB>::of_sessions(3).await;
    let mut acknowledged = Vec::new();
    for id in 0..ROUNDS {
        let source = Db::clone(&db);
        let scope = tokio::spawn(async move { pair(&source, id).await });
        for _ in 0..id % 60 * 4 {
            yield_now().await;
        }
        scope.abort();
        match scope.await {
            Ok(result) => {
                result.unwrap();
                acknowledged.push(id);
            }
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                // Connections that were given up would pile up at the server.
                drop(db.session().await.unwrap());
            }
        }
    }
    db.assert_at_rest().await;
    let written = db.ids().await;
    for both in written.chunks(2) {
        assert_eq!(both[0] / 2, both[1] / 2, "half of a scope");
        assert_eq!(both.len(), 2, "half of a scope");
    }
    for id in acknowledged {
        assert!(written.binary_search(&(2 * id)).is_ok(), "{id} is lost");
    }
}

/// A reader never sees half of a writer's pair, be the writer dropped or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaved_reads_and_writes() {
    #[transactional]
    async fn half_then_wait(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
        insert(tx, 2 * id).await?;
        yield_now().await;
        insert(tx, 2 * id + 1).await?;
        match id % 2 {
            0 => Ok(()),
            _ => Err(sqlx::Error::RowNotFound.into()),
        }
    }
    #[transactional(read_only)]
    async fn count(tx: &mut Tx<DB>) -> Result<i64, Error> {
        Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
    }
    let db = Fixture::<DB>::of_sessions(4).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (db, done) = (Db::clone(&db), Arc::clone(&done));
        readers.spawn(async move {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                let rows = count(&db).await.unwrap();
                assert!(rows % 2 == 0 && rows >= last, "{rows} after {last}");
                last = rows;
            }
        });
    }
    let mut writers = JoinSet::new();
    for writer in 0..2 {
        let db = Db::clone(&db);
        writers.spawn(async move {
            for n in 0..100 {
                let ended = half_then_wait(&db, 2 * n + writer).await;
                assert_eq!(ended.is_ok(), writer == 0);
            }
        });
    }
    writers.join_all().await;
    done.store(true, Ordering::Relaxed);
    readers.join_all().await;
    db.assert_at_rest().await;
    assert_eq!(db.ids().await.len(), 200);
}
