//! What a dropped operation leaves behind must not be taken for something else by the next one.

use std::pin::pin;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use tokio::select;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::observe::until;
use crate::polls::is_pending;
use crate::proxy::Proxy;
use crate::remote::Remote;

async fn by_proxy() -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = Db::builder(options).max_sessions(1).connect().await;
    (fixture, proxy, db.unwrap())
}

async fn drop_at(proxy: &Proxy, word: &'static str, operation: impl Future) {
    proxy.hold_answer_to(word);
    select! {
        _ = operation => panic!("complete without an answer"),
        () = proxy.holding() => {}
    }
    proxy.release();
}

#[transactional(nested)]
async fn outer(tx: &mut Tx<DB>) -> Result<(), Error> {
    inner(tx).await
}

#[transactional(nested)]
async fn inner(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

/// The SAVEPOINT was given up with the scope around it; the INSERT is another matter: nobody knows whether it took effect.
#[tokio::test]
async fn a_statement_dropped_after_a_dropped_savepoint_fails_the_transaction() {
    let (fixture, proxy, db) = by_proxy().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_at(&proxy, "SAVEPOINT txn_2", outer(&mut tx)).await;
    let next = insert(&mut tx, 3).await;
    assert_eq!(next.is_ok(), DB::SURVIVES_DROPS, "{next:?}");
    if !DB::SURVIVES_DROPS {
        return;
    }
    drop_at(&proxy, "4444", insert(&mut tx, 4444)).await;
    let refused = Error::from(insert(&mut tx, 5).await.unwrap_err());
    assert!(refused.is_aborted(), "{refused}");
    assert!(tx.commit().await.unwrap_err().is_aborted());
    assert!(fixture.ids().await.is_empty());
}

/// It is asked whether it is alive, and whoever asks for it gives up before it answers.
#[tokio::test]
async fn a_session_dropped_while_it_is_asked_whether_it_is_alive_is_no_clean_one() {
    let (fixture, proxy, db) = by_proxy().await;
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    let backend = DB::number(&row);
    until("the session has been idle for two seconds", async || {
        let idle = fixture.fetch_one(AssertSqlSafe(DB::idle_seconds(backend)));
        DB::number(&idle.await.unwrap()) >= 2
    })
    .await;

    proxy.stall();
    {
        let mut asking = pin!(db.session());
        assert!(is_pending(&mut asking).await);
    }
    assert_eq!(
        db.status().idle,
        0,
        "it has not answered: nobody knows that it is clean"
    );
    proxy.release();

    for id in 0..5 {
        let insert = format!("INSERT INTO t (id, n) VALUES ({id}, 0)");
        let inserted = tokio::time::timeout(Duration::from_secs(20), db.execute(AssertSqlSafe(insert)));
        inserted.await.unwrap().unwrap();
    }
    assert_eq!(fixture.ids().await, [0, 1, 2, 3, 4]);
}
