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
    let hooks = std::mem::take(&mut session.hooks);
    let committing = session.committing;
    settle_session(session).await;
    if !hooks.is_empty() {
        let cause = match committing {
            true => Cause::unknown("its commit had not been answered when it was given up"),
            false => Cause::new("it was dropped before it had ended"),
        };
        hooks::run(hooks.after(&Fate::RolledBack(cause))).await;
    }
}

async fn settle_session<DB: Engine>(mut session: Session<DB>) {
    let limit = session.db().settle_timeout();
    let backend = session.backend();
    let lost = session.is_lost_by_a_drop();
    let problem = match timeout(limit, bring_to_rest(&mut session)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("not settled within {limit:?}")),
    };
    if let Some(problem) = problem {
        if lost {
            tracing::debug!(target: "txn", system = DB::SYSTEM, backend, "session closed after an operation was dropped");
            return session.discard();
        }
        tracing::warn!(target: "txn", system = DB::SYSTEM, backend, problem, "session closed instead of settled");
        return session.discard();
    }
    if session.db().is_closed() {
        let goodbye = session.close();
        if let Ok(Err(error)) = timeout(limit, goodbye).await {
            tracing::debug!(target: "txn", system = DB::SYSTEM, backend, %error, "session not closed in good order");
        }
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

/// The user had the raw connection: what was left open on it is rolled back.
async fn forget_exposure<DB: Engine>(session: &mut Session<DB>) -> Result<(), sqlx::Error> {
    if session.probe().await? {
        tracing::warn!(
            target: "txn", system = DB::SYSTEM, backend = session.backend(),
            "a transaction begun through the raw connection was left open: rolled back"
        );
        control::rollback(session).await?;
    }
    session.is_known_again();
    Ok(())
}
