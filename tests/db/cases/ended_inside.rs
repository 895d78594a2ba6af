//! A statement in a scope ends its transaction, unseen by the runtime: a COMMIT behind another
//! statement, or code that had the raw connection. No scope says then that nothing was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Executor;
use txn::{Error, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::support::route::Route;
use crate::support::warnings::Warnings;

const SCRIPT: &str = "INSERT INTO t (id, n) VALUES (2, 0); COMMIT";

#[derive(Clone, Copy, Debug)]
enum How {
    Script,
    RawConnection,
}

const WAYS: [How; 2] = [How::Script, How::RawConnection];

impl How {
    async fn run(self, tx: &mut Tx<DB>) -> Result<(), Error> {
        match self {
            Self::Script => tx.execute(SCRIPT).await?,
            Self::RawConnection => tx.connection().await?.execute(SCRIPT).await?,
        };
        Ok(())
    }
}

#[transactional]
async fn ended(tx: &mut Tx<DB>, how: How, ends_well: bool) -> Result<(), Error> {
    insert(tx, 1).await?;
    how.run(tx).await?;
    match ends_well {
        true => Ok(()),
        false => Err(sqlx::Error::ColumnNotFound("of the body's own".into()).into()),
    }
}

#[track_caller]
fn assert_says_so(error: &Error) {
    let text = error.to_string();
    assert!(error.is_partly_committed() && error.is_aborted(), "{text}");
    assert!(!error.is_retryable() && !error.is_commit_unknown(), "{text}");
    assert!(text.contains("may have committed"), "{text}");
    assert!(!text.contains("nothing was written"), "{text}");
}

#[tokio::test]
async fn a_scope_that_ends_well_says_that_part_was_committed() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let error = ended(&*db, how, true).await.unwrap_err();
        assert_says_so(&error);
        db.settled().await;
        assert_eq!(db.ids().await, [1, 2]);
        db.assert_at_rest().await;
        assert_eq!(db.status().open, 1);
    }
}

#[tokio::test]
async fn a_scope_that_fails_says_that_it_could_not_roll_back_and_quotes_its_own_error() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let error = ended(&*db, how, false).await.unwrap_err();
        assert_says_so(&error);
        let text = error.to_string();
        assert!(text.contains("cannot roll back") && text.contains("of the body's own"), "{text}");
        assert_eq!(db.ids().await, [1, 2]);
    }
}

/// The session is lost, and what was noted about it is not.
#[tokio::test]
async fn it_says_so_too_if_its_rollback_gets_no_answer() {
    for how in WAYS {
        let route = Route::<DB>::new().await;
        let Some(proxy) = &route.proxy else { return };
        let db = route.connect(|builder| builder.max_sessions(1)).await;
        proxy.cut_at("ROLLBACK");
        assert_says_so(&ended(&db, how, false).await.unwrap_err());
        db.close().await;
    }
}

#[tokio::test]
async fn what_follows_is_refused_and_not_committed_by_itself() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let mut tx = db.begin().await.unwrap();
        how.run(&mut tx).await.unwrap();
        assert_says_so(&insert(&mut tx, 3).await.unwrap_err().into());
        assert_says_so(&tx.commit().await.unwrap_err());
        assert_eq!(db.ids().await, [2]);
    }
}

#[tokio::test]
async fn a_rollback_by_hand_and_one_that_was_asked_for_say_so() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let mut tx = db.begin().await.unwrap();
        how.run(&mut tx).await.unwrap();
        assert_says_so(&tx.rollback().await.unwrap_err());
        let mut tx = db.begin().await.unwrap();
        tx.execute("DELETE FROM t; COMMIT").await.unwrap();
        tx.set_rollback_only("on second thoughts");
        assert_says_so(&tx.commit().await.unwrap_err());
        assert!(db.ids().await.is_empty());
    }
}

#[tokio::test]
async fn a_scope_that_is_dropped_leaves_word_and_a_clean_session() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let warnings = Warnings::listen();
        let mut tx = db.begin().await.unwrap();
        how.run(&mut tx).await.unwrap();
        drop(tx);
        db.settled().await;
        let said = warnings.with("could not be rolled back");
        assert_eq!(said, 1, "{how:?}: {:?}", warnings.all());
        assert_eq!(db.status().open, 1);
        assert_eq!(db.ids().await, [2]);
    }
}

#[transactional(nested)]
async fn ended_in_a_nested_scope(tx: &mut Tx<DB>, how: How) -> Result<(), Error> {
    how.run(tx).await?;
    Err(sqlx::Error::RowNotFound.into())
}

#[tokio::test]
async fn a_nested_scope_that_handled_it_does_not_hide_it_from_the_outer_one() {
    for how in WAYS {
        let db = Fixture::<DB>::of_sessions(1).await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        ended_in_a_nested_scope(&mut tx, how).await.unwrap_err();
        assert_says_so(&insert(&mut tx, 3).await.unwrap_err().into());
        assert_says_so(&tx.commit().await.unwrap_err());
        assert_eq!(db.ids().await, [1, 2]);
    }
}

#[tokio::test]
async fn hooks_after_a_rollback_learn_that_nobody_knows() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let unknown = Arc::new(AtomicUsize::new(0));
    let mut tx = db.begin().await.unwrap();
    let seen = Arc::clone(&unknown);
    tx.after_rollback(move |cause| async move {
        seen.fetch_add(1 + usize::from(!cause.is_unknown()), Ordering::Relaxed);
    });
    tx.after_commit(async { unreachable!("not all of it was committed") });
    How::Script.run(&mut tx).await.unwrap();
    tx.commit().await.unwrap_err();
    assert_eq!(unknown.load(Ordering::Relaxed), 1);
}

