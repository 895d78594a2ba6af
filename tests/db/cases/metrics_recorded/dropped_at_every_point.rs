//! Scopes are dropped at every point: whatever has happened, a scope is recorded once, and nothing
//! is left over.

use metrics_util::debugging::DebuggingRecorder;
use txn::{Error, Tx, transactional};

use super::*;
use crate::support::drop_trial::Trial;

#[transactional(name = "all of it")]
async fn all_of_it(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    nested(tx).await?;
    tx.before_commit(|last| Box::pin(async move { Ok(insert(last, 3).await?) }));
    tx.after_commit(tokio::task::yield_now());
    Ok(())
}

#[transactional(name = "a part of it", nested)]
async fn nested(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

/// Counts how often scopes of this name have been recorded.
fn told(moved: &[String], name: &str) -> u32 {
    let of = format!("txn.scope.duration{{{name} ");
    let lines = moved.iter().filter_map(|line| line.strip_prefix(&of));
    let amounts = lines.map(|line| line.rsplit_once(' ').unwrap().1);
    amounts.map(|amount| amount.parse::<u32>().unwrap()).sum()
}

#[tokio::test]
async fn a_scope_that_is_dropped_at_any_point_is_told_of_once() {
    let recorder = DebuggingRecorder::new();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let mut ledger = Ledger::listen::<DB>(&recorder);
    let mut trial = Trial::<DB>::of_sessions(2).await;
    ledger.moved();
    trial
        .at_every_point(async |trial, point| {
            let complete = trial.drop_at(point, Box::pin(all_of_it(&**trial))).await;
            trial.settled().await;
            let moved = ledger.moved();
            assert_eq!(told(&moved, "all of it"), u32::from(point.polls > 0), "{moved:?}");
            assert!(told(&moved, "a part of it") <= 1, "{moved:?}");
            let ended = "txn.scope.duration{all of it root committed end} 1".to_owned();
            assert_eq!(moved.contains(&ended), complete.is_some(), "{moved:?}");
            trial.clear().await;
            complete.is_some()
        })
        .await;
}

#[tokio::test]
async fn states_are_shown_as_they_are_while_they_last() {
    let place = Fixture::<DB>::new().await;
    let recorder = DebuggingRecorder::new();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let mut ledger = Ledger::listen::<DB>(&recorder);
    let db = patient::<DB>(place.url().parse().unwrap()).max_sessions(2).pool_name("mine");
    let db = db.connect().await.unwrap();
    let mut session = db.session().await.unwrap();
    let other = db.session().await.unwrap();
    let mut waits = Box::pin(db.begin());
    assert!(crate::support::drop_points::is_pending(&mut waits).await);
    ledger.moved();
    ledger.assert_agrees_with(&db);
    assert_eq!((db.status().waiting, ledger.utilization()), (1, 1.0));
    drop(waits);
    drop(other);
    ledger.moved();
    ledger.assert_agrees_with(&db);
    assert_eq!((db.status().in_use, ledger.utilization()), (1, 0.5));
    session.connection();
    drop(session);
    assert_eq!(db.status().settling, 1);
    ledger.moved();
    ledger.assert_agrees_with(&db);
    db.close().await;
    ledger.moved();
    ledger.assert_agrees_with(&db);
}
