//! A dropped scope's operation is ended on its server: in so many round trips, over one connection,
//! and never on another server.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{Connection, Executor};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::watch;
use tokio::time::timeout;
use txn::{Cancel, Db, DbBuilder, Error, Tx, transactional};
use txn_test_servers::Server;

use super::{DB, Fixture, TestEngine, insert, number};
use crate::support::drop_points::{PLENTY, poll_at_most};
use crate::support::fixture::patient;
use crate::support::observer::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::server_engine::{ServerEngine, until_gone};
use crate::support::warnings::Warnings;

/// The number of the connection over which cancels are sent, where there was one session before.
const CONTROL: usize = 2;
/// A `settle_timeout` of which a tenth is enough for a server, and not too long for a test that
/// waits for a control connection to be given up.
const HASTE: Duration = Duration::from_secs(20);

/// A handle by way of a proxy that waits long before it closes a session, and a fixture that sees
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

/// The round trips are counted, and not the time: a connection, its login, the cancel, and the
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

/// Sessions whose cancel is asked for while another cancel is under way are in the next request.
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
    // All sessions wait for one row. (MariaDB takes two seconds at times to kill one of many
    // sessions that SLEEP: it asks for a lock that the others share.)
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

const TWO_ROWS: &str = "SELECT 1 UNION ALL SELECT 2";

/// Most answers are on their way already when the cancel is sent.
#[tokio::test]
async fn what_is_as_good_as_answered_is_not_cancelled() {
    let (_fixture, proxy, db) = by_proxy(|builder| builder).await;
    let mut session = db.session().await.unwrap();
    // On a busy machine one answer or the other comes too late.
    for _ in 0..PLENTY {
        let before = proxy.requests_of(CONTROL);
        let mut rows = (&mut session).fetch(TWO_ROWS);
        assert!(rows.try_next().await.unwrap().is_some());
        drop(rows);
        drop(session);
        settle(&db).await;
        if proxy.requests_of(CONTROL) == before {
            return;
        }
        session = db.session().await.unwrap();
    }
    panic!("each of them is cancelled");
}

/// The cancel has overtaken the request that it was meant for.
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
    let warnings = Warnings::listen();
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    proxy.cut_one(CONTROL);
    let before = proxy.connections();
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    assert_eq!(db.status().idle, kept());
    let replaced = usize::from(!DB::SURVIVES_DROPS);
    assert_eq!(proxy.connections(), before + 1 + replaced);
    assert_eq!(warnings.all(), [""; 0], "it has lain there, and nothing has failed");
}

/// A session whose cancel may still arrive is of no use: the cancel would hit somebody's statement.
/// One connection is silent, or the next one is too.
#[tokio::test]
async fn a_control_connection_that_does_not_answer_is_given_up() {
    for silent in 1..3 {
        let (fixture, proxy, db) = by_proxy(|builder| builder.settle_timeout(HASTE)).await;
        drop_in_flight(&proxy, &db).await;
        settle(&db).await;
        proxy.hold_answers_of(CONTROL);
        let before = proxy.connections();
        let replaced = usize::from(!DB::SURVIVES_DROPS);
        if silent > 1 {
            proxy.hold_answers_of(before + replaced + 1);
        }
        drop_in_flight(&proxy, &db).await;
        settle(&db).await;
        assert_eq!(db.status().open, 0);
        if silent == 1 {
            assert_eq!(proxy.connections(), before + 1 + replaced);
        }
        proxy.release();
        assert!(fixture.ids().await.is_empty());
    }
}

/// The next attempt to connect may succeed.
#[tokio::test]
async fn a_control_connection_that_cannot_be_opened_in_time_is_given_up() {
    let (fixture, proxy, db) = by_proxy(|builder| builder.settle_timeout(HASTE)).await;
    proxy.hold_answers_of(CONTROL);
    drop_in_flight(&proxy, &db).await;
    settle(&db).await;
    assert_eq!(db.status().idle, kept());
    assert_eq!(proxy.connections(), CONTROL + 1);
    assert!(fixture.ids().await.is_empty());
}

