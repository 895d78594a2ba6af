//! Settling: a session that a dropped scope left behind is brought to a known state, so that it is
//! clean and back in the pool, or closed.
//!
//! A cleanup owns its session. It drains what is on the wire, rolls back what is open, looks at
//! what ran out of sight, and does what was asked for between two users. Then it drops the session,
//! which sends it back to the pool. Whatever fails, or takes too long, closes the session instead:
//! the server then rolls back.
//!
//! Invariant 4: every cleanup is bounded by `settle_timeout`; past it the session is closed and its
//! slot freed.
//! Invariant 5: a cleanup holds its pool slot until it ends or its connection is lost, so that the
//! pool never has more than `max_sessions` connections, and a server that is gone holds no slot.
//! Invariant 8: a cleanup never needs the caller's runtime context; it runs on the runtime that the
//! `Db` was made in.

use tokio::time::timeout;

use crate::engine::{Engine, clock};
use crate::model::error::Cause;
use crate::model::labels::{CloseReason, SettleOutcome};
use crate::model::untracked::Untracked;
use crate::observe::events::Event;
use crate::observe::kept::Timestamp;
use crate::pool::Session;
use crate::pool::hooks::{self, Fate};
use crate::pool::transaction_sql::{self, RolledBack};

/// Settles a session in the background.
///
/// If the runtime shuts down before the cleanup is done, the session is closed, not given back.
pub(crate) fn spawn<DB: Engine>(session: Session<DB>) {
    let db = session.db().clone();
    db.spawn(settle(session));
}

/// Settles a session, then runs the hooks that it still has. They belong to a transaction that was
/// dropped.
async fn settle<DB: Engine>(mut session: Session<DB>) {
    let cause = match session.state.is_committing() {
        true => Cause::unknown("its commit had not been answered when it was given up"),
        false => Cause::new("it was dropped before it had ended"),
    };
    let due = session.due(&Fate::RolledBack(cause));
    let events = session.db().events().clone();
    settle_session(session).await;
    hooks::run(due, events).await;
}

/// Brings a session to rest and gives it back, or closes it.
pub(crate) async fn settle_session<DB: Engine>(mut session: Session<DB>) {
    let limit = session.db().settle_timeout();
    let backend = session.backend();
    let (events, begun) = (session.db().events().clone(), Timestamp::now());
    let settled = move |how| events.tell(Event::Settled { begun, how });
    if session.state.is_broken() {
        // Nobody is told how this ends: whoever had the session knows that it broke.
        let kill = Box::pin(session.kill_if_it_lingers());
        timeout(limit, kill).await.ok();
        settled(SettleOutcome::Broken);
        return session.discard();
    }
    let lost = session.is_lost_by_a_drop();
    let (problem, end) = match timeout(limit, bring_to_rest(&mut session)).await {
        Ok(Ok(())) => {
            settled(SettleOutcome::Clean);
            return release(session).await;
        }
        Ok(Err(error)) => (error.to_string(), SettleOutcome::Failed),
        Err(_) => (
            format!("not settled within {limit:?}"),
            SettleOutcome::TimedOut,
        ),
    };
    if lost {
        settled(SettleOutcome::DroppedOperation);
        tracing::debug!(
            target: "txn", system = DB::SYSTEM, backend,
            "session closed after an operation was dropped"
        );
        return session.discard();
    }
    settled(end);
    tracing::warn!(
        target: "txn", system = DB::SYSTEM, backend, problem,
        "session closed instead of settled"
    );
    session.discard_because(CloseReason::Unsettled);
}

/// Gives a clean session back in the background, because something has to be done with it first.
pub(crate) fn spawn_release<DB: Engine>(session: Session<DB>) {
    let db = session.db().clone();
    db.spawn(release(session));
}

/// Does with a clean session what has to be done between two users, and gives it back. It is closed
/// if that fails, or if a callback does not want to keep it.
async fn release<DB: Engine>(mut session: Session<DB>) {
    let (limit, backend) = (session.db().settle_timeout(), session.backend());
    let problem = match timeout(limit, session.make_ready_for_others()).await {
        Ok(Ok(None)) => return close_if_the_pool_is(session).await,
        Ok(Ok(Some(why))) => return close(session, why).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not ready within {limit:?}"),
    };
    tracing::warn!(
        target: "txn", system = DB::SYSTEM, backend, problem,
        "session closed instead of given back"
    );
    session.discard_because(CloseReason::Rejected);
}

