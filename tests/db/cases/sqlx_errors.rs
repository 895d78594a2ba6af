//! Code that was written for sqlx sees the errors of transactions: in the variant that sqlx would
//! have given, with the driver's own error inside, and ours found in there.

use std::io::ErrorKind;
use std::mem::discriminant;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Connection, Executor};
use txn::{Db, DbBuilder, Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert, insert_twice};
use crate::support::dialect::Dialect;
use crate::support::route::Route;

type Driver = <DB as Dialect>::DriverError;

#[transactional(name = "writes")]
async fn writes(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await
}

/// Gets a session in each way, through the types of sqlx.
async fn on_every_way(db: &Db<DB>) -> Vec<sqlx::Error> {
    let write = "INSERT INTO t (id, n) VALUES (9, 0)";
    let (mut one, mut two) = (db.fetch(write), db.fetch(write));
    let all = tokio::join!(
        writes(db),
        db.begin(),
        db.execute(write),
        db.fetch_one(write),
        db.fetch_optional(write),
        db.fetch_all(write),
        one.try_next(),
        two.next(),
    );
    vec![
        all.0.unwrap_err(),
        all.1.unwrap_err().into(),
        all.2.unwrap_err(),
        all.3.unwrap_err(),
        all.4.err().unwrap(),
        all.5.err().unwrap(),
        all.6.err().unwrap(),
        all.7.unwrap().err().unwrap(),
    ]
}

async fn with_one_session_taken() -> (Fixture<DB>, Tx<DB>) {
    let limit = Duration::from_secs(2);
    let limited = |builder: DbBuilder<DB>| builder.max_sessions(1).acquire_timeout(limit);
    let db = Fixture::<DB>::in_haste(limited).await;
    let held = db.begin().await.unwrap();
    (db, held)
}

#[tokio::test]
async fn where_no_session_is_to_be_had_it_is_as_with_a_pool_of_sqlx() {
    let (db, held) = with_one_session_taken().await;
    for error in on_every_way(&db).await {
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
        let ours = Error::of(&error).unwrap();
        assert!(ours.is_acquire_timeout() && ours.is_timeout(), "{ours}");
        assert!(!ours.is_closed() && !ours.is_connection(), "{ours}");
        assert_eq!(ours.public_message(), "too busy at the moment, please try again later");
    }
    held.rollback().await.unwrap();
}

/// The error is converted as `?` does it, where the function returns our own error.
#[tokio::test]
async fn turned_back_at_once_it_says_who_held_the_sessions() {
    let (db, held) = with_one_session_taken().await;
    let error = Error::from(writes(&*db).await.unwrap_err());
    assert!(error.is_acquire_timeout(), "{error}");
    assert_eq!(error.holders().len(), 1, "{error}");
    assert!(error.to_string().contains("(in `writes`)"), "{error}");
    let again = Error::from(sqlx::Error::from(error));
    assert!(again.to_string().contains("(in `writes`)"), "{again}");
    let alone = Error::from(db.execute("DELETE FROM t").await.unwrap_err());
    assert_eq!(alone.holders().len(), 1, "{alone}");
    held.rollback().await.unwrap();
}

/// An error says no figures rather than those of another pool.
#[tokio::test]
async fn of_two_at_once_nobody_can_say_which_is_which() {
    let (db, held) = with_one_session_taken().await;
    let (one, other) = tokio::join!(writes(&*db), db.execute("DELETE FROM t"));
    for error in [one.unwrap_err(), other.unwrap_err()] {
        let error = Error::from(error);
        assert!(error.is_acquire_timeout() && error.holders().is_empty(), "{error}");
        assert!(!error.to_string().contains("writes"), "{error}");
    }
    held.rollback().await.unwrap();
}

#[tokio::test]
async fn in_another_task_it_is_what_it_says_and_no_more() {
    let (db, held) = with_one_session_taken().await;
    let error = writes(&*db).await.unwrap_err();
    let elsewhere = tokio::spawn(async { Error::from(error) }).await.unwrap();
    assert!(elsewhere.is_acquire_timeout() && elsewhere.holders().is_empty(), "{elsewhere}");
    // A closed pool is another matter.
    let closed = Error::from(sqlx::Error::PoolClosed);
    assert!(closed.is_closed() && !closed.is_acquire_timeout(), "{closed}");
    held.rollback().await.unwrap();
}

