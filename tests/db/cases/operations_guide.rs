//! The guide to operations quotes what its reader has seen: each quoted text is brought about here,
//! and no text that is seen here is missing there.

use std::future::pending;
use std::time::Duration;

use sqlx::Executor;
use tokio::time::{sleep, timeout};
use txn::{Db, Error, ScopeState, Tx, transactional};

use super::*;
use crate::support::drop_points::is_pending;
use crate::support::observer::until;
use crate::support::operations_page::{fits, plain, quotes};
use crate::support::proxy::Proxy;
use crate::support::route::Route;

mod conflicts;

/// This is more than a server needs, and less than anybody has set.
const SOON: Duration = Duration::from_millis(500);

/// The texts that were seen so far.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    #[track_caller]
    fn note(&mut self, text: &impl ToString) {
        let text = text.to_string();
        let plain = plain(&text);
        let is_quoted = quotes().iter().any(|quote| fits(quote, &plain));
        assert!(is_quoted, "the guide does not have: {text}\n{plain}");
        self.0.push(plain);
    }

    /// Asserts that each quoted text was seen, or is seen on other engines only.
    fn are_all(&self) {
        for quote in quotes() {
            let is_seen = self.0.iter().any(|text| fits(&quote, text));
            let is_elsewhere = elsewhere().iter().any(|part| quote.contains(part));
            assert_ne!(is_seen, is_elsewhere, "{quote}");
        }
    }
}

/// Parts of the texts that are quoted for other engines.
fn elsewhere() -> &'static [&'static str] {
    match <DB as txn::Engine>::SYSTEM {
        "sqlite" => &[
            "the server took too long",
            "no answer within",
            "would wait for a second session",
            "the commit was not confirmed",
            "while committing",
            "a lock held by",
            "after # attempts",
            "could not serialize",
            "eadlock",
        ],
        "postgresql" => &["its turn to write", "one writer", "is locked", "Deadlock"],
        _ => &[
            "its turn to write",
            "one writer",
            "is locked",
            "deadlock detected",
            "could not serialize",
            "cannot commit",
        ],
    }
}

#[tokio::test]
async fn the_guide_has_each_text_as_it_is_seen_and_no_other() {
    let mut seen = Seen::default();
    sessions_run_out(&mut seen).await;
    the_server_is_slow(&mut seen).await;
    second_sessions(&mut seen).await;
    overload(&mut seen).await;
    out_of_reach(&mut seen).await;
    over_its_timeout(&mut seen).await;
    commits_unknown(&mut seen).await;
    aborted(&mut seen).await;
    ended(&mut seen).await;
    hooks_and_shutdown(&mut seen).await;
    conflicts::all(&mut seen).await;
    seen.are_all();
}

#[transactional(name = "bank.transfer")]
async fn transfer(tx: &mut Tx<DB>, id: i64) -> Result<(), Error> {
    Ok(insert(tx, id).await?)
}

#[transactional(name = "bank.transfer", read_only)]
async fn balance(tx: &mut Tx<DB>) -> Result<i64, Error> {
    Ok(number(tx, "SELECT COUNT(*) FROM t").await?)
}

/// This scope never comes to an end.
#[transactional(name = "bank.report")]
async fn report(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    pending().await
}

/// A report that holds its session, between two statements. One that was not opened within the
/// limits of its handle is begun again.
async fn holding(db: &Db<DB>) -> impl Future {
    let mut holder = Box::pin(report(db));
    until("it is between statements", async || {
        if !is_pending(&mut holder).await {
            holder = Box::pin(report(db));
        }
        let scopes = db.scopes().await;
        scopes.iter().any(|scope| scope.state == ScopeState::Idle && scope.statements == 1)
    })
    .await;
    holder
}

async fn sessions_run_out(seen: &mut Seen) {
    let db = Fixture::<DB>::in_haste(|builder| builder.max_sessions(1).acquire_timeout(SOON)).await;
    let _report = holding(&db).await;
    seen.note(&db.scopes().await[0]);
    seen.note(&format!("{:?}", db.status()));
    seen.note(&balance(&*db).await.unwrap_err());
    seen.note(&transfer(&*db, 2).await.unwrap_err());
}

async fn the_server_is_slow(seen: &mut Seen) {
    let route = Route::<DB>::new().await;
    let Some(proxy) = &route.proxy else { return };
    let db = route
        .connect(|builder| builder.max_sessions(2).acquire_timeout(SOON).check_timeout(SOON))
        .await;
    let _report = holding(&db).await;
    proxy.stall();
    seen.note(&transfer(&db, 2).await.unwrap_err());
    seen.note(&db.check().await.unwrap_err());
    proxy.release();
}

#[transactional(name = "bank.audit", requires_new)]
async fn audit(tx: &mut Tx<DB>) -> Result<(), Error> {
    Ok(insert(tx, 2).await?)
}

#[transactional(name = "bank.transfer")]
async fn audited(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    audit(tx).await
}

async fn second_sessions(seen: &mut Seen) {
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&audited(&*db).await.unwrap_err());
}

/// Returns the error of a caller that was refused while sessions come and go, and there are always
/// more callers.
async fn herd(db: &Db<DB>, writes: bool) -> Error {
    let refused = async |_| loop {
        let ended = match writes {
            true => unhurried_write(db).await,
            false => unhurried_read(db).await,
        };
        match ended {
            Err(error)
                if error.to_string().starts_with("overloaded") && !error.holders().is_empty() =>
            {
                return error;
            }
            _ => {}
        }
    };
    let callers = (0..8).map(|n| Box::pin(refused(n)));
    futures_util::future::select_all(callers).await.0
}

