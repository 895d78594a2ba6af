//! A server refuses a part of the greeting, and its sessions are opened without that part.

use sqlx::Executor;
use txn::{Db, Tx, transactional};

use super::{DB, Fixture, insert, patient};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

#[transactional]
async fn write(tx: &mut Tx<DB>, id: i64) -> Result<(), txn::Error> {
    Ok(insert(tx, id).await?)
}

/// A handle that does without that part, and a proxy that has seen three of its sessions greeted.
async fn three_sessions([said, heard]: [&'static str; 2]) -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    proxy.garble(said, heard);
    let db = patient(options).max_sessions(3).connect().await.unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(db.session().await.unwrap());
    }
    drop(all);
    (fixture, proxy, db)
}

/// PostgreSQL refuses so on a platform on which the setting cannot be made (22023).
#[tokio::test]
async fn sessions_are_opened_without_what_the_server_refuses() {
    for refused in DB::REFUSED_GREETINGS {
        let (fixture, _proxy, db) = three_sessions(*refused).await;
        write(&db, 1).await.unwrap();
        assert_eq!(fixture.ids().await, [1]);
    }
}

/// The server would write each refusal into its log.
#[tokio::test]
async fn what_the_server_refused_once_is_not_asked_of_it_for_every_session() {
    for refused in DB::REFUSED_GREETINGS {
        let (_fixture, proxy, _db) = three_sessions(*refused).await;
        let asked = proxy.count(refused[1]);
        assert!((1..=2).contains(&asked), "{asked} times: {refused:?}");
    }
}

/// A lost connection is no refusal, and the next session is greeted in full.
#[tokio::test]
async fn a_greeting_that_was_cut_off_is_said_again_in_full() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient::<DB>(options).connect().await.unwrap();
    let held = db.session().await.unwrap();
    proxy.cut_at(DB::GREETING);
    assert!(db.session().await.unwrap_err().is_connection());
    proxy.release();
    let before = proxy.count(DB::GREETING);
    db.session().await.unwrap().execute("SELECT 1").await.unwrap();
    assert_eq!(proxy.count(DB::GREETING), before + 1);
    drop(held);
}
