//! A scope whose time is over waits a moment for the answer to its COMMIT or ROLLBACK, and then
//! goes on without it.

use std::time::Duration;

use tokio::time::timeout;
use txn::{Db, DbBuilder, Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_trial::Marks;
use crate::support::observer::{PATIENCE, until};
use crate::support::proxy::Proxy;
use crate::support::server_engine::ServerEngine;

struct Wired {
    fixture: Fixture<DB>,
    proxy: Proxy,
    db: Db<DB>,
    marks: Marks,
}

impl Wired {
    async fn new(configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>) -> Self {
        let fixture = Fixture::<DB>::new().await;
        let (proxy, options) = DB::by_proxy(fixture.url());
        let builder = Db::builder(options).max_sessions(1).settle_timeout(PATIENCE * 2);
        let db = configure(builder).connect().await.unwrap();
        let marks = Marks::default();
        Self { fixture, proxy, db, marks }
    }

    /// Returns the error of a scope whose end gets no answer.
    ///
    /// On a busy machine the time may be over before the end is on its way. Then the scope is
    /// called again.
    async fn error_of(&self, scope: impl AsyncFn() -> Result<(), Error>) -> Error {
        loop {
            let noted = self.marks.notes().len();
            if let Some(error) = self.error_of_end(scope()).await {
                return error;
            }
            self.marks.forget_since(noted);
        }
    }

    /// Returns `None` if the time was over before the end was on its way.
    async fn error_of_end(&self, scope: impl Future<Output = Result<(), Error>>) -> Option<Error> {
        let called = timeout(PATIENCE, scope).await;
        let error = called.expect("waits for the answer").unwrap_err();
        if error.is_commit_unknown() || self.proxy.is_holding() {
            return Some(error);
        }
        assert!(error.is_timeout(), "{error}");
        self.proxy.release();
        self.db.settled().await;
        None
    }
}

fn watch(tx: &mut Tx<DB>, marks: &Marks) {
    let (committed, undone) = (marks.clone(), marks.clone());
    tx.after_commit(async move { committed.note("committed") });
    tx.after_rollback(move |cause| async move {
        undone.note(if cause.is_unknown() { "unknown" } else { "undone" });
    });
}

#[transactional(timeout = "500ms", retry)]
async fn write(tx: &mut Tx<DB>, wired: &Wired, word: &'static str) -> Result<(), Error> {
    wired.marks.note("body");
    watch(tx, &wired.marks);
    insert(tx, 1).await?;
    wired.proxy.hold_answer_to(word);
    Ok(())
}

fn assert_late(error: &Error) {
    assert!(error.is_timeout() && error.is_commit_unknown(), "{error}");
    assert!(!error.is_retryable() && !error.is_acquire_timeout(), "{error}");
    let text = error.to_string();
    for part in ["500ms", "while committing", "may or may not", "end_after_timeout::write"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_a_timeout_of_unknown_outcome_and_goes_on() {
    let wired = Wired::new(|builder| builder).await;
    let error = wired.error_of(async || write(&wired.db, &wired, "COMMIT").await).await;
    assert_late(&error);
    assert_eq!(wired.marks.notes(), ["body"], "neither again, nor ended");
    wired.proxy.release();
    wired.db.settled().await;
    assert_eq!(wired.marks.notes(), ["body", "committed"]);
    assert_eq!(wired.fixture.ids().await, [1]);
    assert_eq!((wired.db.status().open, wired.db.status().idle), (1, 1));
}

#[tokio::test]
async fn a_commit_that_is_never_answered_is_given_up_after_the_settle_timeout() {
    let limit = Duration::from_millis(300);
    let wired = Wired::new(|builder| builder.settle_timeout(limit)).await;
    let error = wired.error_of(async || write(&wired.db, &wired, "COMMIT").await).await;
    assert_late(&error);
    let settled = timeout(PATIENCE, wired.db.settled()).await;
    settled.expect("waits for the answer");
    assert_eq!(wired.marks.notes(), ["body", "unknown"]);
    assert_eq!(wired.db.status().in_use, 0);
}

/// The hooks do not wait for the answer where the server can be asked.
#[tokio::test]
async fn a_verified_commit_without_an_answer_is_asked_about() {
    if DB::BEGIN != "BEGIN" {
        return; // it cannot be asked
    }
    let wired = Wired::new(|builder| builder.verify_commits(true)).await;
    let error = wired.error_of(async || write(&wired.db, &wired, "COMMIT").await).await;
    assert_late(&error);
    until("the server is asked", async || wired.marks.notes().len() == 2).await;
    assert_eq!(wired.marks.notes(), ["body", "committed"]);
    wired.proxy.release();
    wired.db.settled().await;
    assert_eq!(wired.fixture.ids().await, [1]);
}

#[transactional(timeout = "500ms")]
async fn fails(tx: &mut Tx<DB>, wired: &Wired) -> Result<(), Error> {
    watch(tx, &wired.marks);
    insert(tx, 1).await?;
    wired.proxy.hold_answer_to("ROLLBACK");
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional(timeout = "500ms")]
async fn takes_too_long(tx: &mut Tx<DB>, wired: &Wired) -> Result<(), Error> {
    watch(tx, &wired.marks);
    insert(tx, 1).await?;
    wired.proxy.hold_answer_to("ROLLBACK");
    std::future::pending().await
}

#[tokio::test]
async fn a_rollback_without_an_answer_leaves_the_error_that_led_to_it_and_goes_on() {
    let wired = Wired::new(|builder| builder).await;
    let error = wired.error_of(async || fails(&wired.db, &wired).await).await;
    assert!(!error.is_timeout(), "{error}");
    wired.proxy.release();
    let error = wired.error_of(async || takes_too_long(&wired.db, &wired).await).await;
    assert!(error.is_timeout() && !error.is_commit_unknown(), "{error}");
    wired.proxy.release();
    wired.db.settled().await;
    assert_eq!(wired.marks.notes(), ["undone", "undone"]);
    assert!(wired.fixture.ids().await.is_empty());
    assert_eq!((wired.db.status().open, wired.db.status().idle), (1, 1));
}

#[tokio::test]
async fn a_scope_in_a_sandbox_does_not_wait_for_the_answer_either() {
    let wired = Wired::new(|builder| builder).await;
    let sandbox = wired.db.sandbox().await.unwrap();
    let error = wired.error_of(async || write(&*sandbox, &wired, "RELEASE").await).await;
    assert_late(&error);
    wired.proxy.release();
    wired.db.settled().await;
    assert_eq!(wired.marks.notes(), ["body", "committed"]);
    sandbox.close().await;
    assert!(wired.fixture.ids().await.is_empty());
}

#[transactional(nested, timeout = "500ms")]
async fn nested(tx: &mut Tx<DB>, wired: &Wired) -> Result<(), Error> {
    insert(tx, 2).await?;
    wired.proxy.hold_answer_to("ROLLBACK TO");
    std::future::pending().await
}

/// The scope around it undoes what the nested scope left.
#[tokio::test]
async fn a_nested_scope_does_not_wait_for_the_answer_either() {
    let wired = Wired::new(|builder| builder).await;
    let (mut tx, error) = loop {
        let mut tx = wired.db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        if let Some(error) = wired.error_of_end(nested(&mut tx, &wired)).await {
            break (tx, error);
        }
    };
    assert!(error.is_timeout() && !error.is_commit_unknown(), "{error}");
    wired.proxy.release();
    let went_on = insert(&mut tx, 3).await;
    assert_eq!(went_on.is_ok(), DB::SURVIVES_DROPS, "{went_on:?}");
    assert_eq!(tx.commit().await.is_ok(), DB::SURVIVES_DROPS);
    let written: &[i64] = if DB::SURVIVES_DROPS { &[1, 3] } else { &[] };
    assert_eq!(wired.fixture.ids().await, written);
}

#[transactional(timeout = "100ms")]
async fn with_a_slow_hook(tx: &mut Tx<DB>, marks: Marks) -> Result<(), Error> {
    tx.after_commit(async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        marks.note("hook");
    });
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn hooks_after_the_end_have_no_limit() {
    let wired = Wired::new(|builder| builder).await;
    while let Err(error) = with_a_slow_hook(&wired.db, wired.marks.clone()).await {
        assert!(error.is_timeout() && wired.marks.notes().is_empty(), "{error}");
    }
    assert_eq!(wired.marks.notes(), ["hook"]);
}

#[transactional(timeout = "200ms")]
async fn with_an_endless_check(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.before_commit(|_| Box::pin(std::future::pending()));
    Ok(insert(tx, 1).await?)
}

#[tokio::test]
async fn hooks_before_the_commit_are_part_of_what_the_limit_is_for() {
    let wired = Wired::new(|builder| builder).await;
    until("the body is over in time", async || {
        let error = with_an_endless_check(&wired.db).await.unwrap_err();
        assert!(error.is_timeout() && !error.is_commit_unknown(), "{error}");
        error.to_string().contains("on its way to the commit")
    })
    .await;
    assert!(wired.fixture.ids().await.is_empty());
}
