//! Only MySQL and MariaDB behave in these ways.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use tokio::time::timeout;
use txn::{Db, Error, MySql, Tx, transactional};

use super::{Fixture, TestEngine, insert, number, patient};
use crate::support::observer::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::server_engine::{ServerEngine, kill, until_gone};
use crate::support::warnings::Warnings;

/// A binding form does not name the engine: it is refused when the scope opens.
#[tokio::test]
async fn deferrable_is_refused_with_advice_before_the_body() {
    #[transactional(db as _tx, isolation = serializable, read_only, deferrable)]
    async fn deferred(db: &Db<MySql>) -> Result<(), Error> {
        unreachable!("the body runs in a transaction only")
    }
    let db = Fixture::<MySql>::new().await;
    let text = deferred(&db).await.unwrap_err().to_string();
    assert!(
        text.contains("remove `deferrable`") && text.contains("::deferred`)"),
        "{text}"
    );
    db.assert_at_rest().await;
}

/// The server would go on with the query, and keep its locks, for as long as it takes.
#[tokio::test]
async fn the_query_of_a_session_whose_connection_broke_is_killed() {
    let fixture = Fixture::<MySql>::new().await;
    fixture
        .execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    let (proxy, options) = MySql::by_proxy(fixture.url());
    let db = patient::<MySql>(options).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute("UPDATE t SET n = 1 WHERE id = 1").await.unwrap();
    proxy.hold_answer_to("BENCHMARK");
    let cut = async {
        proxy.holding().await;
        proxy.cut();
    };
    let (slept, ()) = tokio::join!(tx.execute("SELECT BENCHMARK(2000000000000, 1 + 1)"), cut);
    slept.unwrap_err();
    proxy.release();
    tx.rollback().await.unwrap();
    db.settled().await;
    // The update waits for the lock that the broken session has.
    let update = fixture.execute("UPDATE t SET n = 2 WHERE id = 1");
    let updated = tokio::time::timeout(PATIENCE, update).await;
    updated.expect("the query goes on").unwrap();
}

/// Drops its transaction once the server has been sent a query that takes long.
async fn dawdle(proxy: &Proxy, tx: &mut Tx<MySql>) {
    let before = proxy.count(MySql::SLOW_QUERY);
    tokio::select! {
        done = (&mut *tx).execute(MySql::SLOW_QUERY) => panic!("over already: {done:?}"),
        () = proxy.sent(MySql::SLOW_QUERY, before + 1) => {}
    }
}

/// The server answers so where a session ends by itself just then, and does not go on with the
/// others.
#[tokio::test]
async fn a_session_that_is_gone_when_it_is_to_be_killed_is_no_failure() {
    let fixture = Fixture::<MySql>::new().await;
    let (proxy, options) = MySql::by_proxy(fixture.url());
    let db = patient::<MySql>(options).max_sessions(2).connect().await.unwrap();
    let warnings = Warnings::listen();
    let mut gone = db.begin().await.unwrap();
    let mut other = db.begin().await.unwrap();
    let id = number(&mut gone, MySql::BACKEND).await.unwrap();
    let others = number(&mut other, MySql::BACKEND).await.unwrap();
    dawdle(&proxy, &mut gone).await;
    dawdle(&proxy, &mut other).await;
    kill(&fixture, id).await;
    // The session is not looked for first.
    proxy.garble("AND EXISTS", "OR  EXISTS");
    drop((gone, other));
    timeout(PATIENCE, db.settled()).await.expect("it is not settled");
    until_gone(&fixture, others).await;
    assert_eq!(warnings.all(), [""; 0]);
}

/// A row that somebody has locked, and a handle by way of a proxy.
async fn beside_a_lock() -> (Fixture<MySql>, Tx<MySql>, Proxy, Db<MySql>) {
    let fixture = Fixture::<MySql>::new().await;
    fixture
        .execute("INSERT INTO t (id, n) VALUES (1, 0)")
        .await
        .unwrap();
    let mut holder = fixture.begin().await.unwrap();
    let update = "UPDATE t SET n = 1 WHERE id = 1";
    (&mut holder).execute(update).await.unwrap();
    let (proxy, options) = MySql::by_proxy(fixture.url());
    let db = patient::<MySql>(options).settle_timeout(Duration::from_millis(300));
    let db = db.connect().await.unwrap();
    (fixture, holder, proxy, db)
}

/// A setting of the server's says whether the wait has taken the whole transaction along.
async fn wait_for_the_lock(tx: &mut Tx<MySql>) {
    insert(tx, 2).await.unwrap();
    let locked = "SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT";
    tx.fetch_one(locked).await.unwrap_err();
}

