//! How what a dropped scope had begun is ended on its server: in how many round trips, over which
//! connection, and never on another server.

use std::pin::pin;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor};
use tokio::select;
use txn::{Cancel, Db, DbBuilder, Error, Tx, transactional};
use txn_test_servers::Server;

use super::{DB, Fixture, TestEngine, insert, number};
use crate::events::Warnings;
use crate::fixture::patient;
use crate::observe::PATIENCE;
use crate::polls::{PLENTY, poll_at_most};
use crate::proxy::Proxy;
use crate::remote::{Remote, until_gone};


/// The connection over which is cancelled, where there was one session before.
const CONTROL: usize = 2;

/// A handle by way of a proxy that waits for long until it closes a session, beside one that sees
/// what the server has.
async fn by_proxy(
    configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>,
) -> (Fixture<DB>, Proxy, Db<DB>) {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = configure(patient::<DB>(options).max_sessions(1));
    let db = db.connect().await.unwrap();
    (fixture, proxy, db)
}

/// Begins a transaction, and drops it when the server has been sent a query that takes long.
async fn drop_in_flight(proxy: &Proxy, db: &Db<DB>) {
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop_query(proxy, &mut tx).await;
}

async fn drop_query(proxy: &Proxy, tx: &mut Tx<DB>) {
    drop_statement(proxy, tx, DB::SLOW_QUERY).await;
}

async fn drop_statement(proxy: &Proxy, tx: &mut Tx<DB>, sql: &'static str) {
    let before = proxy.count(sql);
    select! {
        done = (&mut *tx).execute(sql) => panic!("over already: {done:?}"),
        () = proxy.sent(sql, before + 1) => {}
    }
}

async fn settle(db: &Db<DB>) {
    tokio::time::timeout(PATIENCE, db.settled()).await.expect("it is not settled");
}

fn kept() -> usize {
    usize::from(DB::SURVIVES_DROPS)
}

/// Its round trips are counted, not its time: a connection, its login, the cancel, and the
/// ROLLBACK.
#[tokio::test]
async fn a_drop_far_from_the_server_is_settled_in_a_few_round_trips() {
    for latency in [0, 2, 20, 125].map(Duration::from_millis) {
        let fixture = Fixture::<DB>::new().await;
        let (proxy, options) = DB::by_proxy(fixture.url());
        proxy.delay(latency);
        let builder = patient::<DB>(options).max_sessions(1);
        let db = builder.connect().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        drop_query(&proxy, &mut tx).await;
        let before = proxy.requests_of(1);

        drop(tx);
        settle(&db).await;

        assert_eq!(db.status().idle, kept(), "{latency:?}");
        assert_eq!(proxy.connections(), CONTROL, "{latency:?}");
        let [session, control] = [proxy.requests_of(1) - before, proxy.requests_of(CONTROL)];
        assert!(session + control <= 6, "{session} + {control}: {latency:?}");
        assert!(fixture.ids().await.is_empty());
    }
}

#[tokio::test]
async fn one_connection_serves_one_drop_after_the_other() {
    let (_fixture, proxy, db) = by_proxy(|builder| builder).await;
    for drops in 1..4 {
        drop_in_flight(&proxy, &db).await;
        settle(&db).await;
        let replaced = if DB::SURVIVES_DROPS { 0 } else { drops - 1 };
        assert_eq!(proxy.connections(), CONTROL + replaced);
    }
}

const WAITS: &str = "UPDATE t SET n = n + 1 WHERE id = 1";

/// What is asked for while one cancel is under way is the next.
#[tokio::test]
async fn many_drops_at_once_are_few_requests() {
    const SESSIONS: usize = 30;
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    proxy.delay(Duration::from_millis(20));
    let builder = patient::<DB>(options).max_sessions(SESSIONS);
    let db = builder.connect().await.unwrap();
    let mut all = Vec::new();
    for _ in 0..SESSIONS {
        all.push(db.begin().await.unwrap());
    }
    // All wait for one row. (To kill one of many that SLEEP takes MariaDB two seconds at times: it
    // asks for a lock that the others share.)
    fixture.execute("INSERT INTO t (id, n) VALUES (1, 0)").await.unwrap();
    let mut holder = fixture.begin().await.unwrap();
    holder.execute(WAITS).await.unwrap();
    for tx in &mut all {
        drop_statement(&proxy, tx, WAITS).await;
    }
    drop(all);
    settle(&db).await;
    holder.rollback().await.unwrap();
    assert_eq!(db.status().idle, kept() * SESSIONS);
    let controls = SESSIONS + 1..=proxy.connections();
    let requests: usize = controls.map(|control| proxy.requests_of(control)).sum();
    assert!(requests < SESSIONS / 2, "{requests} requests");
}

