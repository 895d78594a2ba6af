//! Two scopes wait for each other, before PostgreSQL ends that.

use sqlx::Executor;
use tokio::sync::Barrier;
use txn::{Error, OpenScope, ScopeState, Tx, WaitsFor, transactional};

use super::{DB, Fixture, insert};
use crate::support::observer::until;

#[transactional(name = "first")]
async fn first(tx: &mut Tx<DB>, both: &Barrier) -> Result<(), Error> {
    crossing(tx, 1, 2, both).await
}

#[transactional(name = "second")]
async fn second(tx: &mut Tx<DB>, both: &Barrier) -> Result<(), Error> {
    crossing(tx, 2, 1, both).await
}

/// The server's own search must not find this deadlock during the test.
async fn crossing(tx: &mut Tx<DB>, own: i64, other: i64, both: &Barrier) -> Result<(), Error> {
    tx.execute("SET LOCAL deadlock_timeout = '1h'").await?;
    insert(tx, own).await?;
    both.wait().await;
    Ok(insert(tx, other).await?)
}

#[tokio::test]
async fn two_scopes_that_wait_for_each_other_are_both_named() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let both = Barrier::new(2);
    let mut scopes: Vec<OpenScope> = Vec::new();
    let seen = until("both wait", async || {
        scopes = db.scopes().await;
        let waits = |scope: &OpenScope| scope.waits_for == Some(WaitsFor::Lock);
        scopes.len() == 2 && scopes.iter().all(waits)
    });
    tokio::select! {
        _ = first(&*db, &both) => unreachable!("it waits for the other one"),
        _ = second(&*db, &both) => unreachable!("it waits for the other one"),
        () = seen => {}
    }
    for (scope, other) in [(0, 1), (1, 0)].map(|(a, b)| (&scopes[a], &scopes[b])) {
        assert_eq!(scope.state, ScopeState::Running);
        let [on] = &scope.waits_on[..] else {
            panic!("{scope}")
        };
        assert_eq!(
            (on.name, on.session, on.location),
            (Some(other.name), other.session, other.location)
        );
        let held = format!(
            "waits for a lock held by `{}` ({}, session {})",
            other.name,
            other.location.unwrap(),
            other.session.unwrap()
        );
        assert!(scope.to_string().ends_with(&held), "{scope}");
    }
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());
}
