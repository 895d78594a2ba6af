//! More is asked of a pool than it can do: callers are refused early, and for no longer than the
//! overload lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::Executor;
use tokio::task::{JoinSet, coop, yield_now};
use tokio::time::sleep;
use txn::{Db, DbBuilder, Error, Tx, transactional};

use super::{DB, Fixture, insert};
use crate::support::drop_points::{at_every_point, is_pending};
use crate::support::observer::until;
use crate::support::route::Route;

const TARGET: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(20);
/// This is much longer than the target.
const SLOW: Duration = Duration::from_millis(10);

fn impatient(builder: DbBuilder<DB>) -> DbBuilder<DB> {
    builder
        .max_sessions(2)
        .queue_target(TARGET)
        .queue_interval(INTERVAL)
}

#[transactional(name = "slow")]
async fn slow(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    insert(tx, id).await?;
    sleep(SLOW).await;
    Ok(())
}

/// The results of many callers at a time.
#[derive(Default)]
struct Herd {
    next: AtomicUsize,
    over: AtomicBool,
    served: AtomicUsize,
    refused: AtomicUsize,
    /// The refused callers that were told of an overload.
    advised: AtomicUsize,
}

impl Herd {
    async fn call(&self, db: &Db<DB>) {
        let id = self.next.fetch_add(1, SeqCst);
        match slow(db, id.try_into().unwrap()).await {
            Ok(()) => _ = self.served.fetch_add(1, SeqCst),
            Err(error) => {
                assert!(error.is_overloaded(), "{error}");
                self.refused.fetch_add(1, SeqCst);
                let advises = error
                    .to_string()
                    .contains("raise `max_sessions` or `queue_target` (in `slow`)");
                self.advised.fetch_add(usize::from(advises), SeqCst);
            }
        }
    }

