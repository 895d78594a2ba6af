//! A reset on PostgreSQL has its costs, and leaves some things as they are.

use std::time::Duration;

use sqlx::Executor;
use txn::{Db, Error, Postgres, Reset, Tx, transactional};

use super::{Fixture, insert};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

async fn by_proxy(reset: Reset) -> (Fixture<Postgres>, Proxy, Db<Postgres>) {
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let builder = Db::builder(options).max_sessions(1).reset(reset);
    let db = builder.connect().await.unwrap();
    (fixture, proxy, db)
}

#[transactional(isolation = serializable, timeout = "1min")]
async fn adds(tx: &mut Tx<Postgres>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

/// The reset rides in front of the next BEGIN.
#[tokio::test]
async fn everything_is_undone_at_no_round_trip() {
    let (fixture, proxy, db) = by_proxy(Reset::Everything).await;
    adds(&db, 0).await.unwrap();
    for id in 1..4 {
        let before = proxy.round_trips();
        adds(&db, id).await.unwrap();
        db.settled().await;
        assert_eq!(proxy.round_trips() - before, 3);
    }
    assert_eq!(fixture.ids().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_was_seen_is_undone_in_the_background_at_one_round_trip() {
    let (_fixture, proxy, db) = by_proxy(Reset::Noticed).await;
    adds(&db, 0).await.unwrap();
    let before = proxy.round_trips();
    let mut tx = db.begin().await.unwrap();
    tx.execute("SET work_mem = '7MB'").await.unwrap();
    tx.commit().await.unwrap();
    db.settled().await;
    assert_eq!(proxy.round_trips() - before, 4);
}

/// The statements belong to the driver, which goes on to use them.
#[tokio::test]
async fn the_statements_that_the_driver_has_prepared_are_kept() {
    for reset in [Reset::Noticed, Reset::Everything] {
        let db = Fixture::<Postgres>::with(|builder| builder.max_sessions(1).reset(reset)).await;
        let prepared = async || {
            let count = "SELECT COUNT(*) FROM pg_prepared_statements WHERE NOT from_sql";
            let mut session = db.session().await.unwrap();
            let count: i64 = sqlx::query_scalar(count).fetch_one(&mut session).await.unwrap();
            session.execute("SET work_mem = '7MB'").await.unwrap();
            drop(session);
            db.settled().await;
            count
        };
        let before = prepared().await;
        for _ in 0..3 {
            let one: i32 =
                sqlx::query_scalar("SELECT $1::int").bind(1).fetch_one(&*db).await.unwrap();
            assert_eq!(one, 1);
        }
        assert_eq!(prepared().await, before.max(1) + 1, "{reset:?}");
    }
}

/// A temporary table goes, and a statement that was prepared for it meets the one that stays.
#[tokio::test]
async fn a_statement_on_a_temporary_table_finds_the_real_one_afterwards() {
    let db =
        Fixture::<Postgres>::with(|builder| builder.max_sessions(1).reset(Reset::Noticed)).await;
    let count = || sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM t");
    adds(&*db, 1).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute("CREATE TEMP TABLE t (id BIGINT, n BIGINT)").await.unwrap();
    assert_eq!(count().fetch_one(&mut tx).await.unwrap(), 0);
    tx.commit().await.unwrap();
    db.settled().await;
    assert_eq!(count().fetch_one(&*db).await.unwrap(), 1);
}

/// A role without rights resets its session like any other.
#[tokio::test]
async fn a_session_of_a_role_that_may_do_little_is_brought_back() {
    let fixture = Fixture::<Postgres>::new().await;
    let role = format!("r{}", fixture.place().name);
    for sql in [
        format!("CREATE ROLE {role} LOGIN PASSWORD 'x'"),
        format!("ALTER ROLE {role} SET work_mem = '6MB'"),
    ] {
        fixture.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    let options: sqlx::postgres::PgConnectOptions = fixture.url().parse().unwrap();
    let builder = Db::<Postgres>::builder(options.username(&role).password("x"));
    let db = builder.max_sessions(1).reset(Reset::Everything).connect().await.unwrap();
    for _ in 0..3 {
        let mut session = db.session().await.unwrap();
        session.execute("SET work_mem = '7MB'; SELECT pg_advisory_lock(77)").await.unwrap();
        drop(session);
        db.settled().await;
        let set: String = sqlx::query_scalar("SHOW work_mem").fetch_one(&db).await.unwrap();
        assert_eq!((&*set, db.status().open), ("6MB", 1));
    }
    db.close().await;
    fixture.execute(sqlx::AssertSqlSafe(format!("DROP ROLE {role}"))).await.unwrap();
}

/// A reset that gets no answer is given up, with its session.
#[tokio::test]
async fn a_reset_that_is_not_answered_costs_the_session_and_nobody_else() {
    let fixture = Fixture::<Postgres>::new().await;
    let (proxy, options) = Postgres::by_proxy(fixture.url());
    let builder = Db::<Postgres>::builder(options).max_sessions(1).reset(Reset::Noticed);
    let db = builder.settle_timeout(Duration::from_millis(300)).connect().await.unwrap();
    let mut session = db.session().await.unwrap();
    session.execute("SET work_mem = '7MB'").await.unwrap();
    proxy.hold_answer_to("CLOSE ALL");
    drop(session);
    proxy.holding().await;
    db.settled().await;
    assert_eq!(db.status().open, 0);
    proxy.release();
    adds(&db, 1).await.unwrap();
    assert_eq!(fixture.ids().await, [1]);
}

#[transactional(timeout = "1h")]
async fn limit(tx: &mut Tx<Postgres>) -> Result<String, Error> {
    Ok(sqlx::query_scalar("SHOW statement_timeout").fetch_one(tx).await?)
}

/// The shorter limit holds, also after the session was reset.
#[tokio::test]
async fn a_limit_that_a_callback_has_set_is_not_loosened_by_that_of_a_scope() {
    for reset in [Reset::Nothing, Reset::Noticed, Reset::Everything] {
        let db = Fixture::<Postgres>::with(|builder| {
            builder.max_sessions(1).reset(reset).after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET statement_timeout = '7s'").await.map(drop)
                })
            })
        })
        .await;
        for _ in 0..3 {
            assert_eq!(limit(&*db).await.unwrap(), "7s", "{reset:?}");
            let mut session = db.session().await.unwrap();
            session.execute("SET work_mem = '7MB'").await.unwrap();
            drop(session);
            db.settled().await;
        }
    }
    let db = Fixture::<Postgres>::with(|builder| {
        builder
            .max_sessions(1)
            .before_acquire(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET statement_timeout = '6s'").await.map(|_| true)
                })
            })
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.execute("SET statement_timeout = '5s'").await.map(|_| true)
                })
            })
    })
    .await;
    db.settled().await;
    assert_eq!(limit(&*db).await.unwrap(), "6s");
}

/// The session's own limit is asked for before the scope begins, when it is as it was opened.
#[tokio::test]
async fn a_limit_that_a_function_has_set_out_of_sight_is_undone_before_a_scope_with_one_begins() {
    let db =
        Fixture::<Postgres>::with(|builder| builder.max_sessions(1).reset(Reset::Everything)).await;
    let create = "CREATE FUNCTION hides() RETURNS text LANGUAGE sql \
                  AS $$ SELECT set_config('statement_timeout', '3s', false) $$";
    db.execute(sqlx::raw_sql(create)).await.unwrap();
    for _ in 0..3 {
        db.execute("SELECT hides()").await.unwrap();
        assert_ne!(limit(&*db).await.unwrap(), "3s");
    }
}
