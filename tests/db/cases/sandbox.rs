//! A sandbox is a database of one transaction that never commits, for tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use tokio::time::timeout;
use txn::{Error, Sandbox, Tx, transactional};

use super::*;
use crate::support::drop_points::{PLENTY, poll_at_most};
use crate::support::observer::PATIENCE;

#[transactional(name = "put")]
async fn put(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<(), sqlx::Error> {
    insert(tx, id).await?;
    match fail {
        true => Err(sqlx::Error::PoolTimedOut),
        false => Ok(()),
    }
}

#[transactional(nested)]
async fn put_nested(tx: &mut Tx<DB>, id: i64, fail: bool) -> Result<(), sqlx::Error> {
    put(tx, id, fail).await
}

async fn ids(sandbox: &Sandbox<DB>) -> Vec<i64> {
    let rows = sandbox.fetch_all("SELECT id FROM t ORDER BY id").await;
    rows.unwrap().iter().map(DB::number).collect()
}

#[tokio::test]
async fn its_session_is_in_use_again_when_a_dropped_scope_is_settled() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let sandbox = db.sandbox().await.unwrap();
    drop(sandbox.begin().await.unwrap());
    // This waits until the session is back in the sandbox.
    let tx = sandbox.begin().await.unwrap();
    db.assert_sessions(1, 0, 1, 0);
    tx.rollback().await.unwrap();
    sandbox.close().await;
    db.assert_at_rest().await;
}

#[tokio::test]
async fn what_is_committed_in_it_is_seen_in_it_and_nowhere_else() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    put(&sandbox, 1, false).await.unwrap();
    put(&*sandbox, 2, true).await.unwrap_err();
    put(sandbox.db(), 3, false).await.unwrap();
    assert_eq!(ids(&sandbox).await, [1, 3]);
    assert!(db.ids().await.is_empty());
    sandbox.close().await;
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn scopes_inside_of_scopes_and_transactions_by_hand_are_as_they_are_elsewhere() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let mut tx = sandbox.begin().await.unwrap();
    put(&mut tx, 1, false).await.unwrap();
    put_nested(&mut tx, 2, true).await.unwrap_err();
    put_nested(&mut tx, 3, false).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&sandbox).await, [1, 3]);

    let mut tx = sandbox.begin().await.unwrap();
    put(&mut tx, 4, true).await.unwrap_err();
    assert!(tx.commit().await.unwrap_err().is_rollback_only());
    let mut tx = sandbox.begin().await.unwrap();
    insert(&mut tx, 5).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(ids(&sandbox).await, [1, 3]);
}

#[transactional]
async fn swallows_a_failure(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 2).await?;
    insert(tx, 1).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_scope_whose_statement_failed_commits_only_where_it_would_elsewhere() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    put(&sandbox, 1, false).await.unwrap();
    let result = swallows_a_failure(&sandbox).await;
    assert_eq!(result.is_err_and(|error| error.is_aborted()), DB::FAILURE_ABORTS);
    let expected: &[i64] = if DB::FAILURE_ABORTS { &[1] } else { &[1, 2] };
    assert_eq!(ids(&sandbox).await, expected);
}

#[tokio::test]
async fn a_statement_on_the_handle_that_fails_is_undone_alone() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    sandbox.execute("INSERT INTO t VALUES (1, 0)").await.unwrap();
    sandbox.execute("INSERT INTO t VALUES (1, 0)").await.unwrap_err();
    sandbox.fetch_optional("SELECT wrong").await.unwrap_err();
    sandbox.prepare(sqlx::SqlStr::from_static("SELECT id FROM t")).await.unwrap();
    assert_eq!(ids(&sandbox).await, [1]);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn register(&self, tx: &mut Tx<DB>, committed: &'static str, rolled_back: &'static str) {
        let log = self.clone();
        tx.after_commit(async move { log.note(committed) });
        let log = self.clone();
        tx.after_rollback(move |_| async move { log.note(rolled_back) });
    }
}

#[transactional(name = "order")]
async fn order(
    tx: &mut Tx<DB>,
    log: &Log,
    fail: bool,
    inner_fails: bool,
) -> Result<(), sqlx::Error> {
    log.register(tx, "ordered", "not ordered");
    insert(tx, 1).await?;
    audit(tx, log, inner_fails).await.ok();
    log.note("after the audit");
    tx.fetch_all("SELECT id FROM t").await?;
    match fail {
        true => Err(sqlx::Error::PoolTimedOut),
        false => Ok(()),
    }
}

