//! The pool's callbacks: what they see, what their answers do, and what their drop leaves.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection, Executor};
use txn::{Db, Error, SessionMeta, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};
use crate::support::warnings::Warnings;
use crate::support::observer::PATIENCE;
use crate::support::drop_points::{PLENTY, is_pending, poll_at_most};
use crate::support::session_leftovers::Leaves;

/// What a callback is to answer, and how often it was asked.
#[derive(Clone, Default)]
struct Answers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: AtomicUsize,
    no: AtomicBool,
    fails: AtomicBool,
    hangs: AtomicBool,
    begins: AtomicBool,
}

impl Answers {
    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    async fn answer(
        &self,
        connection: &mut <DB as sqlx::Database>::Connection,
    ) -> Result<bool, sqlx::Error> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        connection.execute("SELECT 1").await?;
        if set(&self.0.hangs) {
            pending::<()>().await;
        }
        if set(&self.0.begins) {
            std::mem::forget(connection.begin().await?);
        }
        match set(&self.0.fails) {
            true => Err(sqlx::Error::Protocol("the callback failed".into())),
            false => Ok(!set(&self.0.no)),
        }
    }
}

fn set(flag: &AtomicBool) {
    flag.store(true, Ordering::SeqCst);
}

fn unset(flag: &AtomicBool) {
    flag.store(false, Ordering::SeqCst);
}

#[transactional]
async fn adds(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

// ---- after_connect ----------------------------------------------------------------------------------------

#[tokio::test]
async fn after_connect_is_run_on_each_session_before_anybody_has_it() {
    let answers = Answers::default();
    let on_connect = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(4).after_connect(move |connection, meta| {
            let answers = on_connect.clone();
            Box::pin(async move {
                assert_eq!((meta.age, meta.idle_for), (Duration::ZERO, Duration::ZERO));
                connection.execute(DB::SET_UP.0).await?;
                answers.answer(connection).await.map(drop)
            })
        })
    })
    .await;
    let (_, question, answer) = DB::SET_UP;
    let sessions = join_all((0..4).map(|_| db.session())).await;
    for session in sessions {
        let mut session = session.unwrap();
        let row = session.fetch_one(question).await.unwrap();
        assert_eq!(DB::text(&row), answer);
    }
    assert_eq!((answers.asked(), db.status().open), (4, 4));
    // One that lies in the pool is asked; it is no new one.
    db.check().await.unwrap();
    assert_eq!(answers.asked(), 4);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_failure_of_after_connect_is_the_caller_s_and_leaves_no_session() {
    let answers = Answers::default();
    let on_connect = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(2).after_connect(move |connection, _| {
            let answers = on_connect.clone();
            Box::pin(async move { answers.answer(connection).await.map(drop) })
        })
    })
    .await;
    let held = db.session().await.unwrap();
    set(&answers.0.fails);
    let error = db.session().await.unwrap_err();
    assert!(error.to_string().contains("the callback failed"), "{error}");
    let error = adds(&*db, 1).await;
    if !DB::ONE_WRITER {
        assert!(error.unwrap_err().to_string().contains("the callback failed"));
    }
    assert_eq!(db.status().open, 1);
    unset(&answers.0.fails);
    set(&answers.0.begins);
    let error = db.session().await.unwrap_err();
    assert!(error.to_string().contains("left a transaction open"), "{error}");
    unset(&answers.0.begins);
    drop(held);
    adds(&*db, 2).await.unwrap();
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_connect_that_is_dropped_takes_its_session_with_it() {
    let answers = Answers::default();
    let on_connect = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(2).after_connect(move |connection, _| {
            let answers = on_connect.clone();
            Box::pin(async move { answers.answer(connection).await.map(drop) })
        })
    })
    .await;
    let held = db.session().await.unwrap();
    set(&answers.0.hangs);
    let before = answers.asked();
    {
        let mut waiting = Box::pin(db.session());
        while answers.asked() == before {
            assert!(is_pending(&mut waiting).await);
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(db.status().open, 1);
    unset(&answers.0.hangs);
    drop(db.session().await.unwrap());
    drop(held);
    db.assert_at_rest().await;
}

// ---- before_acquire ---------------------------------------------------------------------------------------

async fn asking_before(max: usize) -> (Fixture<DB>, Answers) {
    let answers = Answers::default();
    let asked = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(max).before_acquire(move |connection, meta: SessionMeta| {
            let answers = asked.clone();
            Box::pin(async move {
                assert!(meta.age >= meta.idle_for);
                answers.answer(connection).await
            })
        })
    })
    .await;
    (db, answers)
}