#[tokio::test]
async fn a_handle_that_is_closed_is_as_a_pool_of_sqlx_that_is() {
    let db = Fixture::<DB>::new().await;
    db.close().await;
    for error in on_every_way(&db).await {
        assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
        assert!(Error::of(&error).unwrap().is_closed());
    }
    let _forgotten = tokio::spawn(async {}).await;
    let error = Error::from(writes(&*db).await.unwrap_err());
    assert!(error.is_closed(), "{error}");
}

#[transactional(requires_new)]
async fn needs_another(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await
}

#[tokio::test]
async fn one_who_would_wait_for_ever_is_told_so_as_well() {
    if DB::ONE_WRITER {
        return; // refused before
    }
    let db = Fixture::<DB>::of_sessions(1).await;
    let mut tx = db.begin().await.unwrap();
    let error = needs_another(&mut tx).await.unwrap_err();
    assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
    let error = Error::from(error);
    assert!(error.to_string().starts_with("would wait for a second session for ever"), "{error}");
}

#[tokio::test]
async fn a_server_out_of_reach_is_told_as_sqlx_tells_it() {
    let directory = tempfile::tempdir().unwrap();
    for url in DB::unreachable(directory.path()) {
        let plain = <DB as sqlx::Database>::Connection::connect(&url).await.err().unwrap();
        let text = Db::<DB>::connect(&url).await.unwrap_err().to_string();
        let error = sqlx::Error::from(Db::<DB>::connect(&url).await.unwrap_err());
        assert_eq!(discriminant(&error), discriminant(&plain), "{error:?} {plain:?}");
        if let (sqlx::Error::Io(error), sqlx::Error::Io(plain)) = (&error, &plain) {
            assert_eq!(error.kind(), plain.kind());
        }
        if let sqlx::Error::Database(error) = &error {
            error.downcast_ref::<Driver>();
        }
        let ours = Error::of(&error).unwrap();
        assert!(ours.is_connection() && ours.to_string() == text, "{ours}");
        assert_eq!(ours.public_message(), "not available at the moment, please try again later");
        assert_eq!(Error::from(error).to_string(), text);
    }
}

#[tokio::test]
async fn callers_that_the_breaker_refuses_are_told_so_too() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(1).breaker_after(Some(Duration::from_millis(1))))
        .await;
    db.session().await.unwrap().connection().ping().await.unwrap();
    let session = db.session().await.unwrap();
    route.block();
    drop(session);
    db.settled().await;
    let unreachable = async {
        loop {
            let Err(error) = db.fetch_one("SELECT 1").await else { return None };
            if Error::of(&error).is_some_and(Error::is_unavailable) {
                return Some(error);
            }
        }
    };
    // There is nothing to refuse while the one session is still good.
    let refused = tokio::time::timeout(Duration::from_secs(20), unreachable).await.unwrap();
    if let Some(error) = refused {
        assert!(matches!(error, sqlx::Error::Io(_)), "{error:?}");
        assert!(Error::from(error).is_unavailable());
    }
    route.unblock();
}

#[transactional(timeout = "20ms")]
async fn too_late(_tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    std::future::pending().await
}

#[tokio::test]
async fn a_scope_over_its_time_is_an_io_error_that_timed_out() {
    let db = Fixture::<DB>::new().await;
    let error = too_late(&*db).await.unwrap_err();
    assert!(
        matches!(&error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut),
        "{error:?}"
    );
    let ours = Error::of(&error).unwrap();
    assert!(ours.is_timeout() && !ours.is_acquire_timeout(), "{ours}");
    assert!(ours.to_string().contains("::too_late"), "{ours}");
    let public = ours.public_message();
    assert_eq!(public, "this took too long and was given up");
}

#[transactional]
async fn joined(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound)
}

#[transactional]
async fn swallows(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    joined(tx).await.unwrap_err();
    Ok(())
}

#[transactional]
async fn commits_by_hand(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    tx.execute("COMMIT").await.map(drop)
}