/// It has overtaken what it was meant for.
#[tokio::test]
async fn a_cancel_that_came_too_early_is_repeated() {
    let (fixture, proxy, db) = by_proxy(|builder| builder).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    proxy.hold_request_with(DB::SLOW_QUERY);
    drop_query(&proxy, &mut tx).await;
    drop(tx);
    let repeats = if DB::SURVIVES_DROPS { 3 } else { 1 };
    proxy.sent(DB::CANCEL, repeats).await;
    proxy.release();
    settle(&db).await;
    assert_eq!(db.status().idle, kept());
    assert!(fixture.ids().await.is_empty());
}

#[tokio::test]
async fn a_control_connection_that_has_broken_is_replaced() {
    let (_fixture, proxy, db) = by_proxy(|builder| builder).await;
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    proxy.cut_one(CONTROL);
    let before = proxy.connections();
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    assert_eq!(db.status().idle, kept());
    let replaced = usize::from(!DB::SURVIVES_DROPS);
    assert_eq!(proxy.connections(), before + 1 + replaced);
}

/// A session whose cancel may arrive yet is of no more use: it would hit somebody's statement.
#[tokio::test]
async fn a_control_connection_that_does_not_answer_is_given_up() {
    let (fixture, proxy, db) = by_proxy(|builder| builder).await;
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    proxy.hold_answers_of(CONTROL);
    let before = proxy.connections();
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    assert_eq!(db.status().open, 0);
    let replaced = usize::from(!DB::SURVIVES_DROPS);
    assert_eq!(proxy.connections(), before + 1 + replaced);
    proxy.release();
    assert!(fixture.ids().await.is_empty());
}

#[transactional(nested)]
async fn dawdle(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// Whoever waits for the cancel is dropped too, anywhere: it must not hit what is sent afterwards.
#[tokio::test]
async fn a_cancel_that_nobody_waits_for_any_more_hits_nothing_else() {
    let (fixture, proxy, db) = by_proxy(|builder| builder).await;
    for polls in 0..PLENTY {
        let mut tx = db.begin().await.unwrap();
        let before = proxy.count(DB::SLOW_QUERY);
        select! {
            done = dawdle(&mut tx) => panic!("over already: {done:?}"),
            () = proxy.sent(DB::SLOW_QUERY, before + 1) => {}
        }
        let complete = poll_at_most(polls, insert(&mut tx, 1)).await;
        drop(tx);
        for _ in 0..3 {
            db.execute("SELECT COUNT(*) FROM t").await.unwrap();
        }
        if complete.is_some() {
            assert!(fixture.ids().await.is_empty());
            return;
        }
    }
    panic!("never complete");
}

/// A server of the test's own with the table, and one more like it.
async fn two_servers() -> [Server; 2] {
    let servers = [DB::server(), DB::server()].map(|options| options.start().unwrap());
    for server in &servers {
        let db = Db::<DB>::connect(&server.url()).await.unwrap();
        db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)").await.unwrap();
    }
    servers
}

/// A handle whose one session is on the first; what is opened from now on reaches the second.
async fn between(servers: &[Server; 2], cancel: Cancel) -> (Proxy, Db<DB>, Tx<DB>, i64) {
    let (proxy, options) = DB::by_proxy(&servers[0].url());
    let db = Db::builder(options).max_sessions(1).cancel(cancel).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    proxy.lead_to(DB::upstream(&servers[1].url().parse().unwrap()));
    (proxy, db, tx, id)
}

