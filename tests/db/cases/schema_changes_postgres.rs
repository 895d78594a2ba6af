//! More of a session's memory can be out of date on PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Executor, PgConnection};
use txn::{Db, Error, Postgres, Tx, transactional};

use super::Fixture;

#[derive(sqlx::Type, Debug, PartialEq, Clone, Copy)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Glad,
}

#[transactional(retry)]
async fn feel(tx: &mut Tx<Postgres>) -> Result<u32, Error> {
    let feel = sqlx::query_scalar("SELECT $1").bind(Mood::Glad);
    let mood: Mood = feel.fetch_one(&mut *tx).await?;
    assert_eq!(mood, Mood::Glad);
    Ok(tx.attempt())
}

#[transactional(retry)]
async fn one(tx: &mut Tx<Postgres>) -> Result<u32, Error> {
    sqlx::query("SELECT 1").execute(&mut *tx).await?;
    Ok(tx.attempt())
}

/// Prepares the statement on all sessions.
async fn warm(db: &Db<Postgres>, max: usize, on: impl AsyncFn(&mut PgConnection)) {
    let mut sessions = Vec::new();
    for _ in 0..max {
        let mut session = db.session().await.unwrap();
        on(session.connection()).await;
        sessions.push(session);
    }
    drop(sessions);
    db.settled().await;
}

/// A type has a number on the server, which sessions remember by its name.
#[tokio::test]
async fn a_type_that_was_dropped_and_made_again_costs_one_failure_at_most() {
    let db = Fixture::<Postgres>::of_sessions(3).await;
    let admin = Db::<Postgres>::connect(db.url()).await.unwrap();
    let make = "CREATE TYPE mood AS ENUM ('glad')";
    admin.execute(make).await.unwrap();
    warm(&db, 3, async |connection| {
        let feel = sqlx::query("SELECT $1").bind(Mood::Glad);
        feel.execute(connection).await.unwrap();
    })
    .await;
    for round in 0..2 {
        admin.execute("DROP TYPE mood").await.unwrap();
        admin.execute(make).await.unwrap();
        let attempts = feel(&*db).await.unwrap();
        assert_eq!(attempts, 2, "round {round}");
        for _ in 0..6 {
            assert_eq!(feel(&*db).await.unwrap(), 1);
        }
    }
    db.assert_at_rest().await;
}

#[tokio::test]
async fn so_does_a_session_whose_statements_were_discarded() {
    for discard in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let db = Fixture::<Postgres>::of_sessions(1).await;
        assert_eq!(one(&*db).await.unwrap(), 1);
        db.execute(discard).await.unwrap();
        assert_eq!(one(&*db).await.unwrap(), 2, "{discard}");
        assert_eq!(one(&*db).await.unwrap(), 1, "{discard}");
        db.assert_at_rest().await;
    }
}

#[transactional(retry)]
async fn of_ones_own(tx: &mut Tx<Postgres>, tries: &AtomicU32) -> Result<(), Error> {
    tries.fetch_add(1, Ordering::Relaxed);
    tx.execute("EXECUTE nobody_has_prepared_this").await?;
    Ok(())
}

/// The program has to prepare the statement, and no second attempt does.
#[tokio::test]
async fn a_statement_that_the_user_has_not_prepared_is_no_reason_to_try_again() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    let tries = AtomicU32::new(0);
    let error = of_ones_own(&*db, &tries).await.unwrap_err();
    assert_eq!(error.code().as_deref(), Some("26000"));
    assert!(!error.is_retryable(), "{error}");
    assert_eq!(tries.into_inner(), 1);
}

/// The words are the server's, in its language, and do not count.
#[tokio::test]
async fn an_error_that_only_has_the_code_is_none_of_these() {
    let db = Fixture::<Postgres>::of_sessions(1).await;
    let raise = "DO $$ BEGIN RAISE 'no such thing' USING ERRCODE = '0A000'; END $$";
    let error = Error::from(db.execute(raise).await.unwrap_err());
    assert!(!error.is_retryable(), "{error}");
}
