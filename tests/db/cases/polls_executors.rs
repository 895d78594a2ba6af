//! Every operation of a handle, a session or a transaction is dropped after every number of polls.

use futures_util::TryStreamExt;
use sqlx::{Executor, SqlSafeStr};

use super::{DB, TestEngine, insert};
use crate::support::dialect::Dialect;
use crate::support::drop_trial::Trial;
use crate::support::observer::Observed;

/// The operations of an executor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Execute,
    ExecuteWithBinds,
    FetchAll,
    FetchOne,
    FetchOptional,
    FetchNone,
    Fetch,
    Prepare,
    Describe,
    Fails,
}

const ALL: [Asked; 10] = [
    Asked::Execute,
    Asked::ExecuteWithBinds,
    Asked::FetchAll,
    Asked::FetchOne,
    Asked::FetchOptional,
    Asked::FetchNone,
    Asked::Fetch,
    Asked::Prepare,
    Asked::Describe,
    Asked::Fails,
];

const ROWS: &str = "SELECT 2 UNION ALL SELECT 3";

async fn ask<'c>(executor: impl Executor<'c, Database = DB>, asked: Asked) {
    match asked {
        Asked::Execute => {
            let inserted = executor.execute("INSERT INTO t (id, n) VALUES (2, 0)");
            assert_eq!(inserted.await.unwrap().rows_affected(), 1);
        }
        Asked::ExecuteWithBinds => {
            let insert = sqlx::query(DB::INSERT_WITH_BINDS).bind(2_i64).bind(0_i64);
            assert_eq!(insert.execute(executor).await.unwrap().rows_affected(), 1);
        }
        Asked::FetchAll => assert_eq!(executor.fetch_all(ROWS).await.unwrap().len(), 2),
        Asked::FetchOne => drop(executor.fetch_one("SELECT 2").await.unwrap()),
        Asked::FetchOptional => assert!(executor.fetch_optional(ROWS).await.unwrap().is_some()),
        Asked::FetchNone => {
            let none = executor.fetch_optional("SELECT id FROM t WHERE id = 77");
            assert!(none.await.unwrap().is_none());
        }
        Asked::Fetch => {
            let mut rows = executor.fetch(ROWS);
            while rows.try_next().await.unwrap().is_some() {}
        }
        Asked::Prepare => {
            drop(executor.prepare(DB::SELECT_WITH_BIND.into_sql_str()).await.unwrap());
        }
        Asked::Describe => {
            drop(executor.describe(DB::SELECT_WITH_BIND.into_sql_str()).await.unwrap());
        }
        Asked::Fails => drop(executor.execute("SELECT id FROM missing").await.unwrap_err()),
    }
}

/// Asserts that the row of a dropped statement is written or not: in autocommit mode nobody knows
/// whether the statement took effect.
async fn assert_written_or_not(trial: &Trial<DB>, asked: Asked, complete: bool) {
    let writes = matches!(asked, Asked::Execute | Asked::ExecuteWithBinds);
    match &trial.ids().await[..] {
        [] => assert!(!(writes && complete), "{asked:?}"),
        [2] => assert!(writes, "{asked:?}"),
        others => panic!("{asked:?}: {others:?}"),
    }
    trial.clear().await;
}

#[tokio::test]
async fn what_the_handle_is_asked_for() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for asked in ALL {
        trial.at_every_point(async |trial, point| {
            let operation = ask(&**trial, asked);
            let complete = trial.drop_at(point, operation).await.is_some();
            trial.assert_recovered((asked, point)).await;
            assert_written_or_not(trial, asked, complete).await;
            complete
        })
        .await;
    }
}

/// The session goes on, unless its connection is one that a drop breaks.
#[tokio::test]
async fn what_a_session_is_asked_for() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for asked in ALL {
        trial.at_every_point(async |trial, point| {
            let mut session = trial.session().await.unwrap();
            let operation = ask(&mut session, asked);
            let complete = trial.drop_at(point, operation).await.is_some();
            let next = session.fetch_one("SELECT 5").await;
            if complete || point.polls == 0 || !DB::DROP_COSTS_SESSION {
                next.unwrap();
            }
            drop(session);
            trial.assert_recovered((asked, point)).await;
            assert_written_or_not(trial, asked, complete).await;
            complete
        })
        .await;
    }
}

/// A dropped statement fails the transaction: nobody knows whether it took effect.
#[tokio::test]
async fn what_a_transaction_is_asked_for() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    for asked in ALL {
        if asked == Asked::Fails && DB::FAILURE_ABORTS {
            continue; // the same whether it is dropped or not
        }
        trial.at_every_point(async |trial, point| {
            let mut tx = trial.begin().await.unwrap();
            insert(&mut tx, 1).await.unwrap();
            let operation = ask(&mut tx, asked);
            let complete = trial.drop_at(point, operation).await.is_some();
            let went_on = insert(&mut tx, 9).await;
            let committed = tx.commit().await;
            trial.assert_recovered((asked, point)).await;
            let whole = complete || point.polls == 0;
            // A row stream may have been between two rows.
            if whole || asked != Asked::Fetch {
                assert_eq!(committed.is_ok(), whole, "{asked:?} {point:?}: {committed:?}");
            }
            assert_eq!(went_on.is_ok(), committed.is_ok(), "{asked:?} {point:?}");
            let mut written = trial.ids().await;
            written.retain(|id| *id != 2);
            let expected: &[i64] = if committed.is_ok() { &[1, 9] } else { &[] };
            assert_eq!(written, expected, "{asked:?} {point:?}");
            trial.clear().await;
            complete
        })
        .await;
    }
}

#[tokio::test]
async fn a_session_that_is_asked_for() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial.at_every_point(async |trial, point| {
        let complete = trial.drop_at(point, Box::pin(trial.session())).await.is_some();
        trial.assert_recovered(point).await;
        complete
    })
    .await;
}