#[transactional(nested)]
async fn commits_by_hand_nested(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    tx.fetch("COMMIT").try_next().await.map(drop)
}

#[transactional]
async fn goes_on(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert_twice(tx, 1).await.unwrap_err();
    insert(tx, 2).await
}

/// An error that sqlx knows nothing of is in no variant that says something else, and above all in
/// none whose arms ask for the driver's own error.
#[tokio::test]
async fn what_sqlx_does_not_know_is_no_error_of_the_database() {
    let db = Fixture::<DB>::new().await;
    let mut errors = vec![
        swallows(&*db).await.unwrap_err(),
        commits_by_hand(&*db).await.unwrap_err(),
        db.execute("COMMIT").await.unwrap_err(),
        db.session().await.unwrap().execute("COMMIT").await.unwrap_err(),
    ];
    if let (true, Err(error)) = (DB::FAILURE_ABORTS, goes_on(&*db).await) {
        assert!(Error::of(&error).unwrap().is_aborted());
        errors.push(error);
    }
    let mut tx = db.begin().await.unwrap();
    errors.extend([
        commits_by_hand_nested(&mut tx).await.unwrap_err(),
        tx.fetch_one("COMMIT").await.unwrap_err(),
    ]);
    for error in errors {
        assert!(matches!(error, sqlx::Error::Configuration(_)), "{error:?}");
        let text = Error::of(&error).unwrap().to_string();
        assert!(error.to_string().ends_with(&text), "{error}");
        assert_eq!(Error::of(&error).unwrap().public_message(), "an internal error occurred");
        assert_eq!(Error::from(error).to_string(), text);
    }
    tx.rollback().await.unwrap();
}

#[transactional]
async fn hook_fails(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    tx.before_commit(|tx| Box::pin(async move { Ok(insert(tx, 1).await?) }));
    Ok(())
}

#[tokio::test]
async fn the_drivers_error_is_found_behind_a_hook_that_returned_it() {
    let db = Fixture::<DB>::new().await;
    let error = hook_fails(&*db).await.unwrap_err();
    assert!(Error::of(&error).unwrap().to_string().contains("hook before the commit"), "{error}");
    let database = error.as_database_error().unwrap();
    assert!(database.is_unique_violation(), "{database}");
    database.downcast_ref::<Driver>();
    let mut database = error.into_database_error().unwrap();
    database.as_error_mut().downcast_mut::<Driver>().unwrap();
    database.downcast::<Driver>();
}

/// The constraint is deferred, so that the COMMIT finds out.
#[transactional]
async fn breaks_a_promise(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    tx.execute("INSERT INTO child (id, parent) VALUES (1, 7)").await.map(drop)
}

#[tokio::test]
async fn a_constraint_that_fails_at_the_commit_is_the_drivers_own_error() {
    let Some(create) = DB::DEFERRED else { return };
    let db = Fixture::<DB>::new().await;
    db.execute(create).await.unwrap();
    let error = breaks_a_promise(&*db).await.unwrap_err();
    let ours = Error::of(&error).unwrap();
    assert!(ours.to_string().starts_with("cannot commit, nothing was written"), "{ours}");
    assert!(!ours.is_retryable(), "{ours}");
    let text = ours.to_string();
    let database = error.as_database_error().unwrap();
    assert!(database.is_foreign_key_violation(), "{database}");
    DB::assert_details(database.downcast_ref::<Driver>());
    assert!(database.try_downcast_ref::<Driver>().is_some());
    let ours = Error::from(error);
    assert_eq!(ours.to_string(), text);
    let error = sqlx::Error::from(ours).into_database_error().unwrap();
    DB::assert_details(&error.try_downcast::<Driver>().ok().unwrap());
}

#[test]
fn other_errors_of_sqlx_are_not_ours() {
    for error in [
        sqlx::Error::RowNotFound,
        sqlx::Error::WorkerCrashed,
        sqlx::Error::Io(ErrorKind::Other.into()),
    ] {
        assert!(Error::of(&error).is_none(), "{error}");
        let (kind, text) = (discriminant(&error), error.to_string());
        let ours = Error::from(error);
        assert_eq!(ours.to_string(), text);
        assert_eq!(discriminant(&sqlx::Error::from(ours)), kind);
    }
}
