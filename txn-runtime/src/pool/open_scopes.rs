//! What the open scopes of a handle wait for, and on whom: what is noted here, and what the server says of locks.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Cancel, Db, Session};
use crate::engine::Engine;
use crate::model::open_scope::{Holder, OpenScope, WaitsFor};
use crate::model::request::Need;
use crate::observe::scopes::{Holding, Seen, for_sessions};

/// What the server is given to say who waits for whose lock.
const PATIENCE: Duration = Duration::from_secs(1);

impl<DB: Engine> Db<DB> {
    /// Those that hold what somebody waits for in vain, the oldest first.
    pub(crate) fn holders(&self, of_turn: bool) -> Vec<OpenScope> {
        let seen = self.look(None).into_iter();
        let seen = seen.filter(|seen| seen.has(of_turn));
        seen.map(|seen| seen.scope).collect()
    }

    /// Notes whose a session is from now on.
    pub(crate) fn opened(&self, session: Session<DB>, need: &Need) -> Session<DB> {
        let has_turn = DB::ONE_WRITER && need.writes;
        session.activity().open(Holding::new(need, has_turn));
        self.watch_scopes();
        if !session.is_reused() {
            self.ensure_reaper();
        }
        session
    }

    /// What there is to be seen without asking the server. Those that began before `overdue` and were not reported are, now.
    pub(crate) fn look(&self, overdue: Option<Instant>) -> Vec<Seen> {
        let mut seen = self.scopes_here().look(overdue);
        seen.sort_by_key(|seen| std::cmp::Reverse(seen.scope.age));
        for_sessions(&mut seen);
        seen
    }

    /// Says of those that wait for the server whose lock it is, if it is one.
    pub(crate) async fn see_locks(&self, seen: &mut [Seen]) {
        let asks = |seen: &&Seen| seen.scope.state.asks_server();
        let sessions = seen.iter().filter(asks);
        let sessions = sessions.filter_map(|seen| seen.scope.session);
        let sessions: Vec<_> = sessions.map(|id| id.to_string()).collect();
        let blocked = self.ask_who_blocks(&sessions.join(",")).await;
        let known: Vec<_> = seen.iter().map(|seen| Holder::of(&seen.scope)).collect();
        for (waits, on) in blocked {
            let known = known.iter().find(|holder| holder.session == Some(on));
            let holder = known.copied().unwrap_or(Holder::stranger(on));
            let waits = |seen: &&mut Seen| seen.scope.session == Some(waits);
            if let Some(seen) = seen.iter_mut().find(waits)
                && !seen.scope.waits_on.contains(&holder)
            {
                seen.scope.waits_for = Some(WaitsFor::Lock);
                seen.scope.waits_on.push(holder);
            }
        }
    }

    /// Pairs of sessions, the first of which waits for a lock of the second.
    async fn ask_who_blocks(&self, sessions: &str) -> Vec<(u64, u64)> {
        let mut blocked = Vec::new();
        let hidden = self.cancel() == Cancel::Close; // behind a pooler the ids are not those of the server
        let question = match sessions {
            "" => None,
            _ if hidden => None,
            _ => DB::ask_who_blocks(sessions),
        };
        let Some(question) = question else {
            return blocked;
        };
        let answer = self.ask(&question, |row| blocked.extend(DB::blocked(row)));
        if let Ok(Err(error)) = timeout(PATIENCE, answer).await {
            tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "cannot ask who waits for a lock");
        }
        blocked
    }
}
