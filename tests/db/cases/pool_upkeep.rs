//! A pool shrinks by itself, and keeps what is in use.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::runtime::Handle;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine};
use crate::support::observer::{Observed, until};

const SOON: Duration = Duration::from_millis(50);
const BURST: usize = 5;

async fn burst(db: &Db<DB>) {
    let mut sessions = Vec::new();
    for _ in 0..BURST {
        sessions.push(db.session().await.unwrap());
    }
}

#[transactional(read_only)]
async fn which(tx: &mut Tx<DB>) -> Result<String, Error> {
    // The number of the session is in its `Debug` text.
    Ok(format!("{:?}", tx.db().scopes().await[0].session))
}

/// Nobody takes a session meanwhile.
#[tokio::test]
async fn sessions_that_lie_idle_are_closed_by_themselves() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(BURST).idle_timeout(SOON)).await;
    for _ in 0..2 {
        burst(&db).await;
        until("the pool is empty", async || db.status().open == 0).await;
    }
    db.assert_at_rest().await;
}

#[tokio::test]
async fn so_are_those_that_are_too_old() {
    let limits = |builder: txn::DbBuilder<DB>| {
        builder.max_sessions(BURST).idle_timeout(None).max_lifetime(SOON)
    };
    let db = Fixture::<DB>::with(limits).await;
    burst(&db).await;
    until("the pool is empty", async || db.status().open == 0).await;
    // A session that is in use is not closed until it is back.
    let session = db.session().await.unwrap();
    tokio::time::sleep(2 * SOON).await;
    db.assert_sessions(1, 0, 1, 0);
    drop(session);
    until("it is closed", async || db.status().open == 0).await;
}

/// The server has heard of the end of the session.
#[tokio::test]
async fn their_connections_are_gone() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(BURST).idle_timeout(SOON)).await;
    burst(&db).await;
    let mut observer = DB::observer(db.place()).await;
    // The observer is seen where it has opened the same file.
    let observers = usize::from(<DB as TestEngine>::ONE_WRITER);
    until("they are gone", async || {
        db.status().open == 0 && DB::connected(&mut observer, db.place()).await <= observers
    })
    .await;
}

/// The session that was used last is used next, so that the others are idle.
#[tokio::test]
async fn after_a_burst_one_caller_is_served_by_one_session() {
    let db = Fixture::<DB>::of_sessions(BURST).await;
    burst(&db).await;
    assert_eq!(db.status().open, BURST);
    let mut served = BTreeSet::new();
    for _ in 0..20 {
        served.insert(which(&*db).await.unwrap());
    }
    assert_eq!(served.len(), 1, "{served:?}");
}

#[tokio::test]
async fn and_the_pool_shrinks_to_that_one_though_it_is_in_use_all_the_time() {
    let idle = Duration::from_millis(300);
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(BURST).idle_timeout(idle)).await;
    burst(&db).await;
    until("one is left", async || {
        which(&*db).await.unwrap();
        db.status().open == 1
    })
    .await;
}

#[tokio::test]
async fn a_handle_that_is_dropped_or_closed_leaves_no_task_behind() {
    let place = Fixture::<DB>::of_sessions(1).await;
    place.close().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    until("those of the place are gone", async || tasks() == 0).await;
    for closes in [false, true] {
        let db = Db::<DB>::builder(place.url().parse().unwrap()).connect().await.unwrap();
        assert!(tasks() > 0);
        if closes {
            db.close().await;
        }
        drop(db);
        until("its tasks are gone", async || tasks() == 0).await;
    }
}

/// The pool cannot shrink, because the database would be gone with its session.
#[tokio::test]
async fn a_database_in_memory_stays() {
    let Some(url) = <DB as TestEngine>::ONE_WRITER.then_some("sqlite::memory:") else { return };
    let db = Db::<DB>::builder(url.parse().unwrap());
    let db = db.idle_timeout(SOON).max_lifetime(SOON).connect().await.unwrap();
    tokio::time::sleep(3 * SOON).await;
    assert_eq!(db.status().open, 1);
}
