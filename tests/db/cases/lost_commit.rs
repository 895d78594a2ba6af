//! The answer to a COMMIT is lost, whether it took effect or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use txn::{Db, Error, Postgres, Tx};
use txn_test_servers::Server;

use super::{Fixture, insert, patient};
use crate::support::observer::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

async fn by_proxy(verify: bool) -> (Fixture<Postgres>, Proxy, Db<Postgres>) {
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let builder = patient(options).verify_commits(verify);
    let db = builder.connect().await.unwrap();
    (fixture, proxy, db)
}

/// The COMMIT does not arrive.
async fn commit_cut_before(proxy: &Proxy, tx: Tx<Postgres>) -> Result<(), Error> {
    proxy.cut_at("COMMIT");
    let result = tx.commit().await;
    proxy.release();
    result
}

/// The COMMIT arrives and takes effect; its answer does not come back.
async fn commit_cut_after(proxy: &Proxy, tx: Tx<Postgres>) -> Result<(), Error> {
    proxy.hold_answer_to("COMMIT");
    let cut = async {
        proxy.holding().await;
        proxy.cut();
    };
    let (result, ()) = tokio::join!(tx.commit(), cut);
    proxy.release();
    result
}

/// The server is not held to be done with a COMMIT when the connection that it came over is cut.
async fn until_there(fixture: &Fixture<Postgres>, id: i64) {
    let there = async { while !fixture.ids().await.contains(&id) {} };
    tokio::time::timeout(PATIENCE, there).await.unwrap();
}

/// The hooks that ran.
#[derive(Clone, Default)]
struct Ran {
    committed: Arc<AtomicUsize>,
    undone: Arc<AtomicUsize>,
    unknown: Arc<AtomicUsize>,
}

impl Ran {
    fn watch(&self, tx: &mut Tx<Postgres>) {
        let (committed, ran) = (self.committed.clone(), self.clone());
        tx.after_commit(async move {
            committed.fetch_add(1, Ordering::Relaxed);
        });
        tx.after_rollback(move |cause| async move {
            let count = if cause.is_unknown() { &ran.unknown } else { &ran.undone };
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn counts(&self) -> [usize; 3] {
        [&self.committed, &self.undone, &self.unknown].map(|count| count.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn without_verification_the_fate_of_the_commit_is_unknown() {
    let (fixture, proxy, db) = by_proxy(false).await;
    for (id, arrives) in [(1, false), (2, true)] {
        let ran = Ran::default();
        let mut tx = db.begin().await.unwrap();
        ran.watch(&mut tx);
        insert(&mut tx, id).await.unwrap();
        let error = match arrives {
            true => commit_cut_after(&proxy, tx).await.unwrap_err(),
            false => commit_cut_before(&proxy, tx).await.unwrap_err(),
        };
        assert!(error.is_commit_unknown() && !error.is_retryable(), "{error}");
        assert_eq!(ran.counts(), [0, 0, 1]);
        match arrives {
            true => until_there(&fixture, id).await,
            false => assert!(fixture.ids().await.is_empty()),
        }
    }
}

#[tokio::test]
async fn a_verified_commit_that_did_not_arrive_is_a_plain_error() {
    let (fixture, proxy, db) = by_proxy(true).await;
    let ran = Ran::default();
    let mut tx = db.begin().await.unwrap();
    ran.watch(&mut tx);
    insert(&mut tx, 1).await.unwrap();
    let error = commit_cut_before(&proxy, tx).await.unwrap_err();
    assert!(!error.is_commit_unknown(), "{error}");
    assert!(error.is_connection() && error.is_retryable(), "{error}");
    assert_eq!(ran.counts(), [0, 1, 0]);
    assert!(fixture.ids().await.is_empty());
}

#[tokio::test]
async fn a_verified_commit_that_took_effect_is_ok() {
    let (fixture, proxy, db) = by_proxy(true).await;
    let ran = Ran::default();
    let mut tx = db.begin().await.unwrap();
    ran.watch(&mut tx);
    insert(&mut tx, 1).await.unwrap();
    commit_cut_after(&proxy, tx).await.unwrap();
    assert_eq!(ran.counts(), [1, 0, 0]);
    assert_eq!(fixture.ids().await, [1]);
    db.settled().await;
    assert_eq!(db.status().in_use, 0);
}

#[tokio::test]
async fn where_no_server_can_be_asked_the_fate_stays_unknown_within_the_bound() {
    let mut server = Server::postgres().unwrap();
    let (proxy, options) = Postgres::by_proxy(&server.url());
    let db = patient::<Postgres>(options)
        .verify_commits(true)
        .settle_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    let tx = db.begin().await.unwrap();
    proxy.hold_answer_to("COMMIT");
    let stop = async {
        proxy.holding().await;
        server.crash().unwrap();
        proxy.cut();
    };
    let (result, ()) = tokio::join!(tx.commit(), stop);
    assert!(result.unwrap_err().is_commit_unknown());
}

/// The id of the transaction is read along with BEGIN.
#[tokio::test]
async fn verification_costs_no_round_trip() {
    let (_fixture, proxy, db) = by_proxy(true).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(proxy.count("BEGIN; SELECT pg_current_xact_id()::text"), 1);
    assert_eq!(proxy.count("pg_xact_status"), 0);
}
