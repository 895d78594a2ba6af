//! A server is killed and started again, or refuses, with callers all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sqlx::Executor;
use tokio::task::JoinSet;
use txn::{Breaker, Db, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, number, patient};
use crate::support::observer::until;
use crate::support::server_engine::{ServerEngine, kill};

#[transactional]
async fn read(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

/// The results of callers that never stop.
#[derive(Default)]
struct Callers {
    over: AtomicBool,
    served: AtomicUsize,
    refused: AtomicUsize,
}

impl Callers {
    async fn call(self: Arc<Self>, db: Db<DB>) {
        while !self.over.load(SeqCst) {
            match read(&db).await {
                Ok(_) => _ = self.served.fetch_add(1, SeqCst),
                Err(error) if error.is_unavailable() => _ = self.refused.fetch_add(1, SeqCst),
                Err(error) => assert!(error.is_connection(), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn more(&self, of: &AtomicUsize, what: &str) {
        let enough = of.load(SeqCst) + 20;
        until(what, async || of.load(SeqCst) >= enough).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_resumes_by_itself_when_a_killed_server_is_back() {
    let mut server = DB::server().durable(true).start().unwrap();
    let db = patient::<DB>(server.url().parse().unwrap()).max_sessions(3);
    let db = db.breaker_after(Duration::ZERO).connect().await.unwrap();
    let create = "CREATE TABLE t (id BIGINT PRIMARY KEY)";
    db.execute(create).await.unwrap();
    let callers = Arc::new(Callers::default());
    let mut tasks = JoinSet::new();
    for _ in 0..6 {
        tasks.spawn(Arc::clone(&callers).call(db.clone()));
    }
    for _ in 0..2 {
        callers.more(&callers.served, "callers are served").await;
        server.crash().unwrap();
        until("the breaker opens", async || {
            db.status().breaker != Breaker::Closed
        })
        .await;
        callers.more(&callers.refused, "callers are refused").await;
        assert!(db.check().await.unwrap_err().is_connection());
        server.start().unwrap();
    }
    callers.more(&callers.served, "callers are served").await;
    assert_eq!(db.status().breaker, Breaker::Closed);
    callers.over.store(true, SeqCst);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    db.settled().await;
    let status = db.status();
    assert_eq!((status.in_use, status.waiting), (0, 0), "{status:?}");
}

/// The server has answered, and the breaker must not hide that it refuses.
#[tokio::test]
async fn a_password_that_is_wrong_from_now_on_opens_no_breaker() {
    let server = DB::server().tcp(true).start().unwrap();
    let db = patient::<DB>(server.tcp_url().parse().unwrap()).max_sessions(2);
    let db = db.breaker_after(Duration::ZERO).connect().await.unwrap();
    let held = db.session().await.unwrap();
    let admin = Db::<DB>::connect(&server.url()).await.unwrap();
    admin.execute(DB::CHANGE_PASSWORD).await.unwrap();
    for _ in 0..5 {
        let error = read(&db).await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(DB::WRONG_PASSWORD), "{error}");
        let error = db.check().await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(DB::WRONG_PASSWORD), "{error}");
    }
    assert_eq!(db.status().breaker, Breaker::Closed);
    drop(held);
}

#[tokio::test]
async fn a_check_tells_of_a_database_that_is_gone_and_opens_no_breaker() {
    let server = DB::server().start().unwrap();
    let admin = Db::<DB>::connect(&server.url()).await.unwrap();
    admin.execute("CREATE DATABASE other").await.unwrap();
    let url = DB::in_database(&server.url(), "other");
    let db = patient::<DB>(url.parse().unwrap()).breaker_after(Duration::ZERO);
    let db = db.connect().await.unwrap();
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    kill(&admin, DB::number(&row)).await;
    admin.execute("DROP DATABASE other").await.unwrap();
    for _ in 0..5 {
        let error = db.check().await.unwrap_err();
        assert_eq!(error.code().as_deref(), Some(DB::NO_DATABASE), "{error}");
    }
    assert_eq!(db.status().breaker, Breaker::Closed);
}

#[tokio::test]
async fn a_check_does_not_take_a_session_for_the_server() {
    let db = Fixture::<DB>::new().await;
    let admin = Db::<DB>::connect(db.url()).await.unwrap();
    let row = db.fetch_one(DB::BACKEND).await.unwrap();
    kill(&admin, DB::number(&row)).await;

    db.check().await.unwrap();

    assert_eq!(db.status().open, 0, "the dead one is gone");
}