/// A cancel that was on its way is lost with its runtime. A caller who waits elsewhere asks again.
#[test]
fn a_runtime_that_ends_with_a_cancel_on_its_way_holds_up_no_other() {
    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let home = Builder::new_current_thread().enable_all().build().unwrap();
    let (_fixture, proxy, options) = elsewhere.block_on(async {
        let fixture = Fixture::<DB>::new().await;
        let (proxy, options) = DB::by_proxy(fixture.url());
        (fixture, proxy, options)
    });
    let (db, mut tx) = home.block_on(async {
        let db = patient::<DB>(options).max_sessions(2).connect().await.unwrap();
        let tx = db.begin().await.unwrap();
        (db, tx)
    });
    let other = elsewhere.block_on(async {
        let mut other = db.begin().await.unwrap();
        drop_query(&proxy, &mut other).await;
        other
    });
    home.block_on(async {
        proxy.hold_answer_to(DB::CANCEL);
        drop_query(&proxy, &mut tx).await;
        drop(tx);
        proxy.holding().await;
    });
    let mut rollback = Box::pin(other.rollback());
    let (polls, mut polled) = watch::channel(0);
    let waits = elsewhere.spawn(poll_fn(move |cx| {
        let ended = rollback.as_mut().poll(cx);
        polls.send_modify(|polls| *polls += 1);
        ended
    }));
    // The caller asks behind the cancel that is on its way: with its first poll if its session can
    // only be closed, else once the timer has woken it.
    let asked = if DB::ENDS_BY_ITSELF { 1 } else { 2 };
    elsewhere.block_on(polled.wait_for(|polls| *polls >= asked)).unwrap();
    drop(home);
    elsewhere.block_on(async {
        let ended = timeout(PATIENCE, waits).await.expect("nobody cancels any more");
        ended.unwrap().unwrap();
        settle(&db).await;
        drop_in_flight(&proxy, &db).await;
        settle(&db).await;
        assert_eq!(db.status().idle, kept());
    });
}

/// The attempts go on for however long it takes, ever more slowly.
#[tokio::test]
async fn a_cancel_that_fails_is_no_storm_of_cancels() {
    let limit = Duration::from_millis(500);
    let (_fixture, proxy, db) = by_proxy(|builder| builder.settle_timeout(limit)).await;
    drop_in_flight(&proxy, &db).await;
    proxy.cut_at(DB::CANCEL);
    settle(&db).await;
    assert_eq!(db.status().open, 0);
    let cancels = proxy.count(DB::CANCEL);
    assert!(cancels < 20, "{cancels} cancels");
}

#[transactional(nested)]
async fn dawdle(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute(DB::SLOW_QUERY).await?;
    Ok(())
}

/// The caller who waits for the cancel is dropped too, at any point: the cancel must not hit what
/// is sent afterwards.
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

/// Two servers of the test's own that both have the table.
async fn two_servers() -> [Server; 2] {
    let servers = [DB::server(), DB::server()].map(|options| options.start().unwrap());
    for server in &servers {
        let db = Db::<DB>::connect(&server.url()).await.unwrap();
        db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n BIGINT)").await.unwrap();
    }
    servers
}

/// A handle whose one session is on the first server; connections that are opened from now on reach
/// the second.
async fn between(servers: &[Server; 2], cancel: Cancel) -> (Proxy, Db<DB>, Tx<DB>, i64) {
    between_greeted(servers, cancel, None).await
}

/// Does the same, and lets the first server hear another greeting than it is sent.
async fn between_greeted(
    servers: &[Server; 2],
    cancel: Cancel,
    garbled: Option<[&'static str; 2]>,
) -> (Proxy, Db<DB>, Tx<DB>, i64) {
    let (proxy, options) = DB::by_proxy(&servers[0].url());
    if let Some([said, heard]) = garbled {
        proxy.garble(said, heard);
    }
    let db = Db::builder(options).max_sessions(1).cancel(cancel).connect().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let id = number(&mut tx, DB::BACKEND).await.unwrap();
    proxy.lead_to(DB::upstream(&servers[1].url().parse().unwrap()));
    (proxy, db, tx, id)
}

/// A session of somebody else, whose id on its server is the id of our session on another.
async fn namesake(server: &Server, proxy: &Proxy, ours: i64) -> <DB as sqlx::Database>::Connection {
    loop {
        let mut stranger =
            <DB as sqlx::Database>::Connection::connect(&server.url()).await.unwrap();
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

/// Behind a load balancer or after a failover, an id is that of another session. The rest of what
/// is known of a session, by half or in full, is not that of its namesake.
#[tokio::test]
async fn a_cancel_tells_another_server_nothing() {
    let by_half = DB::TOLD_BY_HALF.iter().copied().map(Some);
    for garbled in std::iter::once(None).chain(by_half) {
        let servers = two_servers().await;
        let (proxy, db, mut tx, id) = between_greeted(&servers, Cancel::Server, garbled).await;
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
        assert_eq!(db.status().open, 0, "it is left to its server: {garbled:?}");
        let said = warnings.with("left to its server, a cancel could hit somebody else");
        assert_eq!(said, 1, "{garbled:?}: {:?}", warnings.all());
        assert_eq!(proxy.count(DB::CANCEL), 6, "{garbled:?}");
    }
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

/// No policy ends a session of another server: to close a session kills none, and to kill one needs
/// to know its server.
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

/// The restarted server has given its ids anew.
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

/// The server would go on with the query, and keep its locks, for as long as it takes.
#[tokio::test]
async fn what_a_broken_session_was_doing_is_ended_where_the_server_does_not_look() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    if DB::SURVIVES_DROPS {
        // The greeting is refused, as by a server that cannot do what it asks for.
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
    proxy.cut_one(1);
    tx.rollback().await.unwrap();
    settle(&db).await;
    // The query itself takes an hour.
    until_gone(&fixture, id).await;
}
