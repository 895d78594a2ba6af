//! A transaction: a session inside one, and what is known of its state.

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

mod level;
mod state;

pub(crate) use self::level::Level;
use self::state::Ending;
pub(crate) use self::state::Health;
use crate::control::{self, CommitFailure};
use crate::deadline::{Deadline, Phase};
use crate::engine::{Engine, Wire};
use crate::error::Cause;
use crate::hooks::{self, Conclusion, Fate};
use crate::options::{Isolation, Options};
use crate::outcome::Verdict;
use crate::settle::Shield;
use crate::verify::{Verified, verify};
use crate::{Db, Error, Session};

/// The server ends a transaction that is over its time only if nobody here does.
const SERVER_SLACK: Duration = Duration::from_secs(1);

/// An open transaction; `&mut Tx` is a [`sqlx::Executor`].
///
/// An annotated function gets it as its parameter. By hand it comes from [`Db::begin`] and ends with
/// [`commit`](Self::commit) or [`rollback`](Self::rollback).
///
/// # Cancel safety
///
/// Dropping a `Tx` rolls back: in the background its session is brought to a known state before anybody else gets
/// it, or closed. A statement that is dropped in flight (a `timeout` around it) fails the transaction, since nobody
/// knows whether it took effect: further statements are refused. A row stream may be dropped between two rows at
/// no loss.
pub struct Tx<DB: Engine> {
    pub(crate) session: Session<DB>,
    health: Health,
    /// The innermost savepoint level; the outer ones are kept by the scopes inside them.
    pub(crate) level: Level,
    isolation: Option<Isolation>,
    read_only: bool,
    /// Its name on the server, where commits are verified.
    id: Option<String>,
    depth: u32,
    /// Names of savepoints are never used twice.
    savepoints: u32,
    /// A savepoint whose RELEASE rides in front of the next SAVEPOINT.
    release: Option<u32>,
    /// A SAVEPOINT is in flight; nothing has run under it yet.
    setting: bool,
    /// A savepoint to which a dropped scope has left us to roll back, before anything else is sent.
    undo: Option<u32>,
}

impl<DB: Engine> Tx<DB> {
    /// Begins a transaction on a session of `db`.
    ///
    /// A session that turns out dead is replaced: nothing has run on it yet.
    pub(crate) async fn begin(
        db: &Db<DB>,
        options: &Options,
        deadline: Option<Deadline>,
    ) -> Result<Self, Error> {
        let name = options.name;
        if let Some(why) = options.refusal(&DB::LACKS) {
            return Err(Error::refused(name, why));
        }
        let patience = db.deadline();
        loop {
            let session = Self::acquire(db, options, patience, deadline).await?;
            let mut tx = Self::new(session, options);
            match tx.send_begin(options, deadline).await {
                Ok(()) => return Ok(tx),
                Err(error) if tx.session.wire == Wire::Broken && tx.session.is_reused() => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "stale session replaced");
                    tx.session.discard();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for as long as the `Db` lets every caller wait, or the scope has time, whichever is shorter.
    async fn acquire(
        db: &Db<DB>,
        options: &Options,
        patience: Instant,
        deadline: Option<Deadline>,
    ) -> Result<Session<DB>, Error> {
        let name = options.name;
        let acquired = db.acquire(patience, !options.read_only);
        let acquired = match deadline {
            Some(deadline) if deadline.at < patience => timeout_at(deadline.at, acquired)
                .await
                .map_err(|_| Error::timeout(name, deadline.over(Phase::Acquire)))?,
            _ => acquired.await,
        };
        acquired.map_err(|error| error.in_scope(name))
    }

    async fn send_begin(
        &mut self,
        options: &Options,
        deadline: Option<Deadline>,
    ) -> Result<(), Error> {
        let name = options.name;
        let limit = deadline.map(|deadline| deadline.remaining() + SERVER_SLACK);
        let begin = control::begin(&mut self.session, options, limit);
        let begun = match deadline {
            None => begin.await,
            Some(deadline) => match timeout_at(deadline.at, begin).await {
                Ok(begun) => begun,
                Err(_) => {
                    self.roll_back().await;
                    return Err(Error::timeout(name, deadline.over(Phase::Begin)));
                }
            },
        };
        self.id = begun.map_err(|error| Error::begin(name, error))?;
        Ok(())
    }

    fn new(session: Session<DB>, options: &Options) -> Self {
        Self {
            session,
            health: Health::Active,
            level: Level::new(options.name, None),
            isolation: options.isolation,
            read_only: options.read_only,
            id: None,
            depth: 0,
            savepoints: 0,
            release: None,
            setting: false,
            undo: None,
        }
    }

    /// The handle that this transaction's session came from.
    #[must_use]
    pub fn db(&self) -> &Db<DB> {
        self.session.db()
    }

    /// How many nested scopes this point is inside of; 0 in the transaction itself.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// The raw sqlx connection, for what no executor offers: COPY, advisory locks.
    ///
    /// What is done to it is out of sight: a failed statement is noticed at the commit only, and the session is
    /// looked at in the background before anybody else gets it. Leave the transaction as you found it.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.session.connection()
    }

    /// Makes sure that nothing is written: the scope will roll back whatever it returns, and return it.
    ///
    /// In a nested scope it holds for that scope. In a joined one it holds for the transaction that was joined, whose
    /// own scope is told: it gets an error ([`Error::is_rollback_only`]) instead of an `Ok` that would not be true.
    pub fn set_rollback_only(&mut self, why: impl Into<String>) {
        self.level.set_rollback_only(Cause::new(why));
    }

    /// Commits.
    ///
    /// # Errors
    ///
    /// If the server did not confirm the commit of a healthy transaction: a joined scope had failed
    /// ([`Error::is_rollback_only`]), a statement had ([`Error::is_aborted`]), the engine refused
    /// ([`Error::is_serialization_failure`] among others), or the answer was lost ([`Error::is_commit_unknown`]).
    /// In all but the last nothing was written.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the commit is finished in the background; its result is then an event.
    pub async fn commit(self) -> Result<(), Error> {
        self.end(Verdict::Commit.into()).await
    }

    /// Rolls back.
    ///
    /// # Errors
    ///
    /// None at present: a session on which the ROLLBACK fails is closed, which rolls back too.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the rollback is finished in the background.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end(Verdict::Rollback.into()).await
    }