/// Somebody else's session, which its server calls what another server calls ours.
async fn namesake(server: &Server, proxy: &Proxy, ours: i64) -> <DB as sqlx::Database>::Connection {
    loop {
        let mut stranger = <DB as sqlx::Database>::Connection::connect(&server.url()).await.unwrap();
        let row = (&mut stranger).fetch_one(DB::BACKEND).await.unwrap();
        let theirs = DB::number(&row);
        if DB::is_named_in(proxy, ours, theirs) {
            return stranger;
        }
        assert!(theirs < ours, "{theirs} of {ours}");
    }
}

async fn assert_alive(mut stranger: <DB as sqlx::Database>::Connection) {
    (&mut stranger).execute("SELECT 1").await.expect("it has been killed");
}

/// A load balancer, or a failover: a name means another session there.
#[tokio::test]
async fn a_cancel_tells_another_server_nothing() {
    let servers = two_servers().await;
    let (proxy, db, mut tx, id) = between(&servers, Cancel::Server).await;
    let warnings = Warnings::listen();
    let mut stranger = namesake(&servers[1], &proxy, id).await;
    drop_query(&proxy, &mut tx).await;
    {
        let mut busy = pin!((&mut stranger).execute(DB::SHORT_QUERY));
        drop(tx);
        let (done, ()) = tokio::join!(&mut busy, settle(&db));
        done.expect("it has been cancelled");
    }
    settle(&db).await;
    assert_alive(stranger).await;
    assert_eq!(db.status().open, 0, "it is left to its server");
    assert_eq!(warnings.with("left to its server, a cancel could hit somebody else"), 1, "{:?}", warnings.all());
    assert_eq!(proxy.count(DB::CANCEL), 6);
}

/// Several servers share the address, and one of the next connections leads to the right one.
#[tokio::test]
async fn the_server_of_a_session_is_looked_for_behind_the_same_address() {
    let servers = two_servers().await;
    let (proxy, db, mut tx, _) = between(&servers, Cancel::Server).await;
    let [first, second] = [0, 1].map(|at: usize| DB::upstream(&servers[at].url().parse().unwrap()));
    proxy.lead_in_turn([second.clone(), second, first]);
    drop_query(&proxy, &mut tx).await;
    drop(tx);
    settle(&db).await;
    assert_eq!(db.status().idle, kept());
    assert_eq!(proxy.connections(), 1 + 3);
}

/// With each policy: to close a session is to kill none, and to kill one is to know its server.
#[tokio::test]
async fn a_session_that_broke_is_not_killed_on_another_server() {
    for cancel in [Cancel::Server, Cancel::Close] {
        let servers = two_servers().await;
        let (proxy, db, mut tx, id) = between(&servers, cancel).await;
        let stranger = namesake(&servers[1], &proxy, id).await;
        proxy.cut_one(1);
        insert(&mut tx, 1).await.unwrap_err();
        drop(tx);
        settle(&db).await;
        assert_alive(stranger).await;
        if cancel == Cancel::Close {
            assert_eq!(proxy.count(DB::CANCEL), 0);
        }
    }
}

/// It has given its names anew.
#[tokio::test]
async fn a_session_that_broke_is_not_killed_after_a_restart_of_its_server() {
    let mut server = DB::server().durable(true).start().unwrap();
    let (proxy, options) = DB::by_proxy(&server.url());
    let db = Db::<DB>::builder(options).max_sessions(1).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    server.crash().unwrap();
    server.start().unwrap();
    let stranger = namesake(&server, &proxy, id).await;
    tx.execute("SELECT 1").await.unwrap_err();
    drop(tx);
    settle(&db).await;
    assert_alive(stranger).await;
}

/// The server would go on with it, and with its locks, for as long as it takes.
#[tokio::test]
async fn what_a_broken_session_was_doing_is_ended_where_the_server_does_not_look() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    if DB::SURVIVES_DROPS {
        // As where it cannot.
        let [said, heard] = DB::REFUSED_GREETINGS[0];
        proxy.garble(said, heard);
    }
    let db = Db::<DB>::builder(options).max_sessions(1).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    select! {
        done = (&mut tx).execute(DB::SLOW_QUERY) => panic!("over already: {done:?}"),
        () = proxy.sent(DB::SLOW_QUERY, 1) => {}
    }
    let begun = Instant::now();
    proxy.cut_one(1);
    tx.rollback().await.unwrap();
    settle(&db).await;
    until_gone(&fixture, id).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
