//! Sessions in autocommit mode: for one statement on `&db`, or for the user to keep.
//!
//! A dead session is noticed before it is handed out, because the first statement on it could not
//! be repeated safely. (A scope needs no such check: its BEGIN can be repeated.)

use tokio::time::Instant;

use super::Db;
use crate::engine::{Engine, Place, statement};
use crate::model::deadline::probe_until;
use crate::model::error::Error;
use crate::model::labels::CloseReason;
use crate::model::request::Need;
use crate::pool::Session;

/// Why a sandbox hands out no session in autocommit mode.
const NOT_IN_A_SANDBOX: &str = "refused: a sandbox has none, all that is done in it is one \
     transaction; migrate the `Db` before its `sandbox` is made, and use `begin` in place of \
     `session`";

impl<DB: Engine> Db<DB> {
    /// Acquires a session for one statement. If it may write, the caller waits for the turn to
    /// write, on engines that allow one writer at a time.
    pub(crate) async fn session_for(&self, sql: &str) -> Result<Session<DB>, Error> {
        if self.shared.limits.max_sessions > 1
            && let Some(why) = statement::refusal_at::<DB>(sql, Place::AnySession, self.options())
        {
            return Err(Error::refused(Need::AUTOCOMMIT.scope, why));
        }
        self.autocommit_session(Need {
            writes: DB::ONE_WRITER && statement::may_write(sql),
            ..Need::AUTOCOMMIT
        })
        .await
    }

    /// Acquires a session, resets it if that is due, and pings it if it may be dead. Sessions that
    /// fail this are closed, and the next one is tried.
    pub(crate) async fn autocommit_session(&self, need: Need) -> Result<Session<DB>, Error> {
        if self.sandbox.is_some() {
            return Err(Error::refused(Need::AUTOCOMMIT.scope, NOT_IN_A_SANDBOX));
        }
        let deadline = self.deadline();
        // Each round returns or closes a session, and past the deadline `acquire` opens no new one.
        loop {
            let mut session = self.acquire(deadline, &need).await?;
            let until = match session.is_suspect() {
                true => probe_until(deadline),
                false => deadline,
            };
            let left = until.saturating_duration_since(Instant::now());
            if session.is_to_be_reset() {
                match session.reset(left).await {
                    // The answer is as good as one to a ping, which also catches up with the epoch.
                    Ok(true) if !session.is_behind() => return Ok(session),
                    Ok(true) => {}
                    Ok(false) | Err(_) => {
                        session.discard_because(CloseReason::Reset);
                        continue;
                    }
                }
            } else if session.is_trusted() {
                return Ok(session);
            }
            match session.ping(left).await {
                Ok(()) => return Ok(session),
                Err(_) => {
                    session.discard_because(CloseReason::PingFailed);
                    // The next one would have to be pinged in vain, and the one after that.
                    if DB::EMBEDDED.is_none() {
                        self.close_stale_idle(CloseReason::PingFailed);
                    }
                }
            }
        }
    }
}
