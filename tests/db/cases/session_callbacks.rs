//! The pool calls its callbacks at the right time, acts on their answers, and survives their drop.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, Executor};
use txn::{Db, DbBuilder, Error, SessionMeta, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::support::drop_points::{PLENTY, is_pending, poll_at_most};
use crate::support::observer::{PATIENCE, until};
use crate::support::session_leftovers::SessionLeftovers;
use crate::support::warnings::Warnings;

/// How long a session may take to be opened. The first one does so in time on a busy machine too.
const LIMIT: Duration = Duration::from_secs(5);

/// A callback whose answer a test can change, and how often it was asked.
#[derive(Clone, Default)]
struct Callback(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    asked: usize,
    answer: Answer,
}

#[derive(Clone, Copy, Default, Debug)]
enum Answer {
    #[default]
    Yes,
    No,
    Fails,
    /// The callback never answers.
    Hangs,
    /// The callback does not answer before it is told something else, and then it is yes.
    Waits,
    /// The answer is yes, and a transaction is left open on the connection.
    Begins,
}

impl Callback {
    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    /// From now on the callback gives this answer.
    fn will(&self, answer: Answer) {
        self.0.lock().unwrap().answer = answer;
    }

    fn ask(&self) -> Answer {
        let mut state = self.0.lock().unwrap();
        state.asked += 1;
        state.answer
    }

    async fn answer(
        &self,
        connection: &mut <DB as sqlx::Database>::Connection,
    ) -> Result<bool, sqlx::Error> {
        let answer = self.ask();
        connection.execute("SELECT 1").await?;
        match answer {
            Answer::Yes => Ok(true),
            Answer::No => Ok(false),
            Answer::Fails => Err(sqlx::Error::Protocol("the callback failed".into())),
            Answer::Hangs => pending().await,
            Answer::Waits => {
                while matches!(self.0.lock().unwrap().answer, Answer::Waits) {
                    tokio::task::yield_now().await;
                }
                Ok(true)
            }
            Answer::Begins => {
                std::mem::forget(connection.begin().await?);
                Ok(true)
            }
        }
    }

    /// Drops `caller` once it has asked the callback and waits for the answer.
    async fn drop_once_asked(&self, caller: impl Future) {
        let mut caller = Box::pin(caller);
        let before = self.asked();
        while self.asked() == before {
            assert!(is_pending(&mut caller).await);
            tokio::task::yield_now().await;
        }
    }
}

#[transactional]
async fn adds(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

// ---- after_connect ------------------------------------------------------------------------------

async fn asking_on_connect(
    configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>,
) -> (Fixture<DB>, Callback) {
    let callback = Callback::default();
    let asked = callback.clone();
    let db = Fixture::<DB>::with(|builder| {
        configure(builder).after_connect(move |connection, meta| {
            let callback = asked.clone();
            Box::pin(async move {
                assert_eq!((meta.age, meta.idle_for), (Duration::ZERO, Duration::ZERO));
                connection.execute(DB::SET_UP.0).await?;
                callback.answer(connection).await.map(drop)
            })
        })
    })
    .await;
    (db, callback)
}

#[tokio::test]
async fn after_connect_is_run_on_each_session_before_anybody_has_it() {
    let (db, callback) = asking_on_connect(|builder| builder.max_sessions(4)).await;
    let (_, question, answer) = DB::SET_UP;
    let sessions = join_all((0..4).map(|_| db.session())).await;
    for session in sessions {
        let mut session = session.unwrap();
        let row = session.fetch_one(question).await.unwrap();
        assert_eq!(DB::text(&row), answer);
    }
    assert_eq!((callback.asked(), db.status().open), (4, 4));
    // A session that lies in the pool is asked, and no new one is opened.
    db.check().await.unwrap();
    assert_eq!(callback.asked(), 4);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_failure_of_after_connect_is_the_caller_s_and_leaves_no_session() {
    let (db, callback) = asking_on_connect(|builder| builder.max_sessions(2)).await;
    let held = db.session().await.unwrap();
    callback.will(Answer::Fails);
    let error = db.session().await.unwrap_err();
    assert!(error.to_string().contains("the callback failed"), "{error}");
    let error = adds(&*db, 1).await;
    if !DB::ONE_WRITER {
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("the callback failed")
        );
    }
    assert_eq!(db.status().open, 1);
    callback.will(Answer::Yes);
    callback.will(Answer::Begins);
    let error = db.session().await.unwrap_err();
    assert!(
        error.to_string().contains("left a transaction open"),
        "{error}"
    );
    callback.will(Answer::Yes);
    drop(held);
    adds(&*db, 2).await.unwrap();
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_session_that_is_being_opened_to_the_next() {
    let (db, callback) = asking_on_connect(|builder| builder.max_sessions(2)).await;
    let held = db.session().await.unwrap();
    callback.will(Answer::Waits);
    callback.drop_once_asked(db.session()).await;
    db.assert_sessions(2, 0, 1, 0);
    let mut next = Box::pin(db.session());
    assert!(is_pending(&mut next).await);
    callback.will(Answer::Yes);
    drop(next.await.unwrap());
    assert_eq!(callback.asked(), 2, "it was not opened anew");
    drop(held);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_session_that_is_being_opened_and_that_nobody_waits_for_is_idle_in_the_end() {
    let (db, callback) = asking_on_connect(|builder| builder.max_sessions(2)).await;
    let held = db.session().await.unwrap();
    callback.will(Answer::Waits);
    callback.drop_once_asked(db.session()).await;
    callback.will(Answer::Yes);
    until("the session is idle", async || db.status().idle == 1).await;
    drop(held);
    drop(db.session().await.unwrap());
    db.assert_sessions(2, 2, 0, 0);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn an_after_connect_that_hangs_is_given_up_and_its_place_is_free() {
    let limits = |builder: DbBuilder<DB>| builder.max_sessions(2).acquire_timeout(LIMIT);
    let (db, callback) = asking_on_connect(limits).await;
    let held = db.session().await.unwrap();
    callback.will(Answer::Hangs);
    let error = db.session().await.unwrap_err();
    assert!(error.is_acquire_timeout() || error.is_connection(), "{error}");
    callback.will(Answer::Yes);
    until("the place is free", async || db.status().open == 1).await;
    drop(db.session().await.unwrap());
    drop(held);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_panic_of_after_connect_is_the_caller_s_and_leaves_no_session() {
    let db = Fixture::<DB>::with(|builder| {
        let first = AtomicBool::new(true);
        builder.max_sessions(2).after_connect(move |_, _| {
            let is_first = first.swap(false, Ordering::Relaxed);
            Box::pin(async move {
                assert!(is_first, "the callback panics");
                Ok(())
            })
        })
    })
    .await;
    let held = db.session().await.unwrap();
    let caller = db.clone();
    let panicked = tokio::spawn(async move { caller.session().await.map(drop) });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(db.status().open, 1);
    drop(held);
    db.assert_at_rest().await;
}

// ---- before_acquire -----------------------------------------------------------------------------

async fn asking_before(
    configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>,
) -> (Fixture<DB>, Callback) {
    let callback = Callback::default();
    let asked = callback.clone();
    let db = Fixture::<DB>::with(|builder| {
        configure(builder).before_acquire(move |connection, meta: SessionMeta| {
            let callback = asked.clone();
            Box::pin(async move {
                assert!(meta.age >= meta.idle_for);
                callback.answer(connection).await
            })
        })
    })
    .await;
    (db, callback)
}

#[tokio::test]
async fn before_acquire_is_asked_about_each_session_that_lay_in_the_pool() {
    let (db, callback) = asking_before(|builder| builder.max_sessions(2)).await;
    let before = callback.asked();
    let first = db.session().await.unwrap();
    let second = db.session().await.unwrap();
    assert_eq!(callback.asked(), before + 1, "the second one is new");
    drop((first, second));
    adds(&*db, 1).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(callback.asked(), before + 3);
    assert_eq!((db.ids().await, db.status().open), (vec![1, 2], 2));
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_session_that_before_acquire_does_not_want_is_replaced() {
    let (db, callback) = asking_before(|builder| builder.max_sessions(1)).await;
    let warnings = Warnings::listen();
    for (id, answer, warning) in [
        (1, Answer::No, None),
        (2, Answer::Fails, Some("instead of taken")),
        (3, Answer::Begins, Some("left a transaction open")),
    ] {
        callback.will(answer);
        adds(&*db, id).await.unwrap();
        match warning {
            Some(warning) => assert_eq!(warnings.with(warning), 1, "{answer:?}"),
            None => {
                db.assert_sessions(1, 1, 0, 0);
                assert_eq!(warnings.all(), [""; 0], "{answer:?}");
            }
        }
        callback.will(Answer::Yes);
    }
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
}

/// A caller who waits for the callback holds a session, and is not among those who wait for one.
#[tokio::test]
async fn before_acquire_that_hangs_is_dropped_with_its_caller_and_its_session() {
    let alone = |builder: DbBuilder<DB>| builder.max_sessions(1).max_waiting(0);
    let (db, callback) = asking_before(alone).await;
    adds(&*db, 1).await.unwrap();
    callback.will(Answer::Hangs);
    callback.drop_once_asked(db.begin()).await;
    assert_eq!(db.status().open, 0, "nobody knows what state it is in");
    adds(&*db, 2).await.unwrap();
    callback.will(Answer::Yes);
    assert_eq!(db.ids().await, [1, 2]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn the_error_of_a_caller_names_before_acquire_if_that_takes_too_long() {
    let limits = |builder: DbBuilder<DB>| builder.max_sessions(1).acquire_timeout(LIMIT);
    let (db, callback) = asking_before(limits).await;
    callback.will(Answer::Hangs);
    // It may have to be opened first, and is not asked about then.
    let mut last = None;
    until("a caller is told", async || {
        last = db.session().await.err();
        last.as_ref().is_some_and(|error| error.to_string().contains("`before_acquire`"))
    })
    .await;
    let error = last.unwrap();
    assert!(error.is_acquire_timeout() && error.holders().is_empty(), "{error}");
    callback.will(Answer::Yes);
    drop(db.session().await.unwrap());
    db.assert_at_rest().await;
}

#[tokio::test]
async fn before_acquire_that_hangs_does_not_keep_the_handle_from_being_closed() {
    let (db, callback) = asking_before(|builder| builder.max_sessions(1)).await;
    adds(&*db, 1).await.unwrap();
    callback.will(Answer::Hangs);
    let (before, handle) = (callback.asked(), Db::clone(&db));
    let caller = tokio::spawn(async move { handle.session().await.map(drop) });
    until("the callback is asked", async || callback.asked() > before).await;
    db.close().await;
    assert!(caller.await.unwrap().unwrap_err().is_closed());
    assert_eq!(db.status().open, 0);
}

#[tokio::test]
async fn before_acquire_may_be_dropped_at_every_point() {
    let (db, _) = asking_before(|builder| builder.max_sessions(1)).await;
    for polls in 0..PLENTY {
        let begun = poll_at_most(
            polls,
            Box::pin(adds(&*db, 1_000 + i64::try_from(polls).unwrap())),
        )
        .await;
        db.assert_at_rest().await;
        assert!(db.status().open <= 1);
        if let Some(begun) = begun {
            begun.unwrap();
            return;
        }
    }
    panic!("never complete");
}

// ---- after_release ------------------------------------------------------------------------------

async fn asking_after(max: usize, limit: Duration) -> (Fixture<DB>, Callback) {
    let callback = Callback::default();
    let asked = callback.clone();
    let db = Fixture::<DB>::with(|builder| {
        let builder = builder.max_sessions(max).settle_timeout(limit);
        builder.after_release(move |connection, meta: SessionMeta| {
            let callback = asked.clone();
            Box::pin(async move {
                assert_eq!(meta.idle_for, Duration::ZERO);
                callback.answer(connection).await
            })
        })
    })
    .await;
    db.settled().await;
    (db, callback)
}

#[tokio::test]
async fn after_release_is_asked_about_each_session_that_comes_back() {
    let (db, callback) = asking_after(1, PATIENCE).await;
    let before = callback.asked();
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    assert_eq!(callback.asked(), before + 1);
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    drop(tx);
    db.settled().await;
    assert_eq!(callback.asked(), before + 2, "it was settled first");
    drop(db.session().await.unwrap());
    db.settled().await;
    assert_eq!(callback.asked(), before + 3);
    db.assert_sessions(1, 1, 0, 0);
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_session_that_after_release_does_not_want_is_closed() {
    let (db, callback) = asking_after(1, PATIENCE).await;
    let warnings = Warnings::listen();
    for (id, answer, warning) in [
        (1, Answer::No, None),
        (2, Answer::Fails, Some("the callback failed")),
        (3, Answer::Begins, Some("left a transaction open")),
    ] {
        callback.will(answer);
        adds(&*db, id).await.unwrap();
        db.settled().await;
        db.assert_sessions(0, 0, 0, 0);
        match warning {
            Some(warning) => assert_eq!(warnings.with(warning), 1, "{answer:?}"),
            None => assert_eq!(warnings.all(), [""; 0], "{answer:?}"),
        }
        callback.will(Answer::Yes);
    }
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_release_that_hangs_is_given_up_with_its_session() {
    let (db, callback) = asking_after(1, Duration::from_millis(200)).await;
    callback.will(Answer::Hangs);
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    callback.will(Answer::Yes);
    let mut id = 1;
    // The time is short for a busy machine.
    until("a session comes back in time", async || {
        id += 1;
        adds(&*db, id).await.unwrap();
        db.settled().await;
        db.status().idle == 1
    })
    .await;
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_release_that_panics_takes_its_session_with_it() {
    let db = Fixture::<DB>::with(|builder| {
        builder
            .max_sessions(1)
            .after_release(|_, _| Box::pin(async { panic!("in a callback") }))
    })
    .await;
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

/// The scopes of a sandbox share its session: it comes back when the sandbox ends.
#[tokio::test]
async fn callbacks_take_a_sandbox_for_one_user() {
    let (db, callback) = asking_after(1, PATIENCE).await;
    let before = callback.asked();
    let sandbox = db.sandbox().await.unwrap();
    adds(&sandbox, 1).await.unwrap();
    adds(&sandbox, 2).await.unwrap();
    assert_eq!(callback.asked(), before);
    sandbox.close().await;
    db.settled().await;
    assert_eq!(callback.asked(), before + 1);
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn a_closed_handle_asks_no_callback() {
    let (db, callback) = asking_after(1, PATIENCE).await;
    let before = callback.asked();
    let session = db.session().await.unwrap();
    let closing = {
        let db = Db::clone(&db);
        tokio::spawn(async move { db.close().await })
    };
    while !db.is_closed() {
        tokio::task::yield_now().await;
    }
    drop(session);
    closing.await.unwrap();
    assert_eq!((callback.asked(), db.status().open), (before, 0));
}