/// The session that could tell is gone. A commit that nobody has asked for is no commit whose fate
/// is unknown.
#[tokio::test]
async fn a_transaction_that_cannot_be_asked_after_a_lock_wait_is_taken_for_gone() {
    let (fixture, holder, proxy, db) = beside_a_lock().await;
    for asks_again in [true, false] {
        let mut tx = db.begin().await.unwrap();
        wait_for_the_lock(&mut tx).await;
        proxy.cut_at("RELEASE SAVEPOINT txn_0; SAVEPOINT txn_0");
        if asks_again {
            let refused = Error::from(insert(&mut tx, 3).await.unwrap_err());
            assert!(refused.is_aborted(), "{refused}");
            assert!(refused.to_string().contains("Lock wait timeout"), "{refused}");
        }
        let error = tx.commit().await.unwrap_err();
        assert!(error.is_aborted() && !error.is_commit_unknown(), "{error}");
        proxy.release();
    }
    holder.rollback().await.unwrap();
    db.settled().await;
    assert_eq!(fixture.ids().await, [1]);
}

/// The query is not waited for beyond the time that settling has.
#[tokio::test]
async fn a_server_that_says_nothing_after_a_lock_wait_does_not_hold_up_the_transaction() {
    let (fixture, holder, proxy, db) = beside_a_lock().await;
    let mut tx = db.begin().await.unwrap();
    wait_for_the_lock(&mut tx).await;
    proxy.stall();
    let next = timeout(Duration::from_secs(20), insert(&mut tx, 3)).await;
    let refused = Error::from(next.expect("it waits for ever").unwrap_err());
    assert!(refused.is_aborted(), "{refused}");
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_aborted() && !error.is_commit_unknown(), "{error}");
    proxy.release();
    holder.rollback().await.unwrap();
    db.settled().await;
    assert_eq!(fixture.ids().await, [1]);
}

/// The server has answered when this returns, and nobody has read the answer.
async fn drop_a_ping(proxy: &Proxy, raw: &mut MySqlConnection) {
    proxy.hold_answers_of(1);
    let before = proxy.requests_of(1);
    let mut ping = Box::pin(raw.ping());
    let sent = async {
        while proxy.requests_of(1) == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut ping => panic!("complete without an answer"),
        () = sent => {}
    }
    drop(ping);
    proxy.release();
}

/// sqlx does not count the answer to a ping, so that each statement after it would get the answer
/// of the one before: the COMMIT would be said to have succeeded without a look at its answer.
#[tokio::test]
async fn an_answer_that_the_driver_does_not_count_is_never_taken_for_that_of_a_commit() {
    for goes_on in [false, true] {
        let (fixture, proxy, db) = of_one_session().await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        drop_a_ping(&proxy, tx.connection().await.unwrap()).await;
        if goes_on {
            let refused = Error::from(insert(&mut tx, 2).await.unwrap_err());
            assert!(refused.to_string().contains("raw connection"), "{refused}");
        }
        let error = tx.commit().await.unwrap_err();
        assert!(error.to_string().contains("raw connection"), "{error}");
        db.settled().await;
        assert!(fixture.ids().await.is_empty());
    }
}

#[tokio::test]
async fn nor_for_that_of_a_statement_of_the_next_user() {
    let (_fixture, proxy, db) = of_one_session().await;
    let mut session = db.session().await.unwrap();
    drop_a_ping(&proxy, session.connection()).await;
    drop(session);
    for expected in [41, 42] {
        let row = db.fetch_one(AssertSqlSafe(format!("SELECT {expected}"))).await.unwrap();
        assert_eq!(MySql::number(&row), expected);
    }
}

/// The transaction was ended in its middle, and the caller is gone: the log is the only place where
/// that is told.
#[tokio::test]
async fn a_dropped_scope_whose_rollback_fails_still_tells_what_had_ended_it() {
    let (fixture, proxy, db) = of_one_session().await;
    let warnings = Warnings::listen();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    (&mut tx).execute("BEGIN NOT ATOMIC COMMIT; END").await.unwrap();
    proxy.cut_at("ROLLBACK");
    drop(tx);
    db.settled().await;
    assert_eq!(warnings.with("had been ended before"), 1, "{:?}", warnings.all());
    assert_eq!(fixture.ids().await, [1]);
}

async fn of_one_session() -> (Fixture<MySql>, Proxy, Db<MySql>) {
    let fixture = Fixture::<MySql>::new().await;
    let (proxy, options) = MySql::by_proxy(fixture.url());
    let db = patient::<MySql>(options).max_sessions(1).connect().await.unwrap();
    (fixture, proxy, db)
}
