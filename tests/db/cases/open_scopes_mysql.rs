//! A scope waits for another's lock. (Two scopes do not wait for each other for long: the server
//! looks at each wait.)

use std::time::Duration;

use txn::{Error, ScopeState, Tx, WaitsFor, transactional};

use super::{DB, Fixture, insert};
use crate::support::observer::until;

#[transactional(name = "waiter")]
async fn waiter(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn a_scope_that_waits_for_a_lock_is_named_with_the_one_that_has_it() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let mut blocker = db.begin().await.unwrap();
    insert(&mut blocker, 1).await.unwrap();
    let seen = async {
        let mut scopes = Vec::new();
        until("it is seen to wait", async || {
            // The server tells news only to those who have not asked for a while.
            tokio::time::sleep(Duration::from_millis(150)).await;
            scopes = db.scopes().await;
            scopes.len() == 2 && scopes[1].waits_for == Some(WaitsFor::Lock)
        })
        .await;
        let (blocking, waiting) = (&scopes[0], &scopes[1]);
        assert_eq!((blocking.state, blocking.waits_for), (ScopeState::Idle, None));
        assert_eq!((waiting.state, waiting.name), (ScopeState::Running, "waiter"));
        let [on] = &waiting.waits_on[..] else {
            panic!("{waiting}")
        };
        assert_eq!((on.name, on.session), (Some(blocking.name), blocking.session));
        assert!(waiting.to_string().contains("waits for a lock held by `a"), "{waiting}");
        blocker.rollback().await.unwrap();
    };
    tokio::join!(waiter(&*db), seen).0.unwrap();
    db.assert_at_rest().await;
}
