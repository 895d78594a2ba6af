//! The server has limits of its own beside those of a scope with `timeout`: the shorter one holds,
//! and the session's own limits come back.

use std::future::pending;

use sqlx::Executor;
use tokio::select;
use txn::{Db, Error, Session, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, number, patient};
use crate::support::server_engine::ServerEngine;
use crate::support::server_limits::Limited;

/// The limits of a statement in milliseconds, and of an idle transaction in seconds.
type Pair = (i64, i64);

async fn of_session(session: &mut Session<DB>) -> Pair {
    let statement = session.fetch_one(DB::STATEMENT).await.unwrap();
    let idle = session.fetch_one(DB::IDLE).await.unwrap();
    (DB::number(&statement), DB::number(&idle))
}

async fn outside(db: &Db<DB>) -> Pair {
    of_session(&mut db.session().await.unwrap()).await
}

async fn inside(tx: &mut Tx<DB>) -> Result<Pair, sqlx::Error> {
    let statement = number(tx, DB::STATEMENT).await?;
    Ok((statement, number(tx, DB::IDLE).await?))
}

#[transactional(timeout = "20s")]
async fn in_20s(tx: &mut Tx<DB>) -> Result<Pair, Error> {
    Ok(inside(tx).await?)
}

#[transactional(timeout = "1h")]
async fn in_1h(tx: &mut Tx<DB>) -> Result<Pair, Error> {
    Ok(inside(tx).await?)
}

#[transactional(timeout = "20s")]
async fn slow(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute(DB::SLOW).await?;
    Ok(())
}

/// A fixture with one session, whose limits are those that `SET` gave it.
async fn with_limits_of_its_own() -> Fixture<DB> {
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut session = db.session().await.unwrap();
    session.execute(sqlx::raw_sql(DB::SET)).await.unwrap();
    drop(session);
    db
}

#[tokio::test]
async fn the_limits_of_an_account_hold_in_a_scope_that_has_longer() {
    let fixture = Fixture::<DB>::new().await;
    let url = DB::short_account(fixture.place()).await;
    let db = patient::<DB>(url.parse().unwrap()).max_sessions(1);
    let db = db.connect().await.unwrap();
    let before = outside(&db).await;
    let (statement, idle) = in_20s(&db).await.unwrap();
    assert_eq!(statement, before.0);
    assert!(idle <= 22 && (before.1 == 0 || idle <= before.1), "{idle}, {before:?}");
    let error = slow(&db).await.unwrap_err();
    assert_eq!(error.code().as_deref(), Some(DB::TOO_LONG), "{error}");
    assert_eq!(outside(&db).await, before);
}

#[tokio::test]
async fn the_shorter_limit_holds_in_a_scope_and_the_own_one_comes_back() {
    let db = with_limits_of_its_own().await;
    assert_eq!(outside(&db).await, (700_000, 900));
    assert_eq!(in_1h(&*db).await.unwrap(), (700_000, 900));
    let (statement, idle) = in_20s(&*db).await.unwrap();
    assert!((15_000..=22_000).contains(&statement), "{statement}");
    assert!((15..=22).contains(&idle), "{idle}");
    assert_eq!(outside(&db).await, (700_000, 900));
}

#[transactional(timeout = "20s")]
async fn fails(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.execute("SELECT * FROM missing").await?;
    Ok(())
}

#[transactional(timeout = "20s")]
async fn waits(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    pending().await
}

#[transactional(timeout = "500ms")]
async fn too_late(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    pending().await
}

/// A scope can end in many ways.
#[tokio::test]
async fn the_own_limits_come_back_however_the_scope_ends() {
    let db = with_limits_of_its_own().await;
    fails(&*db).await.unwrap_err();
    assert_eq!(outside(&db).await, (700_000, 900), "failed");
    too_late(&*db).await.unwrap_err();
    // Its time may be over in a statement, and its session closed for that.
    let (now, new) = (outside(&db).await, fresh(&db).await);
    assert!(now == (700_000, 900) || now == new, "over its timeout: {now:?}");
    select! {
        _ = waits(&*db) => unreachable!("it waits for ever"),
        () = async { while db.status().in_use == 0 { tokio::task::yield_now().await } } => {}
    }
    db.settled().await;
    // The scope may have been dropped in a statement, and its session closed for that.
    let (now, new) = (outside(&db).await, fresh(&db).await);
    assert!(now == (700_000, 900) || now == new, "dropped: {now:?}");
}

/// The limits that the server gives to new sessions.
async fn fresh(db: &Fixture<DB>) -> Pair {
    let other = Db::<DB>::connect(db.url()).await.unwrap();
    outside(&other).await
}

/// A change of the limits between two scopes is noticed, and costs the next scope a question.
#[tokio::test]
async fn limits_that_are_set_between_two_scopes_hold() {
    for how in 0..4 {
        let db = Fixture::<DB>::of_sessions(1).await;
        in_1h(&*db).await.unwrap();
        match how {
            0 => {
                let mut session = db.session().await.unwrap();
                session.execute(sqlx::raw_sql(DB::SET)).await.unwrap();
            }
            1 => {
                db.execute(sqlx::raw_sql(DB::SET)).await.unwrap();
            }
            2 => {
                let mut session = db.session().await.unwrap();
                session.connection().execute(sqlx::raw_sql(DB::SET)).await.unwrap();
            }
            _ => {
                let script = format!("SELECT 1; {}", DB::SET);
                let script = sqlx::raw_sql(sqlx::AssertSqlSafe(script));
                db.execute(script).await.unwrap();
            }
        }
        db.settled().await;
        assert_eq!(in_1h(&*db).await.unwrap(), (700_000, 900), "{how}");
        assert_eq!(outside(&db).await, (700_000, 900), "{how}");
    }
}

/// The limits ride along with BEGIN.
#[tokio::test]
async fn a_limit_costs_no_round_trip() {
    let fixture = Fixture::<DB>::new().await;
    let (proxy, options) = DB::by_proxy(fixture.url());
    let db = patient(options).max_sessions(1).connect().await.unwrap();
    let mut trips = [0, 0];
    for round in 0..2 {
        // The first scope prepares its statements.
        let before = proxy.round_trips();
        limited(&db, 2 * round).await.unwrap();
        trips[0] = proxy.round_trips() - before;
        unlimited(&db, 2 * round + 1).await.unwrap();
        trips[1] = proxy.round_trips() - before - trips[0];
    }
    assert_eq!(trips[0], trips[1]);
}

#[transactional(timeout = "20s")]
async fn limited(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional]
async fn unlimited(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(timeout = "600h")]
async fn in_25_days(tx: &mut Tx<DB>) -> Result<Pair, Error> {
    Ok(inside(tx).await?)
}

#[transactional(timeout = "5000000000000h")]
async fn for_ever(tx: &mut Tx<DB>) -> Result<Pair, Error> {
    Ok(inside(tx).await?)
}

/// The limit is longer than the server can count.
#[tokio::test]
async fn a_limit_beyond_the_server_s_own_is_as_long_as_that_can_be() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let before = outside(&db).await;
    for limits in [in_25_days(&*db).await.unwrap(), for_ever(&*db).await.unwrap()] {
        assert!(limits.0 > 24 * 24 * 3_600_000, "{limits:?}");
    }
    assert_eq!(outside(&db).await, before);
}