/// Closes a session in good order, so that its locks on the server are free when this returns.
///
/// # Cancel safety
///
/// Dropping it closes the connection without a word to the server.
pub(crate) async fn close<DB: Engine>(mut session: Session<DB>, why: CloseReason) {
    let (limit, backend) = (session.db().settle_timeout(), session.backend());
    session.closes(why);
    if let Ok(Err(error)) = timeout(limit, clock::real(session.close())).await {
        tracing::debug!(
            target: "txn", system = DB::SYSTEM, backend, %error,
            "session not closed in good order"
        );
    }
}

/// Drops a clean session, which sends it back to the pool, or closes it if the pool was closed
/// meanwhile.
async fn close_if_the_pool_is<DB: Engine>(session: Session<DB>) {
    if !session.bounds().are_a_savepoint() && session.db().is_closed() {
        close(session, CloseReason::WithPool).await;
    }
}

/// Leaves nothing on the wire and no transaction open.
///
/// # Cancel safety
///
/// Dropped, the session is left in the state that it has reached. Its own drop closes it.
async fn bring_to_rest<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    if !session.state.is_idle() {
        Box::pin(session.drain()).await?;
    }
    if session.state.is_inside() {
        let rolled_back = transaction_sql::rollback(session).await;
        if let Some(by) = ended_before(session, &rolled_back) {
            tracing::error!(
                target: "txn", system = DB::SYSTEM, backend = session.backend(), %by,
                "a scope was dropped that could not be rolled back: its transaction had been ended before"
            );
        }
        let _logged = rolled_back?;
    }
    // Boxed, because it is rare and every cleanup would have room for it.
    if session.state.is_to_be_restored() {
        Box::pin(make_sure(session)).await?;
    }
    match session.is_counted_by_the_driver() && !session.bounds().are_a_savepoint() {
        true => Box::pin(transaction_sql::let_the_driver_count_none(session)).await,
        false => Ok(()),
    }
}

/// What had ended the transaction before the rollback, if anything did. A rollback that fails may
/// have found out before it failed.
fn ended_before<'a, DB: Engine>(
    session: &'a Session<DB>,
    rolled_back: &'a Result<RolledBack, sqlx::Error>,
) -> Option<&'a Untracked> {
    match rolled_back {
        Ok(RolledBack::Fully) => None,
        Ok(RolledBack::Partly(by)) => Some(by),
        Err(_) => session.state.ended_by().or(session.state.to_look_at()),
    }
}

/// Why a sandbox is lost: a scope in it has ended the transaction that all its scopes run in.
const ENDED_BY_HAND: &str = "the transaction was ended by something that ran in it";

/// Looks at a session on which something ran out of sight: rolls back a transaction that was left
/// open, and restores the settings that the runtime relies on.
async fn make_sure<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    if session.state.to_look_at().is_some() {
        let inside = session.probe().await?;
        let by = session.looked_at();
        if session.bounds().are_a_savepoint() && !inside {
            return Err(sqlx::Error::Protocol(ENDED_BY_HAND.into()));
        }
        if inside {
            roll_back_what_was_left_open(session, by).await?;
        }
    }
    if session.bounds().are_a_savepoint() {
        // What else was changed is restored when the sandbox ends.
        return Ok(());
    }
    if let Some(restore) = DB::RESTORE {
        session.run(restore).await?;
    }
    session.state.restored();
    Ok(())
}

async fn roll_back_what_was_left_open<DB: Engine>(
    session: &mut Session<DB>,
    by: Option<Box<Untracked>>,
) -> Result<(), sqlx::Error> {
    if !session.bounds().are_a_savepoint() {
        let by = by.map(|by| by.to_string());
        tracing::warn!(
            target: "txn", system = DB::SYSTEM, backend = session.backend(), by,
            "a transaction begun outside of any scope was left open: rolled back"
        );
    }
    // No scope relies on anything in it, so that it does not matter whether a part was committed.
    let _all = transaction_sql::rollback(session).await?;
    Ok(())
}
