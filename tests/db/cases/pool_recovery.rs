//! Sessions come back to the pool after errors, exhaustion and drops, in whatever order they come.

use std::future::pending;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::yield_now;
use txn::{Db, Error, Tx, transactional};

use super::{DB, Fixture, insert, insert_twice};
use crate::support::drop_points::is_pending;
use crate::support::drop_trial::Trial;

/// The limit that the tests wait out.
const LIMIT: Duration = Duration::from_secs(2);

#[transactional]
async fn pair(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, 2 * id).await?;
    insert(tx, 2 * id + 1).await?;
    Ok(())
}

#[transactional]
async fn fails(tx: &mut Tx<DB>, id: i64, statement: bool) -> Result<(), sqlx::Error> {
    match statement {
        true => insert_twice(tx, id).await,
        false => insert(tx, id).await.and(Err(sqlx::Error::RowNotFound)),
    }
}

#[tokio::test]
async fn leak_detection_under_errors() {
    let mut trial = Trial::<DB>::of_sessions(2).await;
    trial.begin().await.unwrap().commit().await.unwrap();
    let open = trial.status().open;
    for n in 0..10_000 {
        fails(&*trial, n, n % 2 == 0).await.unwrap_err();
        assert_eq!(trial.status().in_use, 0, "after {n} errors");
    }
    assert_eq!(trial.status().open, open, "no session is lost to an error");
    trial.assert_recovered("after all errors").await;
    assert!(trial.ids().await.is_empty());
}

#[tokio::test]
async fn session_wait_timeout() {
    let db =
        Fixture::<DB>::in_haste(|builder| builder.max_sessions(1).acquire_timeout(LIMIT)).await;
    let held = db.begin().await.unwrap();
    let (begun, session) = tokio::join!(db.begin(), db.session());
    for error in [begun.unwrap_err(), session.unwrap_err()] {
        assert!(error.is_acquire_timeout(), "{error}");
        assert!(error.to_string().contains("2s"), "{error}");
    }
    assert_eq!(db.status().waiting, 0);
    held.rollback().await.unwrap();
    pair(&*db, 1).await.unwrap();
    db.assert_at_rest().await;
}

#[tokio::test]
async fn pool_exhaustion_and_recovery() {
    let db =
        Fixture::<DB>::in_haste(|builder| builder.max_sessions(4).acquire_timeout(LIMIT)).await;
    db.fill().await;
    for round in 0..3 {
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(db.session().await.unwrap());
        }
        db.assert_sessions(4, 0, 4, 0);
        for refused in join_all([(); 3].map(|()| Box::pin(pair(&*db, 99)))).await {
            assert!(refused.unwrap_err().is_acquire_timeout());
        }
        held.truncate(2);
        pair(&*db, round).await.unwrap();
        drop(held);
        db.assert_sessions(4, 4, 0, 0);
    }
    assert_eq!(db.ids().await.len(), 6);
}

#[tokio::test]
async fn waiters_and_holders_cancelled_in_reverse_leave_all_sessions_idle() {
    let mut trial = Trial::<DB>::of_sessions(3).await;
    let mut tasks: Vec<_> = (0..9)
        .map(|_| {
            let db = Db::clone(&trial);
            Box::pin(async move {
                let _session = db.session().await.unwrap();
                pending::<()>().await;
            })
        })
        .collect();
    while trial.status().in_use < 3 || trial.status().waiting < 6 {
        for task in &mut tasks {
            assert!(is_pending(task).await);
        }
        yield_now().await;
    }
    while let Some(last) = tasks.pop() {
        drop(last);
        assert!(trial.status().in_use <= 3);
    }
    let status = trial.status();
    assert_eq!((status.in_use, status.waiting), (0, 0), "{status:?}");
    assert_eq!(status.idle, status.open, "{status:?}");
    trial.assert_recovered("all cancelled").await;
}

/// Everything that is out of the pool comes back, in every order; the handle itself may go first.
#[tokio::test]
async fn cleanup_order_does_not_matter() {
    const ORDERS: [[usize; 3]; 6] = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let mut trial = Trial::<DB>::of_sessions(3).await;
    for order in ORDERS {
        let mut tx = trial.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        let mut session = trial.session().await.unwrap();
        let sql = AssertSqlSafe("SELECT id FROM t");
        session.fetch_all(sql).await.unwrap();
        let clone = Db::clone(&trial);
        let mut parts: [Option<Box<dyn std::any::Any>>; 3] = [
            Some(Box::new(tx)),
            Some(Box::new(session)),
            Some(Box::new(clone)),
        ];
        for part in order {
            parts[part] = None;
        }
        trial.assert_recovered(order).await;
        assert!(trial.ids().await.is_empty());
    }

    let place = Fixture::<DB>::new().await;
    let db = Db::<DB>::connect(place.url()).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop(db);
    tx.commit().await.unwrap();
    assert_eq!(place.ids().await, [1]);
}
