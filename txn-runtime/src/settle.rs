//! Settling: a session that a dropped scope left behind is brought to a known state, clean and back in the pool,
//! or closed.
//!
//! Invariant 4: every cleanup is bounded by `settle_timeout`; past it the session is closed and its slot freed.
//! Invariant 5: a cleanup holds its pool slot until it ends, so that the pool never opens more than `max_sessions`.
//! Invariant 8: it never needs the caller's runtime context: it runs on the runtime that the `Db` was made in.

use tokio::time::timeout;

use crate::engine::{Engine, Wire};
use crate::error::Cause;
use crate::hooks::{self, Fate};
use crate::metrics::{Closed, Settled};
use crate::{Session, control};

/// Settles in the background.
///
/// If that runtime has shut down, the task is dropped at once, and the session with it: closed, not given back.
pub(crate) fn spawn<DB: Engine>(session: Session<DB>) {
    let db = session.db().clone();
    db.spawn(settle(session));
}

/// Hooks that are still there belong to a transaction that was dropped.
async fn settle<DB: Engine>(mut session: Session<DB>) {
    let cause = match session.committing {
        true => Cause::unknown("its commit had not been answered when it was given up"),
        false => Cause::new("it was dropped before it had ended"),
    };
    let due = session.due(&Fate::RolledBack(cause));
    let meter = session.db().meter().clone();
    settle_session(session).await;
    hooks::run(due, meter).await;
}

pub(crate) async fn settle_session<DB: Engine>(mut session: Session<DB>) {
    let limit = session.db().settle_timeout();
    let backend = session.backend();
    let cleanup = session.db().meter().settling();
    if session.wire == Wire::Broken {
        // In vain past the limit, as everything here. Whoever had the session was told that it broke.
        timeout(limit, session.kill_if_it_lingers()).await.ok();
        cleanup.ended(Settled::Broken);
        return session.discard();
    }
    let lost = session.is_lost_by_a_drop();
    let (problem, end) = match timeout(limit, bring_to_rest(&mut session)).await {
        Ok(Ok(())) => {
            cleanup.ended(Settled::Clean);
            return close_if_the_pool_is(session).await;
        }
        Ok(Err(error)) => (error.to_string(), Settled::Failed),
        Err(_) => (format!("not settled within {limit:?}"), Settled::TimedOut),
    };
    if lost {
        cleanup.ended(Settled::DroppedOperation);
        tracing::debug!(target: "txn", system = DB::SYSTEM, backend, "session closed after an operation was dropped");
        return session.discard();
    }
    cleanup.ended(end);
    tracing::warn!(target: "txn", system = DB::SYSTEM, backend, problem, "session closed instead of settled");
    session.discard_because(Closed::Unsettled);
}

/// A clean session goes back to the pool by being dropped; there may be none any more.
async fn close_if_the_pool_is<DB: Engine>(session: Session<DB>) {
    if session.is_lent() || !session.db().is_closed() {
        return;
    }
    let (limit, backend) = (session.db().settle_timeout(), session.backend());
    if let Ok(Err(error)) = timeout(limit, session.close()).await {
        tracing::debug!(target: "txn", system = DB::SYSTEM, backend, %error, "session not closed in good order");
    }
}

async fn bring_to_rest<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    if session.wire != Wire::Idle {
        session.drain().await?;
    }
    if session.in_transaction {
        control::rollback(session).await?;
    }
    if session.was_exposed() {
        forget_exposure(session).await?;
    }
    Ok(())
}

/// Of the sandbox's own transaction.
const ENDED_BY_HAND: &str = "the transaction was ended through the raw connection";

/// The user had the raw connection: what was left open on it is rolled back.
async fn forget_exposure<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    let inside = session.probe().await?;
    if session.is_lent() {
        session.is_known_again();
        return match inside {
            true => control::rollback(session).await,
            false => Err(sqlx::Error::Protocol(ENDED_BY_HAND.into())),
        };
    }
    if inside {
        tracing::warn!(
            target: "txn", system = DB::SYSTEM, backend = session.backend(),
            "a transaction begun through the raw connection was left open: rolled back"
        );
        control::rollback(session).await?;
    }
    session.is_known_again();
    Ok(())
}