#[transactional(requires_new, name = "audit")]
async fn audit(tx: &mut Tx<DB>, log: &Log, fail: bool) -> Result<(), sqlx::Error> {
    log.register(tx, "audited", "not audited");
    insert(tx, 2).await?;
    match fail {
        true => Err(sqlx::Error::PoolTimedOut),
        false => Ok(()),
    }
}

#[tokio::test]
async fn hooks_run_when_the_scope_has_ended() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let log = Log::default();
    for fail in [false, true] {
        let mut tx = sandbox.begin().await.unwrap();
        log.register(&mut tx, "committed", "rolled back");
        match fail {
            false => tx.commit().await.unwrap(),
            true => tx.rollback().await.unwrap(),
        }
        assert_eq!(log.take(), [["committed", "rolled back"][usize::from(fail)]]);
    }
}

#[tokio::test]
async fn hooks_are_captured_where_that_was_asked_for() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    sandbox.capture_hooks();
    let log = Log::default();
    for fail in [false, true] {
        let mut tx = sandbox.begin().await.unwrap();
        log.register(&mut tx, "committed", "rolled back");
        match fail {
            false => tx.commit().await.unwrap(),
            true => tx.rollback().await.unwrap(),
        }
    }
    assert_eq!(log.take(), ["rolled back"]);
    let hooks = sandbox.committed_hooks();
    assert_eq!(hooks.len(), 1);
    assert!(sandbox.committed_hooks().is_empty());
    for hook in hooks {
        assert_eq!(hook.scope(), "a transaction begun by hand");
        hook.run().await;
    }
    assert_eq!(log.take(), ["committed"]);
}

/// SQLite refuses it, as it does outside of a sandbox.
#[tokio::test]
async fn requires_new_has_an_outcome_and_hooks_of_its_own() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let log = Log::default();
    order(&sandbox, &log, false, false).await.unwrap();
    if DB::ONE_WRITER {
        assert_eq!(log.take(), ["after the audit", "ordered"]);
        assert_eq!(ids(&sandbox).await, [1]);
        return;
    }
    assert_eq!(log.take(), ["audited", "after the audit", "ordered"]);
    assert_eq!(ids(&sandbox).await, [1, 2]);
    sandbox.execute("DELETE FROM t").await.unwrap();
    order(&sandbox, &log, false, true).await.unwrap();
    assert_eq!(log.take(), ["not audited", "after the audit", "ordered"]);
    assert_eq!(ids(&sandbox).await, [1]);
    sandbox.execute("DELETE FROM t").await.unwrap();
    order(&sandbox, &log, true, true).await.unwrap_err();
    assert_eq!(log.take(), ["not audited", "after the audit", "not ordered"]);
    assert!(ids(&sandbox).await.is_empty());
}

#[tokio::test]
async fn where_a_sandbox_would_differ_it_refuses_to_go_on() {
    if DB::ONE_WRITER {
        return; // where `requires_new` is refused in a write scope
    }
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let log = Log::default();
    order(&sandbox, &log, true, false).await.unwrap_err();
    assert_eq!(log.take(), ["audited", "after the audit", "not ordered"]);
    let error = put(&sandbox, 3, false).await.unwrap_err().to_string();
    assert!(error.contains("`audit` (`requires_new`)"), "{error}");
    assert!(error.contains("inside of `order`"), "{error}");
    sandbox.close().await;
    assert!(db.ids().await.is_empty());
    db.assert_at_rest().await;
}

#[transactional(requires_new, read_only, timeout = "300ms")]
async fn has_a_hook_that_never_ends(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.before_commit(|_| Box::pin(std::future::pending()));
    Ok(())
}

#[transactional(read_only)]
async fn goes_on_after_that(tx: &mut Tx<DB>) -> Result<(), Error> {
    let error = has_a_hook_that_never_ends(tx).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    number(tx, "SELECT COUNT(*) FROM t").await?;
    Ok(())
}

/// The limit of a scope includes all that comes before its end, as everywhere.
#[tokio::test]
async fn requires_new_is_over_its_timeout_at_its_end_too() {
    let db = Fixture::<DB>::of_sessions(3).await;
    let sandbox = db.sandbox().await.unwrap();
    for handle in [&*db, &*sandbox] {
        let went_on = timeout(PATIENCE, goes_on_after_that(handle)).await;
        went_on.expect("it waits for ever").unwrap();
    }
    sandbox.close().await;
    db.assert_at_rest().await;
}

