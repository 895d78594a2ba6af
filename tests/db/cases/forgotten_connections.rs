//! A firewall or the like has forgotten idle connections: they swallow all that is sent, while the
//! server is fine.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Executor;
use tokio::time::{sleep, timeout};
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, connect, insert};
use crate::support::observer::until;
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

/// This is more than can be tried one after the other.
const SESSIONS: usize = 20;
const ACQUIRE: Duration = Duration::from_secs(20);

/// A handle all of whose sessions are forgotten on the way.
async fn forgotten() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let builder = Db::builder(options).max_sessions(SESSIONS).acquire_timeout(ACQUIRE);
    let db = builder.connect().await.unwrap();
    let open = join_all((0..SESSIONS).map(|_| db.session())).await;
    assert!(open.iter().all(Result::is_ok));
    drop(open);
    assert_eq!(db.status().idle, SESSIONS);
    // The sessions must lie there for so long that they are checked.
    sleep(Duration::from_millis(1_100)).await;
    proxy.forget();
    (fixture, proxy, db)
}

#[transactional(timeout = "15s")]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[tokio::test]
async fn a_transaction_gets_a_new_session_well_within_the_acquire_timeout() {
    let (fixture, _proxy, db) = forgotten().await;
    let mut tx = timeout(ACQUIRE / 2, db.begin()).await.expect("waited too long").unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fixture.ids().await, [1]);
    assert_eq!((db.status().open, db.status().idle), (1, 1), "the others are no better");
}

#[tokio::test]
async fn a_scope_with_a_timeout_gets_a_new_session_within_its_time() {
    let (fixture, _proxy, db) = forgotten().await;
    timeout(ACQUIRE / 2, write(&db, 1)).await.expect("waited too long").unwrap();
    assert_eq!(fixture.ids().await, [1]);
}

#[tokio::test]
async fn a_statement_of_the_handle_gets_a_new_session_well_within_the_acquire_timeout() {
    let (fixture, _proxy, db) = forgotten().await;
    let executed = db.execute("INSERT INTO t (id, n) VALUES (1, 0)");
    timeout(ACQUIRE / 2, executed).await.expect("waited too long").unwrap();
    assert_eq!(fixture.ids().await, [1]);
}

#[tokio::test]
async fn a_session_and_a_sandbox_are_new_ones() {
    let (_fixture, _proxy, db) = forgotten().await;
    let session = timeout(ACQUIRE / 2, db.session()).await.expect("waited too long");
    drop(session.unwrap());
    let (_fixture, _proxy, db) = forgotten().await;
    let sandbox = timeout(ACQUIRE / 2, db.sandbox()).await.expect("waited too long");
    sandbox.unwrap().close().await;
}

#[tokio::test]
async fn a_check_answers_in_its_time() {
    let (_fixture, _proxy, db) = forgotten().await;
    // On a busy machine the time that is left may be too short to connect.
    until("a check succeeds", async || db.check().await.is_ok()).await;
}

/// The limit also holds where the server itself is silent.
#[tokio::test]
async fn nobody_waits_beyond_the_acquire_timeout() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let limit = Duration::from_millis(400);
    let db = connect::<DB>(&options, |builder| {
        builder.max_sessions(2).acquire_timeout(limit).settle_timeout(ACQUIRE * 2)
    })
    .await;
    sleep(Duration::from_millis(1_100)).await;
    proxy.stall();
    let begun = timeout(ACQUIRE, db.begin()).await.expect("waited for the cleanup");
    assert!(begun.unwrap_err().is_acquire_timeout());
    let executed = timeout(ACQUIRE, db.execute("SELECT 1")).await;
    executed.expect("waited for the cleanup").unwrap_err();
}