    async fn call_until_over(self: Arc<Self>, db: Db<DB>) {
        while !self.over.load(SeqCst) {
            self.call(&db).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lasting_herd_is_refused_in_part_and_all_is_well_when_it_is_gone() {
    let db = Fixture::<DB>::with(impatient).await;
    let herd = Arc::new(Herd::default());
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        callers.spawn(Arc::clone(&herd).call_until_over(Db::clone(&db)));
    }
    until("some are refused, others served", async || {
        herd.refused.load(SeqCst) >= 50
            && herd.advised.load(SeqCst) > 0
            && herd.served.load(SeqCst) >= 10
    })
    .await;
    herd.over.store(true, SeqCst);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(db.ids().await.len(), herd.served.load(SeqCst));
    db.assert_at_rest().await;
    until("the overload is over", async || !db.status().shedding).await;
    let refused = herd.refused.load(SeqCst);
    for _ in 0..5 {
        herd.call(&db).await;
    }
    assert_eq!(herd.refused.load(SeqCst), refused);
}

#[tokio::test]
async fn who_waits_for_long_is_refused_and_told_why() {
    let db = Fixture::<DB>::with(|builder| impatient(builder).max_sessions(1)).await;
    let held = db.begin().await.unwrap();
    assert!(!db.status().shedding);

    let error = slow(&*db, 1).await.unwrap_err();

    assert!(error.is_overloaded() && !error.is_acquire_timeout() && !error.is_timeout());
    assert!(!error.is_retryable() && !error.is_connection());
    let text = error.to_string();
    for part in [
        "20ms",
        "1ms",
        "of 1 sessions 1 are in use",
        "held for longest by `a transaction begun by hand` (",
        "(in `slow`)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    until("new ones are refused too", async || {
        let error = db.session().await.unwrap_err();
        assert!(error.is_overloaded(), "{error}");
        db.status().shedding
    })
    .await;
    assert_eq!(db.status().waiting, 0);
    held.rollback().await.unwrap();
    slow(&*db, 2).await.unwrap();
    until("the overload is over", async || !db.status().shedding).await;
    assert_eq!(db.ids().await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_everybody_waits() {
    everybody_waits(|builder| builder.max_sessions(2).queue_interval(INTERVAL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_target_taken_back_everybody_waits() {
    everybody_waits(|builder| impatient(builder).queue_target(None)).await;
}

async fn everybody_waits(configure: impl Fn(DbBuilder<DB>) -> DbBuilder<DB>) {
    let db = Fixture::<DB>::with(configure).await;
    let herd = Arc::new(Herd::default());
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (herd, db) = (Arc::clone(&herd), Db::clone(&db));
        callers.spawn(async move { herd.call(&db).await });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(herd.served.load(SeqCst), 20);
    assert!(!db.status().shedding);
}

/// The caller's time is spent on the connection, and not in the queue.
#[tokio::test]
async fn who_opens_a_connection_does_not_wait() {
    let configure = |builder: DbBuilder<DB>| {
        let builder = impatient(builder).max_sessions(1).max_waiting(0);
        builder.queue_target(Duration::ZERO).idle_timeout(Duration::ZERO)
    };
    let db = Fixture::<DB>::with(configure).await;
    for id in 0..20 {
        slow(&*db, id).await.unwrap();
    }
    assert!(!db.status().shedding);
}

#[tokio::test]
async fn one_more_than_may_wait_is_refused_at_once() {
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1).max_waiting(2)).await;
    let held = db.begin().await.unwrap();
    let (mut first, mut second) = (Box::pin(db.begin()), Box::pin(db.session()));
    assert!(is_pending(&mut first).await && is_pending(&mut second).await);

    let error = db.begin().await.unwrap_err();

    assert!(error.is_overloaded() && !error.is_acquire_timeout(), "{error}");
    let text = error.to_string();
    assert!(text.contains("2 callers wait already"), "{text}");
    assert!(!db.status().shedding);
    drop(second);
    let mut third = Box::pin(db.begin());
    assert!(is_pending(&mut third).await);
    held.rollback().await.unwrap();
    first.await.unwrap().rollback().await.unwrap();
    third.await.unwrap().rollback().await.unwrap();
    db.assert_at_rest().await;
}

/// Uses up what tokio gives a task for one turn: every resource of tokio's is busy for it then.
async fn use_up_the_turn() {
    while coop::has_budget_remaining() {
        coop::consume_budget().await;
    }
}

#[transactional]
async fn at_the_end_of_a_turn(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    use_up_the_turn().await;
    beside(tx).await
}

#[transactional(requires_new, read_only)]
async fn beside(tx: &mut Tx<DB>) -> Result<(), Error> {
    use_up_the_turn().await;
    Ok(tx.execute("SELECT 1").await.map(drop)?)
}

#[tokio::test]
async fn who_has_used_up_its_turn_does_not_wait_for_others() {
    let configure =
        |builder: DbBuilder<DB>| impatient(builder).max_waiting(0).queue_target(Duration::ZERO);
    let db = Fixture::<DB>::with(configure).await;
    db.fill().await;
    for _ in 0..50 {
        use_up_the_turn().await;
        drop(db.session().await.unwrap());
        use_up_the_turn().await;
        db.begin().await.unwrap().rollback().await.unwrap();
        use_up_the_turn().await;
        db.execute("SELECT 1").await.unwrap();
        use_up_the_turn().await;
        beside(&*db).await.unwrap();
    }
    use_up_the_turn().await;
    at_the_end_of_a_turn(&*db).await.unwrap();
    assert!(!db.status().shedding);
    db.assert_at_rest().await;
}

/// Asserts that this is the error of a caller who waits for what it holds itself.
#[track_caller]
fn assert_told(error: &Error, holder: &str) {
    let text = error.to_string();
    assert!(text.contains("it waits for itself"), "{text}");
    assert!(!text.contains("overloaded") && !text.contains("ask for less"), "{text}");
    assert!(text.contains(&format!("held for longest by `{holder}`")), "{text}");
    assert_eq!(error.holders().len(), 1, "{text}");
}

/// Holds the only session in each way that there is, and asks for another one.
async fn waits_for_itself(db: &Db<DB>) -> Vec<(Error, &'static str)> {
    const AUTOCOMMIT: &str = "a session in autocommit mode";
    const BY_HAND: &str = "a transaction begun by hand";
    let mut told = Vec::new();
    let session = db.session().await.unwrap();
    told.push((db.session().await.unwrap_err(), AUTOCOMMIT));
    drop(session);
    let mut rows = db.fetch("SELECT 1 UNION ALL SELECT 2");
    rows.next().await.unwrap().unwrap();
    told.push((db.session().await.unwrap_err(), AUTOCOMMIT));
    drop(rows);
    db.settled().await;
    let tx = db.begin().await.unwrap();
    told.push((db.session().await.unwrap_err(), BY_HAND));
    tx.rollback().await.unwrap();
    told
}

#[tokio::test]
async fn who_waits_for_what_it_holds_itself_is_told_so() {
    let limits: [fn(DbBuilder<DB>) -> DbBuilder<DB>; 3] = [
        |builder| impatient(builder),
        |builder| builder.max_waiting(0),
        |builder| builder.acquire_timeout(Duration::from_millis(200)),
    ];
    for limit in limits {
        let db = Fixture::<DB>::in_haste(|builder| limit(builder).max_sessions(1)).await;
        for (error, holder) in waits_for_itself(&db).await {
            assert_told(&error, holder);
        }
    }
}

/// The caller is handed the session, and keeps it from everybody.
#[tokio::test]
async fn a_future_that_nobody_polls_is_named_by_those_who_wait_for_it() {
    for limit in [true, false] {
        let configure = |builder: DbBuilder<DB>| match limit {
            true => impatient(builder).max_sessions(1),
            false => builder.max_sessions(1).acquire_timeout(Duration::from_millis(200)),
        };
        let db = Fixture::<DB>::in_haste(configure).await;
        let held = db.session().await.unwrap();
        let mut unpolled = Box::pin(db.begin());
        assert!(is_pending(&mut unpolled).await);
        drop(held);

        let error = db.session().await.unwrap_err();

        assert_told(&error, "a transaction begun by hand");
        let text = error.to_string();
        let does = "waiting for its own caller to poll its future";
        assert!(text.contains(does), "{text}");
        assert!(!text.contains("took too long"), "{text}");
        unpolled.await.unwrap().rollback().await.unwrap();
        db.assert_at_rest().await;
    }
}

/// This includes callers who are given what they wait for as they are dropped.
#[tokio::test]
async fn a_waiter_dropped_anywhere_is_counted_no_more() {
    let configure = |builder: DbBuilder<DB>| {
        let builder = builder.max_sessions(1).max_waiting(1);
        builder.queue_target(TARGET).queue_interval(Duration::from_secs(3600))
    };
    let db = Fixture::<DB>::with(configure).await;
    at_every_point(async |point| {
        let held = db.begin().await.unwrap();
        let release = async {
            for _ in 0..50 {
                yield_now().await;
            }
            held.rollback().await.unwrap();
        };
        let (begun, ()) = tokio::join!(point.drop_there(db.begin()), release);
        let complete = begun.is_some();
        drop(begun);
        db.assert_at_rest().await;
        let held = db.begin().await.unwrap();
        let mut only = Box::pin(db.begin());
        assert!(is_pending(&mut only).await, "{point:?}");
        drop(only);
        held.rollback().await.unwrap();
        complete
    })
    .await;
}

/// Counts how often a caller asks to be polled.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// The target is zero, so the gate looks at the caller again and again, with a pause in between.
#[tokio::test]
async fn a_caller_for_which_a_session_is_opened_is_left_in_peace() {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(2).queue_target(Duration::ZERO))
        .await;
    let held = db.session().await.unwrap();
    let Some(_silent) = route.replace() else { return };
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut caller = Box::pin(db.session());
    assert!(caller.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(wakes.0.load(SeqCst), 0);
    drop((caller, held));
}
