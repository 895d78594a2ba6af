//! Metrics of callers that are turned away early: under overload, and while there is no server.

use std::time::Duration;

use metrics_util::debugging::DebuggingRecorder;
use txn::Error;

use super::*;
use crate::support::observer::until;

#[tokio::test]
async fn of_callers_that_may_not_wait() {
    check([row(
        "one too many",
        async |place| {
            let session = place.db.session().await.unwrap();
            let error = place.db.begin().await.unwrap_err();
            assert!(error.is_overloaded(), "{error}");
            drop(session);
        },
        "db.client.connection.wait_time 1
         db.client.connection.use_time 1
         txn.callers.refused{overloaded} 1
         txn.scope.duration{a transaction begun by hand root failed waiting} 1",
    )
    .with(|builder| builder.max_sessions(1).max_waiting(0))])
    .await;
}

/// A word of what a client says of itself to its server.
fn greeting() -> &'static str {
    match DB::SYSTEM {
        "mysql" => "root",
        _ => "postgres",
    }
}

/// The number of callers that could not connect, and of those that were not let try.
#[derive(Default)]
struct Turned {
    failed: u32,
    refused: u32,
}

impl Turned {
    fn note(&mut self, error: &Error) {
        match error.is_unavailable() {
            true => self.refused += 1,
            false => self.failed += 1,
        }
    }

    fn assert_told(&self, moved: &[String]) {
        for (what, count) in [
            ("txn.sessions.refused", self.failed),
            ("txn.callers.refused{unavailable}", self.refused),
        ] {
            let line = format!("{what} {count}");
            assert_eq!(moved.contains(&line), count > 0, "{line}: {moved:?}");
        }
    }
}

#[tokio::test]
async fn of_a_server_that_is_out_of_reach_for_a_while() {
    let fixture = Fixture::<DB>::new().await;
    let (Some(proxy), options) = DB::wired(fixture.place()) else {
        return; // SQLite's is in this process.
    };
    let recorder = DebuggingRecorder::new();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let mut ledger = Ledger::listen::<DB>(&recorder);
    let db = patient::<DB>(options).breaker_after(Duration::ZERO);
    let db = db.connect().await.unwrap();
    let session = db.session().await.unwrap();
    ledger.moved();

    let mut turned = Turned::default();
    proxy.cut_at(greeting());
    while turned.refused == 0 {
        turned.note(&db.session().await.unwrap_err());
    }
    let moved = ledger.moved();
    turned.assert_told(&moved);
    assert!(moved.contains(&"txn.breaker.open 1".to_owned()), "{moved:?}");

    let mut turned = Turned::default();
    proxy.release();
    until("the server is found again", async || match db.session().await {
        Ok(_) => true,
        Err(error) => {
            turned.note(&error);
            false
        }
    })
    .await;
    let moved = ledger.moved();
    turned.assert_told(&moved);
    assert!(moved.contains(&"txn.breaker.open -1".to_owned()), "{moved:?}");
    drop(session);
    ledger.moved();
    ledger.assert_agrees_with(&db);
}

#[tokio::test]
async fn of_a_handle_that_goes_while_its_server_is_out_of_reach() {
    let fixture = Fixture::<DB>::new().await;
    let (Some(proxy), options) = DB::wired(fixture.place()) else {
        return;
    };
    let recorder = DebuggingRecorder::new();
    let _listening = metrics::set_default_local_recorder(&recorder);
    let mut ledger = Ledger::listen::<DB>(&recorder);
    let db = patient::<DB>(options).breaker_after(Duration::ZERO);
    let db = db.connect().await.unwrap();
    let session = db.session().await.unwrap();
    proxy.cut_at(greeting());
    while !db.session().await.unwrap_err().is_unavailable() {}
    drop(session);
    db.close().await;
    drop(db);
    let left = ledger.moved();
    let states = ["db.client.connection.count", "db.client.connection.max", "txn.breaker.open"];
    let drifted = left.iter().find(|line| states.iter().any(|state| line.starts_with(state)));
    assert_eq!(drifted, None);
}