#[transactional(name = "bank.transfer")]
async fn unhurried_write(_tx: &mut Tx<DB>) -> Result<(), Error> {
    sleep(Duration::from_millis(10)).await;
    Ok(())
}

#[transactional(name = "bank.transfer", read_only)]
async fn unhurried_read(_tx: &mut Tx<DB>) -> Result<(), Error> {
    sleep(Duration::from_millis(10)).await;
    Ok(())
}

async fn overload(seen: &mut Seen) {
    let (target, interval) = (Duration::from_millis(1), Duration::from_millis(20));
    let db = Fixture::<DB>::with(|builder| {
        builder.max_sessions(1).queue_target(target).queue_interval(interval)
    })
    .await;
    for writes in [false, true] {
        seen.note(&herd(&db, writes).await);
    }
    let _holder = holding(&db).await;
    seen.note(&balance(&*db).await.unwrap_err());
    seen.note(&transfer(&*db, 2).await.unwrap_err());
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1).max_waiting(0)).await;
    let _holder = holding(&db).await;
    seen.note(&balance(&*db).await.unwrap_err());
    let db = Fixture::<DB>::with(|builder| builder.max_sessions(1).max_waiting(1)).await;
    let _holder = holding(&db).await;
    let mut waiting = Box::pin(balance(&*db));
    assert!(is_pending(&mut waiting).await);
    seen.note(&balance(&*db).await.unwrap_err());
}

async fn out_of_reach(seen: &mut Seen) {
    let route = Route::<DB>::new().await;
    let db = route
        .connect(|builder| builder.max_sessions(2).breaker_after(Duration::ZERO))
        .await;
    let held = db.session().await.unwrap();
    route.block();
    seen.note(&balance(&db).await.unwrap_err());
    until("the breaker is open", async || {
        let error = balance(&db).await.unwrap_err();
        let is_open = error.is_unavailable();
        seen.note(&error);
        is_open
    })
    .await;
    route.unblock();
    drop(held);
    db.close().await;
}

#[transactional(name = "bank.transfer", timeout = "1s")]
async fn limited(_tx: &mut Tx<DB>) -> Result<(), Error> {
    pending().await
}

async fn over_its_timeout(seen: &mut Seen) {
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&limited(&*db).await.unwrap_err());
    let held = db.begin().await.unwrap();
    seen.note(&limited(&*db).await.unwrap_err());
    held.rollback().await.unwrap();
}

#[transactional(name = "bank.transfer", timeout = "500ms")]
async fn limited_transfer(tx: &mut Tx<DB>, proxy: &Proxy) -> Result<(), Error> {
    insert(tx, 1).await?;
    proxy.hold_answer_to("COMMIT");
    Ok(())
}

async fn commits_unknown(seen: &mut Seen) {
    let route = Route::<DB>::new().await;
    let Some(proxy) = &route.proxy else { return };
    let db = route.connect(|builder| builder.max_sessions(1)).await;
    // On a busy machine the time may be over before the COMMIT is sent.
    until("the COMMIT is unknown", async || {
        let error = limited_transfer(&db, proxy).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        if error.is_commit_unknown() {
            seen.note(&error);
        }
        proxy.release();
        db.settled().await;
        db.execute("DELETE FROM t").await.unwrap();
        error.is_commit_unknown()
    })
    .await;
    proxy.cut_at("COMMIT");
    let error = transfer(&db, 1).await.unwrap_err();
    assert!(error.is_commit_unknown(), "{error}");
    seen.note(&error);
    proxy.release();
}

/// This scope gives up a statement, and goes on.
#[transactional(name = "bank.transfer")]
async fn careless(tx: &mut Tx<DB>, sends_more: bool) -> Result<(), Error> {
    insert(tx, 1).await?;
    let given_up = timeout(Duration::from_millis(50), tx.execute(DB::SLOW_QUERY)).await;
    assert!(given_up.is_err());
    if sends_more {
        insert(tx, 2).await?;
    }
    Ok(())
}

#[transactional(name = "bank.post")]
async fn post(tx: &mut Tx<DB>) -> Result<(), Error> {
    insert(tx, 1).await?;
    Err(sqlx::Error::RowNotFound.into())
}

#[transactional(name = "bank.transfer")]
async fn swallowing(tx: &mut Tx<DB>) -> Result<(), Error> {
    post(tx).await.unwrap_err();
    Ok(())
}

async fn aborted(seen: &mut Seen) {
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&careless(&*db, false).await.unwrap_err());
    seen.note(&careless(&*db, true).await.unwrap_err());
    let error = swallowing(&*db).await.unwrap_err();
    assert!(error.is_rollback_only(), "{error}");
    seen.note(&error);
}

#[transactional(name = "bank.transfer")]
async fn ended_in_its_middle(tx: &mut Tx<DB>, fails: bool) -> Result<(), Error> {
    tx.execute("SELECT 1; COMMIT").await?;
    match fails {
        true => Err(sqlx::Error::RowNotFound.into()),
        false => Ok(()),
    }
}

async fn ended(seen: &mut Seen) {
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&ended_in_its_middle(&*db, false).await.unwrap_err());
    seen.note(&ended_in_its_middle(&*db, true).await.unwrap_err());
}

#[transactional(name = "bank.transfer")]
async fn unbalanced(tx: &mut Tx<DB>) -> Result<(), Error> {
    tx.before_commit(|_| Box::pin(async { Err("debit and credit differ".into()) }));
    Ok(())
}

async fn hooks_and_shutdown(seen: &mut Seen) {
    let db = Fixture::<DB>::of_sessions(1).await;
    seen.note(&unbalanced(&*db).await.unwrap_err());
    db.close().await;
    seen.note(&transfer(&*db, 1).await.unwrap_err());
}
