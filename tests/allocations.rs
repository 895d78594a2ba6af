//! The allocations of a scope on the client are compared with those of the driver's bare calls, so
//! that no change makes them worse unseen.
//!
//! This is a binary of its own, because the counter is the process's allocator.

#![cfg(feature = "postgres")]
#![allow(missing_docs, reason = "a test says what it is about by its name")]

use std::future::poll_fn;
use std::pin::pin;

use allocation_counter::measure;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Builder;
use txn::{Db, Error, Postgres, Tx, transactional};
use txn_test_servers::shared_postgres_url;

const ROUNDS: u64 = 100;
/// The allocations that a root scope saves over the driver's bare calls: it runs its BEGIN and its
/// COMMIT in cheaper ways.
const FEWER: u64 = 10;
/// The allocations of a nested scope: the driver's own for one query, the box of the future, and
/// the scope's own.
const NESTED: u64 = 9;
/// The allocations of a transaction that is dropped and settled.
const DROPPED: u64 = 12;
/// The size of the future of a scope, in bytes.
const SIZE: usize = 1_200;

/// The allocations that polling a future makes in this thread, which its runtime has to itself.
async fn allocations<F: Future>(future: F) -> u64 {
    let mut future = pin!(future);
    let mut total = 0;
    poll_fn(|cx| {
        let mut poll = None;
        total += measure(|| poll = Some(future.as_mut().poll(cx))).count_total;
        poll.expect("it was polled")
    })
    .await;
    total
}

#[transactional]
async fn scope(tx: &mut Tx<Postgres>, joins: u32) -> Result<(), Error> {
    for _ in 0..joins {
        joined(tx).await?;
    }
    Ok(())
}

#[transactional]
async fn joined(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

async fn bare(connection: &mut PgConnection) {
    connection.execute("BEGIN").await.unwrap();
    let commit = connection.execute("SAVEPOINT txn_end; COMMIT").await;
    commit.unwrap();
}

/// A handle with one session, and a connection of the driver alone.
async fn connect() -> (Db<Postgres>, PgConnection) {
    let url = shared_postgres_url();
    let db = Db::<Postgres>::builder(url.parse().unwrap());
    let db = db.max_sessions(1).connect().await.unwrap();
    (db, PgConnection::connect(url).await.unwrap())
}

#[tokio::test]
async fn a_scope_allocates_little_and_a_joined_one_nothing() {
    let (db, mut connection) = connect().await;
    let (mut driver, mut root, mut with_joined) = (0, 0, 0);
    for warm in [false, true] {
        for _ in 0..ROUNDS {
            let counts = [
                allocations(bare(&mut connection)).await,
                allocations(async { scope(&db, 0).await.unwrap() }).await,
                allocations(async { scope(&db, 10).await.unwrap() }).await,
            ];
            if warm {
                driver += counts[0];
                root += counts[1];
                with_joined += counts[2];
            }
        }
    }
    println!("{ROUNDS} rounds: driver {driver}, root scope {root}, with ten joined {with_joined}");
    assert!(
        root + FEWER * ROUNDS <= driver + ROUNDS / 10,
        "{root} against {driver}"
    );
    // The driver's buffers grow now and then, with and without txn.
    assert!(
        with_joined <= root + ROUNDS / 10,
        "{with_joined} against {root}"
    );
}

#[transactional(nested)]
async fn nested(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

#[transactional]
async fn ten_nested(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    for _ in 0..10 {
        nested(tx).await?;
    }
    Ok(())
}

async fn dropped(db: &Db<Postgres>) -> Result<(), Error> {
    drop(db.begin().await?);
    db.settled().await;
    Ok(())
}

/// A statement of the handle takes a session, and spawns nothing.
#[tokio::test]
async fn a_statement_of_the_handle_allocates_no_more_than_one_of_the_driver() {
    let (db, mut connection) = connect().await;
    let (mut driver, mut handle) = (0, 0);
    for warm in [false, true] {
        for _ in 0..ROUNDS {
            let of_driver = allocations(async { connection.execute("SELECT 1").await.unwrap() });
            let of_driver = of_driver.await;
            let of_handle = allocations(async { (&db).execute("SELECT 1").await.unwrap() }).await;
            if warm {
                driver += of_driver;
                handle += of_handle;
            }
        }
    }
    println!("{ROUNDS} rounds: driver {driver}, handle {handle}");
    assert!(handle <= driver + ROUNDS / 10, "{handle} against {driver}");
}

type Path<'a> = BoxFuture<'a, Result<(), Error>>;

/// Everything that the runtime does is counted, because a background task settles the session.
#[test]
fn a_nested_and_a_dropped_scope_allocate_no_more_than_they_did() {
    let url = shared_postgres_url();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let connect = Db::<Postgres>::builder(url.parse().unwrap()).max_sessions(1);
    let db = runtime.block_on(connect.connect()).unwrap();
    let count = |path: fn(&Db<Postgres>) -> Path<'_>| {
        let all = async {
            for _ in 0..ROUNDS {
                path(&db).await.unwrap();
            }
        };
        measure(|| runtime.block_on(all)).count_total / ROUNDS
    };
    let paths: [fn(&Db<Postgres>) -> Path<'_>; 3] = [
        |db| scope(db, 0).boxed(),
        |db| ten_nested(db).boxed(),
        |db| dropped(db).boxed(),
    ];
    for path in paths {
        count(path); // This warms all caches.
    }
    let [root, with_nested, dropped] = paths.map(count);
    let nested = (with_nested - root) / 10;
    println!("nested {nested}, dropped and settled {dropped}, committed {root}");
    assert!(nested <= NESTED, "{nested}");
    assert!(dropped <= DROPPED, "{dropped}");
}

#[transactional(timeout = "1s")]
async fn limited(_tx: &mut Tx<Postgres>) -> Result<(), Error> {
    Ok(())
}

#[transactional]
async fn two_deep(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    joined(tx).await
}

#[transactional]
async fn four_deep(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    three_deep(tx).await
}

#[transactional]
async fn three_deep(tx: &mut Tx<Postgres>) -> Result<(), Error> {
    two_deep(tx).await
}

/// Futures are kept on the stack or in a task; what they hold of the runtime must not grow unseen.
#[tokio::test]
async fn the_future_of_a_scope_is_small() {
    let db = Db::<Postgres>::connect(shared_postgres_url())
        .await
        .unwrap();
    let sizes = [
        size_of_val(&scope(&db, 0)),
        size_of_val(&four_deep(&db)),
        size_of_val(&limited(&db)),
    ];
    println!("root, four deep, with a timeout: {sizes:?} bytes");
    assert!(sizes.iter().all(|size| *size <= SIZE), "{sizes:?}");
}