#[tokio::test]
async fn before_acquire_is_asked_about_each_session_that_lay_in_the_pool() {
    let (db, answers) = asking_before(2).await;
    let before = answers.asked();
    let first = db.session().await.unwrap();
    let second = db.session().await.unwrap();
    assert_eq!(answers.asked(), before + 1, "the second one is new");
    drop((first, second));
    adds(&*db, 1).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(answers.asked(), before + 3);
    assert_eq!((db.ids().await, db.status().open), (vec![1, 2], 2));
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_session_that_before_acquire_does_not_want_is_replaced() {
    let (db, answers) = asking_before(1).await;
    let warnings = Warnings::listen();
    set(&answers.0.no);
    adds(&*db, 1).await.unwrap();
    db.assert_sessions(1, 1, 0, 0);
    assert_eq!(warnings.all(), [""; 0]);
    unset(&answers.0.no);

    set(&answers.0.fails);
    adds(&*db, 2).await.unwrap();
    assert_eq!(warnings.with("instead of taken"), 1);
    unset(&answers.0.fails);
    set(&answers.0.begins);
    adds(&*db, 3).await.unwrap();
    assert_eq!(warnings.with("left a transaction open"), 1);
    unset(&answers.0.begins);
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
}

/// Whoever waits for it waits for no other: he is not among those of whom there may be too many.
#[tokio::test]
async fn before_acquire_that_hangs_is_dropped_with_its_caller_and_its_session() {
    let answers = Answers::default();
    let asked = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(1).max_waiting(0).before_acquire(move |connection, _| {
            let answers = asked.clone();
            Box::pin(async move { answers.answer(connection).await })
        })
    })
    .await;
    adds(&*db, 1).await.unwrap();
    set(&answers.0.hangs);
    let before = answers.asked();
    {
        let mut waiting = Box::pin(db.begin());
        while answers.asked() == before {
            assert!(is_pending(&mut waiting).await);
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(db.status().open, 0, "nobody knows what state it is in");
    adds(&*db, 2).await.unwrap();
    unset(&answers.0.hangs);
    assert_eq!(db.ids().await, [1, 2]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn before_acquire_may_be_dropped_at_every_point() {
    let (db, _) = asking_before(1).await;
    for polls in 0..PLENTY {
        let begun = poll_at_most(polls, Box::pin(adds(&*db, 1_000 + i64::try_from(polls).unwrap()))).await;
        db.assert_at_rest().await;
        assert!(db.status().open <= 1);
        if let Some(begun) = begun {
            begun.unwrap();
            return;
        }
    }
    panic!("never complete");
}

// ---- after_release ----------------------------------------------------------------------------------------

async fn asking_after(max: usize, limit: Duration) -> (Fixture<DB>, Answers) {
    let answers = Answers::default();
    let asked = answers.clone();
    let db = Fixture::<DB>::with(|builder| {
        let builder = builder.max_sessions(max).settle_timeout(limit);
        builder.after_release(move |connection, meta: SessionMeta| {
            let answers = asked.clone();
            Box::pin(async move {
                assert_eq!(meta.idle_for, Duration::ZERO);
                answers.answer(connection).await
            })
        })
    })
    .await;
    db.settled().await;
    (db, answers)
}

#[tokio::test]
async fn after_release_is_asked_about_each_session_that_comes_back() {
    let (db, answers) = asking_after(1, PATIENCE).await;
    let before = answers.asked();
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    assert_eq!(answers.asked(), before + 1);
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 2).await.unwrap();
    drop(tx);
    db.settled().await;
    assert_eq!(answers.asked(), before + 2, "it was settled first");
    drop(db.session().await.unwrap());
    db.settled().await;
    assert_eq!(answers.asked(), before + 3);
    db.assert_sessions(1, 1, 0, 0);
    assert_eq!(db.ids().await, [1]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn a_session_that_after_release_does_not_want_is_closed() {
    let (db, answers) = asking_after(1, PATIENCE).await;
    let warnings = Warnings::listen();
    set(&answers.0.no);
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    assert_eq!(warnings.all(), [""; 0]);
    unset(&answers.0.no);

    set(&answers.0.fails);
    adds(&*db, 2).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    assert_eq!(warnings.with("the callback failed"), 1);
    unset(&answers.0.fails);

    set(&answers.0.begins);
    adds(&*db, 3).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    assert_eq!(warnings.with("left a transaction open"), 1);
    unset(&answers.0.begins);
    assert_eq!(db.ids().await, [1, 2, 3]);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_release_that_hangs_is_given_up_with_its_session() {
    let (db, answers) = asking_after(1, Duration::from_millis(200)).await;
    set(&answers.0.hangs);
    adds(&*db, 1).await.unwrap();
    db.settled().await;
    db.assert_sessions(0, 0, 0, 0);
    unset(&answers.0.hangs);
    adds(&*db, 2).await.unwrap();
    db.settled().await;
    db.assert_sessions(1, 1, 0, 0);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn after_release_that_panics_takes_its_session_with_it() {
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(1).after_release(|_, _| Box::pin(async { panic!("in a callback") }))
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
    let (db, answers) = asking_after(1, PATIENCE).await;
    let before = answers.asked();
    let sandbox = db.sandbox().await.unwrap();
    adds(&sandbox, 1).await.unwrap();
    adds(&sandbox, 2).await.unwrap();
    assert_eq!(answers.asked(), before);
    sandbox.close().await;
    db.settled().await;
    assert_eq!(answers.asked(), before + 1);
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn a_closed_handle_asks_no_callback() {
    let (db, answers) = asking_after(1, PATIENCE).await;
    let before = answers.asked();
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
    assert_eq!((answers.asked(), db.status().open), (before, 0));
}