#[transactional(requires_new, read_only, name = "look")]
async fn look(tx: &mut Tx<DB>) -> Result<i64, sqlx::Error> {
    assert!(tx.is_read_only());
    let write = tx.execute("INSERT INTO t VALUES (9, 0)").await;
    assert!(write.unwrap_err().to_string().contains("read_only"));
    sqlx::query_scalar("SELECT COUNT(*) FROM t").fetch_one(tx).await
}

#[transactional]
async fn looks_in_between(tx: &mut Tx<DB>) -> Result<i64, sqlx::Error> {
    insert(tx, 1).await?;
    let seen = look(tx).await?;
    assert!(!tx.is_read_only());
    insert(tx, 2).await?;
    Ok(seen)
}

#[tokio::test]
async fn a_reader_on_its_own_leaves_its_caller_a_writer() {
    if DB::ONE_WRITER {
        return; // refused at the word `requires_new`: a writer is around it
    }
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    assert_eq!(looks_in_between(&sandbox).await.unwrap(), 1);
    assert_eq!(ids(&sandbox).await, [1, 2]);
}

#[transactional(read_only)]
async fn writes_against_its_word(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    insert(tx, id).await
}

#[transactional(isolation = serializable, timeout = "60s", retry)]
async fn asks_for_everything(tx: &mut Tx<DB>, id: i64) -> Result<(), sqlx::Error> {
    insert(tx, id).await
}

#[tokio::test]
async fn what_an_annotation_asks_for_holds_for_its_scope_only() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    writes_against_its_word(&sandbox, 1).await.unwrap_err();
    put(&sandbox, 2, false).await.unwrap();
    asks_for_everything(&sandbox, 3).await.unwrap();
    put(&sandbox, 4, false).await.unwrap();
    assert_eq!(ids(&sandbox).await, [2, 3, 4]);
}

#[tokio::test]
async fn sandboxes_in_one_database_know_nothing_of_each_other() {
    if DB::ONE_WRITER {
        return; // one waits for the other
    }
    let db = Fixture::<DB>::new().await;
    let (one, other) = (db.sandbox().await.unwrap(), db.sandbox().await.unwrap());
    put(&one, 1, false).await.unwrap();
    put(&other, 2, false).await.unwrap();
    assert_eq!((ids(&one).await, ids(&other).await), (vec![1], vec![2]));
    drop((one, other));
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());
}

#[tokio::test]
async fn a_scope_on_the_handle_inside_of_a_scope_is_told_who_holds_the_session() {
    let limit = Duration::from_secs(2);
    let db = Fixture::<DB>::in_haste(|builder| builder.acquire_timeout(limit)).await;
    let sandbox = db.sandbox().await.unwrap();
    let tx = sandbox.begin().await.unwrap();
    let error = put(&sandbox, 1, false).await.unwrap_err();
    let error = Error::from(error);
    assert!(error.is_acquire_timeout(), "{error}");
    assert!(error.to_string().contains("`a transaction begun by hand` holds it"), "{error}");
    tx.rollback().await.unwrap();
    put(&sandbox, 1, false).await.unwrap();
}

#[tokio::test]
async fn what_has_no_place_in_it_is_refused_in_words() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let error = sandbox.session().await.unwrap_err().to_string();
    assert!(error.contains("a sandbox has none"), "{error}");
    let error = sandbox.sandbox().await.unwrap_err().to_string();
    assert!(error.contains("sandbox already"), "{error}");
    let error = sandbox.execute("COMMIT").await.unwrap_err().to_string();
    assert!(error.contains("`COMMIT` was refused"), "{error}");
    put(&sandbox, 1, false).await.unwrap();
}

#[tokio::test]
async fn it_ends_with_its_handle_or_by_close_and_refuses_scopes_from_then_on() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let handle = sandbox.db().clone();
    put(&sandbox, 1, false).await.unwrap();
    let tx = handle.begin().await.unwrap();
    drop(sandbox);
    assert!(handle.is_closed() && !db.is_closed());
    assert!(Error::from(put(&handle, 2, false).await.unwrap_err()).is_closed());
    tx.commit().await.unwrap();
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());

    let sandbox = db.sandbox().await.unwrap();
    sandbox.db().close().await;
    assert!(sandbox.is_closed());
    sandbox.close().await;
    db.assert_at_rest().await;
}

