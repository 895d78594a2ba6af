//! Hooks are work that waits for the end of the transaction.

use std::sync::{Arc, Mutex};

use sqlx::Executor;
use txn::{Error, Tx, transactional};

use super::*;

/// The names of the hooks that ran, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn on_commit(&self, tx: &mut Tx<DB>, what: &'static str) {
        let log = self.clone();
        tx.after_commit(async move { log.note(what) });
    }

    fn on_rollback(&self, tx: &mut Tx<DB>, what: &'static str) {
        let log = self.clone();
        tx.after_rollback(move |cause| async move { log.note(format!("{what}: {cause}")) });
    }
}

#[transactional]
async fn register(tx: &mut Tx<DB>, log: &Log, fail: bool) -> Result<(), sqlx::Error> {
    insert(tx, 1).await?;
    log.on_commit(tx, "first");
    log.on_rollback(tx, "undone");
    log.on_commit(tx, "second");
    log.note("body");
    match fail {
        true => Err(sqlx::Error::PoolTimedOut),
        false => Ok(()),
    }
}

#[tokio::test]
async fn hooks_run_once_in_order_after_the_commit() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    register(&*db, &log, false).await.unwrap();
    assert_eq!(log.take(), ["body", "first", "second"]);
    register(&*db, &log, false).await.unwrap_err(); // the key is taken
    assert_eq!(log.take(), Vec::<String>::new());
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn after_a_rollback_only_its_own_hooks_run_and_know_the_cause() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    register(&*db, &log, true).await.unwrap_err();
    let [body, undone] = &log.take()[..] else {
        panic!("two entries")
    };
    assert_eq!(body, "body");
    assert!(undone.starts_with("undone: ") && undone.contains("pool timed out"), "{undone}");
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>, log: &Log, fail: bool) -> Result<(), Error> {
    log.on_commit(tx, "nested commit");
    log.on_rollback(tx, "nested rollback");
    match fail {
        true => Err(sqlx::Error::RowNotFound.into()),
        false => Ok(()),
    }
}

#[tokio::test]
async fn a_hook_belongs_to_the_nested_scope_that_registered_it() {
    let db = Fixture::<DB>::new().await;
    for (fails, commits, expected) in [
        (false, true, vec!["outer before", "nested commit", "outer after"]),
        (true, true, vec!["outer before", "nested rollback", "outer after"]),
        (false, false, vec!["nested rollback"]),
        (true, false, vec!["nested rollback"]),
    ] {
        let log = Log::default();
        let mut tx = db.begin().await.unwrap();
        log.on_commit(&mut tx, "outer before");
        assert_eq!(nested(&mut tx, &log, fails).await.is_err(), fails);
        log.on_commit(&mut tx, "outer after");
        assert!(log.take().is_empty(), "nothing runs before the end");
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        let ran = log.take();
        let ran: Vec<&str> = ran.iter().map(|entry| entry.split(':').next().unwrap()).collect();
        assert_eq!(ran, expected, "{fails} {commits}");
    }
}

#[tokio::test]
async fn a_hook_may_open_a_transaction_of_its_own_in_a_pool_of_one() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1)).await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let inner = db.clone();
    tx.after_commit(async move {
        let mut tx = inner.begin().await.unwrap();
        insert(&mut tx, 2).await.unwrap();
        tx.commit().await.unwrap();
    });
    tx.commit().await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
}

#[tokio::test]
async fn a_hook_that_panics_stops_nothing() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    let mut tx = db.begin().await.unwrap();
    tx.after_commit(async { panic!("a hook's own panic") });
    log.on_commit(&mut tx, "the next");
    insert(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(log.take(), ["the next"]);
    assert_eq!(db.ids().await, [1]);
}

#[tokio::test]
async fn hooks_after_a_refused_commit_are_those_of_a_rollback() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    let mut tx = db.begin().await.unwrap();
    log.on_commit(&mut tx, "committed");
    log.on_rollback(&mut tx, "undone");
    (&mut tx).execute("SELECT 1; COMMIT").await.unwrap();
    tx.commit().await.unwrap_err();
    let ran = log.take();
    assert_eq!(ran.len(), 1, "{ran:?}");
    assert!(ran[0].starts_with("undone: cannot go on, the transaction was ended"), "{ran:?}");
}