/// The scope has committed a part, and to run it again would apply that part twice.
#[tokio::test]
async fn a_scope_with_retry_is_not_run_again() {
    #[transactional(retry)]
    async fn again(tx: &mut Tx<DB>, runs: &AtomicUsize) -> Result<(), Error> {
        runs.fetch_add(1, Ordering::Relaxed);
        How::Script.run(tx).await?;
        if let Some(conflict) = DB::CONFLICT {
            tx.execute(conflict).await?;
        }
        Ok(())
    }
    let db = Fixture::<DB>::of_sessions(1).await;
    let runs = AtomicUsize::new(0);
    assert_says_so(&again(&*db, &runs).await.unwrap_err());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

/// A script that goes on after its COMMIT is in another transaction, which looks like ours.
#[tokio::test]
async fn a_script_that_begins_another_transaction_does_not_pass_for_the_first() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for ends_well in [true, false] {
        let mut tx = db.begin().await.unwrap();
        let script = "DELETE FROM t; COMMIT; BEGIN; INSERT INTO t (id, n) VALUES (5, 0)";
        tx.execute(script).await.unwrap();
        match ends_well {
            true => assert_says_so(&tx.commit().await.unwrap_err()),
            false => assert_says_so(&tx.rollback().await.unwrap_err()),
        }
        db.settled().await;
        assert!(db.ids().await.is_empty(), "what was open is rolled back");
    }
    assert_eq!(db.status().open, 1);
}

/// A script that stays inside costs the scope nothing.
#[tokio::test]
async fn a_script_that_ends_nothing_is_part_of_its_scope() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for commits in [false, true] {
        let mut tx = db.begin().await.unwrap();
        let script = "INSERT INTO t (id, n) VALUES (1, 0); INSERT INTO t (id, n) VALUES (2, ';')";
        let script = script.replace("';'", "0 /* ; COMMIT */");
        tx.execute(sqlx::AssertSqlSafe(script)).await.unwrap();
        insert(&mut tx, 3).await.unwrap();
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        let expected: &[i64] = if commits { &[1, 2, 3] } else { &[] };
        assert_eq!(db.ids().await, expected);
    }
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn in_a_sandbox_it_ends_the_sandbox_and_says_so() {
    let db = Fixture::<DB>::of_sessions(2).await;
    let sandbox = db.sandbox().await.unwrap();
    let error = ended(&sandbox, How::Script, true).await.unwrap_err();
    assert!(error.is_partly_committed(), "{error}");
    let error = ended(&sandbox, How::Script, true).await.unwrap_err().to_string();
    assert!(error.contains("lost its transaction"), "{error}");
    sandbox.close().await;
    db.assert_at_rest().await;
}

const FORGOT_ITS_COMMIT: &str = "BEGIN; INSERT INTO t (id, n) VALUES (1, 0)";

#[tokio::test]
async fn a_script_on_the_handle_that_forgot_its_commit_is_rolled_back_before_the_next_caller() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let warnings = Warnings::listen();
    sqlx::raw_sql(FORGOT_ITS_COMMIT).execute(&*db).await.unwrap();
    for id in 10..13 {
        let sql = format!("INSERT INTO t (id, n) VALUES ({id}, 0)");
        db.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    db.close().await;
    assert_eq!(warnings.with("was left open: rolled back"), 1, "{:?}", warnings.all());
    let after = txn::Db::<DB>::connect(db.url()).await.unwrap();
    let rows = after.fetch_all("SELECT id FROM t ORDER BY id").await.unwrap();
    let ids: Vec<_> = rows.iter().map(DB::number).collect();
    assert_eq!(ids, [10, 11, 12]);
}

#[tokio::test]
async fn a_script_on_a_session_that_forgot_its_commit_is_rolled_back_when_the_session_is() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let warnings = Warnings::listen();
    let mut session = db.session().await.unwrap();
    sqlx::raw_sql(FORGOT_ITS_COMMIT).execute(&mut session).await.unwrap();
    drop(session);
    assert!(db.ids().await.is_empty());
    assert_eq!(warnings.with("was left open: rolled back"), 1, "{:?}", warnings.all());
    assert_eq!(db.status().open, 1);
}

#[tokio::test]
async fn a_script_with_its_own_begin_and_commit_runs_on_a_session_and_on_the_handle() {
    let db = Fixture::<DB>::of_sessions(1).await;
    let warnings = Warnings::listen();
    let script = |id| format!("BEGIN; INSERT INTO t (id, n) VALUES ({id}, 0); COMMIT");
    let mut session = db.session().await.unwrap();
    session.execute(sqlx::AssertSqlSafe(script(1))).await.unwrap();
    drop(session);
    db.execute(sqlx::AssertSqlSafe(script(2))).await.unwrap();
    assert_eq!(db.ids().await, [1, 2]);
    assert_eq!(warnings.all(), [""; 0]);
    assert_eq!(db.status().open, 1);
    let error = db.execute("BEGIN").await.unwrap_err().to_string();
    assert!(error.contains("`db.begin()`") && !error.contains("nested"), "{error}");
}