    pub(crate) async fn end(self, conclusion: Conclusion) -> Result<(), Error> {
        let db = self.db().clone();
        Shield::new(db, self.finish(conclusion)).await
    }

    /// The session is given back before hooks run.
    async fn finish(mut self, conclusion: Conclusion) -> Result<(), Error> {
        let ending = self.conclude(conclusion).await;
        let hooks = std::mem::take(&mut self.session.hooks);
        let (result, fate) = match ending {
            Ending::Keep => match self.commit_now().await {
                Ok(()) => (Ok(()), Fate::Committed),
                Err(error) => {
                    let cause = Cause::of_scope(&error);
                    (Err(error), Fate::RolledBack(cause))
                }
            },
            Ending::Undo { result, cause } => {
                self.rollback_now().await;
                (result, Fate::RolledBack(cause))
            }
        };
        if !hooks.is_empty() {
            hooks::run(hooks.after(&fate)).await;
        }
        result
    }

    /// Decides, and lets the hooks before the commit change the decision.
    async fn conclude(&mut self, conclusion: Conclusion) -> Ending {
        match self.decide(conclusion).await {
            Ending::Keep => {}
            undo => return undo,
        }
        if let Err(error) = self.run_before_commit().await {
            let cause = Cause::of_scope(&error);
            return Ending::Undo {
                result: Err(error),
                cause,
            };
        }
        self.decide(Verdict::Commit.into()).await
    }

    /// Invariant 6: `Ok` is returned only after the server confirmed the COMMIT of a healthy transaction.
    async fn commit_now(mut self) -> Result<(), Error> {
        let scope = self.level.scope;
        let failure = match control::commit(&mut self.session).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if self.session.in_transaction && self.session.wire == Wire::Idle {
            self.roll_back().await;
        }
        match failure {
            CommitFailure::Refused(error) => Err(Error::commit_refused(scope, error)),
            CommitFailure::Failed(error) => Err(Error::commit(scope, error)),
            CommitFailure::Unknown(error) => self.verify(error).await,
        }
    }

    /// The answer to the COMMIT was lost.
    async fn verify(self, error: sqlx::Error) -> Result<(), Error> {
        let scope = self.level.scope;
        let verified = match &self.id {
            Some(id) => verify(self.db(), id).await,
            None => None,
        };
        match verified {
            Some(Verified::Committed) => Ok(()),
            Some(Verified::Aborted) => Err(Error::commit(scope, error)),
            _ => Err(Error::commit_unknown(scope, error)),
        }
    }

    /// Invariant 7: a failure of this is an event; closing the session rolls back as well.
    async fn rollback_now(mut self) {
        if !self.roll_back().await {
            self.session.discard();
        }
    }

    /// Whether the session is fit for use again.
    async fn roll_back(&mut self) -> bool {
        let limit = self.db().settle_timeout();
        let problem = match timeout(limit, control::rollback(&mut self.session)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {limit:?}"),
        };
        let scope = self.level.scope;
        tracing::warn!(target: "txn", system = DB::SYSTEM, scope, problem, "rollback failed, session closed");
        self.session.wire = Wire::Broken;
        false
    }

    // -- joining

    /// Why a scope with these options cannot run inside of this transaction, if it cannot.
    pub(crate) fn conflict(&self, options: &Options) -> Option<String> {
        // Where there is one level only, the default is no other.
        let one_level = DB::LACKS.weak_isolation.is_some();
        if let Some(wanted) = options.isolation
            && self.isolation != Some(wanted)
            && !one_level
        {
            let has = self
                .isolation
                .map_or("the default".into(), |has| has.to_string());
            return Some(format!(
                "asks for isolation {wanted}, but joins a transaction whose isolation is {has}; open the outer scope \
                 with it, or make this one `requires_new`"
            ));
        }
        (self.read_only && !options.read_only).then(|| {
            "may write, but joins a read-only transaction; mark it `read_only`, or make it `requires_new`".into()
        })
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }
}

impl<DB: Engine> fmt::Debug for Tx<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx")
            .field("scope", &self.level.scope)
            .field("depth", &self.depth)
            .field("health", &self.health)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