#[tokio::test]
async fn whoever_closes_it_waits_until_it_has_ended() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let sandbox = db.sandbox().await.unwrap();
    put(&sandbox, 1, false).await.unwrap();
    let second = async {
        sandbox.db().close().await;
        db.assert_sessions(1, 1, 0, 0);
    };
    tokio::join!(sandbox.db().close(), second);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn the_raw_connection_may_be_used_and_not_be_committed() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    let mut tx = sandbox.begin().await.unwrap();
    tx.connection().await.unwrap().execute("INSERT INTO t VALUES (1, 0)").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&sandbox).await, [1]);

    let mut tx = sandbox.begin().await.unwrap();
    tx.connection().await.unwrap().execute("ROLLBACK").await.unwrap();
    assert!(tx.commit().await.unwrap_err().is_aborted());
    let error = put(&sandbox, 2, false).await.unwrap_err().to_string();
    assert!(error.contains("lost its transaction"), "{error}");
    sandbox.close().await;
    db.assert_at_rest().await;
    assert!(db.ids().await.is_empty());
}

/// A scope with all that it may have inside is dropped at each poll, and the next scope never sees
/// half of it.
#[tokio::test]
async fn a_scope_dropped_anywhere_leaves_nothing_in_the_sandbox() {
    let db = Fixture::<DB>::new().await;
    for polls in 0..PLENTY {
        let sandbox = db.sandbox().await.unwrap();
        put(&sandbox, 10, false).await.unwrap();
        let done = poll_at_most(polls, drops(&sandbox)).await;
        sandbox.settled().await;
        match sandbox.fetch_all("SELECT id FROM t ORDER BY id").await {
            Ok(rows) => {
                let ids: Vec<_> = rows.iter().map(DB::number).collect();
                let whole = [1, 2, 10].as_slice();
                let committed = ids == whole;
                assert!(committed || ids == [10], "{ids:?} after {polls} polls");
                assert!(committed || done.is_none());
                put(&sandbox, 11, false).await.unwrap();
            }
            // A drop in flight costs the session there, and the sandbox with it.
            Err(error) => assert!(error.to_string().contains("lost its transaction"), "{error}"),
        }
        sandbox.close().await;
        db.assert_at_rest().await;
        assert!(db.ids().await.is_empty());
        if let Some(done) = done {
            return done.unwrap();
        }
    }
    panic!("not complete after {PLENTY} polls");
}

#[transactional]
async fn drops(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    put_nested(tx, 1, false).await?;
    let nested = AssertSqlSafe("SELECT id FROM t");
    tx.fetch_all(nested).await?;
    put(tx, 2, false).await
}

#[transactional]
async fn stops(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    std::future::pending().await
}

/// Each drop is settled, however often that has been before.
#[tokio::test]
async fn scopes_dropped_one_after_the_other_are_undone_and_the_sandbox_goes_on() {
    let db = Fixture::<DB>::new().await;
    let sandbox = db.sandbox().await.unwrap();
    put(&sandbox, 1, false).await.unwrap();
    for id in 2..5 {
        let moment = Duration::from_millis(20);
        let dropped = tokio::time::timeout(moment, stops(&*sandbox, id)).await;
        assert!(dropped.is_err(), "{dropped:?}");
        sandbox.settled().await;
        // The clock says whether the drop fell into a statement. Where that costs the session, the
        // sandbox is lost.
        if sandbox.begin().await.is_err() {
            assert!(DB::ENDS_BY_ITSELF);
            return;
        }
    }
    assert_eq!(ids(&sandbox).await, [1]);
}

type Notes = Arc<Mutex<Vec<&'static str>>>;

#[transactional(requires_new)]
async fn fails_with_a_hook(tx: &mut Tx<DB>, notes: &Notes) -> Result<(), Error> {
    let noted = Arc::clone(notes);
    notes.lock().unwrap().push("registered");
    tx.after_rollback(move |_| async move { noted.lock().unwrap().push("rolled back") });
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional]
async fn gives_it_up(tx: &mut Tx<DB>, notes: &Notes, polls: usize) -> Result<bool, Error> {
    Ok(poll_at_most(polls, fails_with_a_hook(tx, notes)).await.is_some())
}

/// The hook runs once, wherever its scope is dropped: also where that is just being undone.
#[tokio::test]
async fn a_hook_of_a_scope_that_is_dropped_while_it_is_undone_is_not_lost() {
    let db = Fixture::<DB>::new().await;
    for polls in 0..PLENTY {
        let sandbox = db.sandbox().await.unwrap();
        let notes = Notes::default();
        let done = gives_it_up(&*sandbox, &notes, polls).await;
        sandbox.close().await;
        db.assert_at_rest().await;
        let notes = notes.lock().unwrap().clone();
        assert!(notes.is_empty() || notes == ["registered", "rolled back"], "{polls}: {notes:?}");
        if let Ok(true) = done {
            return;
        }
    }
    panic!("not complete after {PLENTY} polls");
}