#[tokio::test]
async fn hooks_after_a_rollback_that_was_asked_for_know_why() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    let mut tx = db.begin().await.unwrap();
    log.on_commit(&mut tx, "committed");
    log.on_rollback(&mut tx, "undone");
    tx.set_rollback_only("on second thoughts");
    tx.commit().await.unwrap();
    assert_eq!(log.take(), ["undone: on second thoughts"]);
}

#[transactional]
async fn stops(tx: &mut Tx<DB>, log: &Log) -> Result<(), Error> {
    insert(tx, 1).await?;
    log.on_commit(tx, "committed");
    log.on_rollback(tx, "undone");
    nested_stops(tx, log).await
}

#[transactional(nested)]
async fn nested_stops(tx: &mut Tx<DB>, log: &Log) -> Result<(), Error> {
    insert(tx, 2).await?;
    log.on_commit(tx, "nested committed");
    log.on_rollback(tx, "nested undone");
    log.note("in the body");
    std::future::pending().await
}

/// A drop is one of the ways not to commit.
#[tokio::test]
async fn hooks_of_a_dropped_scope_run_after_its_rollback() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    {
        let mut scope = std::pin::pin!(stops(&*db, &log));
        while log.take().is_empty() {
            let moment = std::time::Duration::from_millis(10);
            tokio::time::timeout(moment, scope.as_mut()).await.unwrap_err();
        }
    }
    db.settled().await;
    let mut ran = log.take();
    ran.sort();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert!(ran[0].starts_with("nested undone: it was dropped"), "{ran:?}");
    assert!(ran[1].starts_with("undone: it was dropped"), "{ran:?}");
    assert!(db.ids().await.is_empty());
}

#[tokio::test]
async fn a_hook_before_the_commit_runs_inside_and_may_fail_it() {
    let db = Fixture::<DB>::new().await;
    for balanced in [true, false] {
        let log = Log::default();
        let mut tx = db.begin().await.unwrap();
        log.on_rollback(&mut tx, "undone");
        let id = i64::from(balanced);
        tx.before_commit(move |tx| {
            Box::pin(async move {
                insert(tx, id).await?;
                match balanced {
                    true => Ok(()),
                    false => Err("debit and credit differ".into()),
                }
            })
        });
        let result = tx.commit().await;
        if balanced {
            result.unwrap();
            assert!(log.take().is_empty());
        } else {
            let error = result.unwrap_err();
            assert!(error.to_string().contains("debit and credit differ"), "{error}");
            assert!(log.take()[0].contains("debit and credit differ"));
        }
    }
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

/// A statement that fails inside of the hook is a failure of the transaction, too.
#[tokio::test]
async fn a_hook_before_the_commit_that_swallows_a_failure_is_no_false_ok() {
    let db = Fixture::<DB>::new().await;
    let mut tx = db.begin().await.unwrap();
    tx.before_commit(|tx| {
        Box::pin(async move {
            insert_twice(tx, 1).await.unwrap_err();
            Ok(())
        })
    });
    assert_eq!(tx.commit().await.is_err(), DB::FAILURE_ABORTS);
    assert_eq!(db.ids().await.is_empty(), DB::FAILURE_ABORTS);
}

/// The hooks are shielded like the COMMIT.
#[tokio::test]
async fn hooks_finish_in_the_background_when_the_caller_is_dropped() {
    let db = Fixture::<DB>::new().await;
    let log = Log::default();
    let (go_on, told) = tokio::sync::oneshot::channel::<()>();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    let begun = log.clone();
    tx.after_commit(async move {
        begun.note("begun");
        told.await.unwrap();
        begun.note("ended");
    });
    log.on_commit(&mut tx, "the next");
    {
        let mut commit = std::pin::pin!(tx.commit());
        while log.0.lock().unwrap().is_empty() {
            let moment = std::time::Duration::from_millis(10);
            tokio::time::timeout(moment, commit.as_mut()).await.unwrap_err();
        }
    }
    assert_eq!(log.take(), ["begun"]);
    go_on.send(()).unwrap();
    db.settled().await;
    assert_eq!(log.take(), ["ended", "the next"]);
    assert_eq!(db.ids().await, [1]);
}
