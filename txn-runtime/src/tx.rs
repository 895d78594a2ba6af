//! A transaction: a session inside one, and what is known of its state.

use std::fmt;

use crate::control::{self, CommitFailure};
use crate::engine::{Effect, Engine, Wire};
use crate::error::Cause;
use crate::executor::Watch;
use crate::options::{Isolation, Options};
use crate::outcome::Verdict;
use crate::settle::Shield;
use crate::{Db, Error, Session, statement};

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

/// What is known of the transaction's state on the server.
#[derive(Debug)]
pub(crate) enum Health {
    Active,
    /// A statement failed, and the engine may have rolled everything back.
    Doubt(Cause),
    /// Refuses everything until a rollback, at least to the innermost savepoint.
    Failed(Cause),
    /// The server has ended the transaction by itself; what follows would autocommit.
    Gone(Cause),
}

impl Health {
    /// It only ever gets worse by this.
    pub(crate) fn after(&mut self, effect: Effect, cause: impl FnOnce() -> Cause) {
        match (&self, effect) {
            (Self::Gone(_), _) | (_, Effect::None) => {}
            (_, Effect::Gone) => *self = Self::Gone(cause()),
            (Self::Failed(_), _) => {}
            (_, Effect::Failed) => *self = Self::Failed(cause()),
            (Self::Doubt(_), Effect::Doubt) => {}
            (Self::Active, Effect::Doubt) => *self = Self::Doubt(cause()),
        }
    }
}

/// The part of a transaction that can be undone by itself: all of it, or what a nested scope has done.
#[derive(Debug)]
pub(crate) struct Level {
    /// The innermost open scope, joined ones included.
    pub(crate) scope: &'static str,
    /// How many joined scopes are open on this level.
    pub(crate) joined: u32,
    pub(crate) savepoint: Option<u32>,
    mark: Option<Mark>,
}

/// Why a level may only be rolled back.
#[derive(Debug)]
struct Mark {
    /// The joined scope that failed; `None` where the level's own scope asked for it.
    by: Option<&'static str>,
    cause: Cause,
}

impl Level {
    pub(crate) fn new(scope: &'static str, savepoint: Option<u32>) -> Self {
        Self {
            scope,
            joined: 0,
            savepoint,
            mark: None,
        }
    }

    /// The first mark is the one that explains.
    pub(crate) fn mark(&mut self, by: Option<&'static str>, cause: Cause) {
        self.mark.get_or_insert(Mark { by, cause });
    }
}

/// How a level is to end.
enum Ending {
    Keep,
    Undo(Result<(), Error>),
}

const DROPPED: &str = "a statement was dropped before it had finished";
const REFUSED: &str = "statement refused, an earlier one had failed";
const NOT_COMMITTED: &str = "not committed, a statement had failed and nothing was written";

impl<DB: Engine> Tx<DB> {
    /// Begins a transaction on a session of `db`.
    ///
    /// A session that turns out dead is replaced: nothing has run on it yet.
    pub(crate) async fn begin(db: &Db<DB>, options: &Options) -> Result<Self, Error> {
        let name = options.name;
        if let Some(why) = options.refusal(&DB::LACKS) {
            return Err(Error::refused(name, why));
        }
        let deadline = db.deadline();
        loop {
            let acquired = db.acquire(deadline, !options.read_only).await;
            let mut session = acquired.map_err(|error| error.in_scope(name))?;
            match control::begin(&mut session, options).await {
                Ok(()) => return Ok(Self::new(session, options)),
                Err(error) if session.wire == Wire::Broken && session.is_reused() => {
                    tracing::debug!(target: "txn", system = DB::SYSTEM, %error, "stale session replaced");
                    session.discard();
                }
                Err(error) => return Err(Error::begin(name, error)),
            }
        }
    }

    fn new(session: Session<DB>, options: &Options) -> Self {
        Self {
            session,
            health: Health::Active,
            level: Level::new(options.name, None),
            isolation: options.isolation,
            read_only: options.read_only,
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
        let by = (self.level.joined > 0).then_some(self.level.scope);
        self.level.mark(by, Cause::new(why));
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
        self.end(Verdict::Commit).await
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
        self.end(Verdict::Rollback).await
    }

    pub(crate) async fn end(self, verdict: Verdict) -> Result<(), Error> {
        let db = self.db().clone();
        Shield::new(db, self.finish(verdict)).await
    }

    async fn finish(mut self, verdict: Verdict) -> Result<(), Error> {
        match self.decide(verdict).await {
            Ending::Keep => self.commit_now().await,
            Ending::Undo(result) => {
                self.rollback_now().await;
                result
            }
        }
    }

    /// Invariant 6: `Ok` is returned only after the server confirmed the COMMIT of a healthy transaction.
    async fn commit_now(mut self) -> Result<(), Error> {
        let scope = self.level.scope;
        let failure = match control::commit(&mut self.session, self.read_only).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if self.session.in_transaction && self.session.wire == Wire::Idle {
            self.rollback_now().await;
        }
        Err(match failure {
            CommitFailure::Refused(error) => Error::commit_refused(scope, error),
            CommitFailure::Failed(error) => Error::commit(scope, error),
            CommitFailure::Unknown(error) => Error::commit_unknown(scope, error),
        })
    }

    /// Invariant 7: a failure of this is an event; closing the session rolls back as well.
    async fn rollback_now(mut self) {
        let settle_timeout = self.db().settle_timeout();
        let rollback = control::rollback(&mut self.session);
        let problem = match tokio::time::timeout(settle_timeout, rollback).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {settle_timeout:?}"),
        };
        let scope = self.level.scope;
        tracing::warn!(target: "txn", system = DB::SYSTEM, scope, problem, "rollback failed, session closed");
        self.session.discard();
    }

    // -- levels

    /// Opens a nested level; the outer one is for the caller to keep.
    ///
    /// Dropped with its SAVEPOINT in flight nothing has run under it: the outer level goes on after a drain.
    pub(crate) async fn push(&mut self, scope: &'static str) -> Result<Level, Error> {
        self.steady(scope, REFUSED).await?;
        self.savepoints += 1;
        let savepoint = self.savepoints;
        self.setting = true;
        let set = control::savepoint(&mut self.session, savepoint, self.release.take()).await;
        self.setting = false;
        if let Err(error) = set {
            self.health.after(Effect::Failed, || Cause::of(&error));
            return Err(Error::savepoint(scope, error));
        }
        self.depth += 1;
        Ok(std::mem::replace(
            &mut self.level,
            Level::new(scope, Some(savepoint)),
        ))
    }

    /// Ends the innermost level. To be followed by [`pop`](Self::pop), or by [`abandon`](Self::abandon) if dropped.
    pub(crate) async fn close_level(&mut self, verdict: Verdict) -> Result<(), Error> {
        match self.decide(verdict).await {
            Ending::Keep => {
                self.release = self.level.savepoint;
                Ok(())
            }
            Ending::Undo(result) => {
                self.undo = self.level.savepoint;
                if let Err(error) = self.undo().await {
                    let scope = self.level.scope;
                    tracing::warn!(target: "txn", system = DB::SYSTEM, scope, %error, "rollback to savepoint failed");
                }
                result
            }
        }
    }

    pub(crate) fn pop(&mut self, outer: Level) {
        self.depth -= 1;
        self.level = outer;
    }

    /// The innermost level was dropped: its work is undone before anything else is sent.
    pub(crate) fn abandon(&mut self, outer: Level) {
        self.undo = self.level.savepoint;
        self.pop(outer);
    }

    async fn undo(&mut self) -> Result<(), sqlx::Error> {
        let Some(savepoint) = self.undo else {
            return Ok(());
        };
        if let Health::Gone(_) = self.health {
            self.undo = None; // with everything else
            return Ok(());
        }
        if let Err(error) = control::rollback_to(&mut self.session, savepoint).await {
            self.health.after(Effect::Gone, || Cause::of(&error));
            return Err(error);
        }
        self.undo = None;
        self.release = Some(savepoint);
        if let Health::Failed(_) | Health::Doubt(_) = self.health {
            self.health = Health::Active;
        }
        Ok(())
    }

    // -- state

    async fn decide(&mut self, verdict: Verdict) -> Ending {
        if verdict == Verdict::Rollback {
            return Ending::Undo(Ok(()));
        }
        let scope = self.level.scope;
        if let Err(error) = self.steady(scope, NOT_COMMITTED).await {
            return Ending::Undo(Err(error));
        }
        match self.level.mark.take() {
            None => Ending::Keep,
            Some(Mark { by: None, .. }) => Ending::Undo(Ok(())),
            Some(Mark { by, cause }) => Ending::Undo(Err(Error::rollback_only(scope, by, cause))),
        }
    }

    /// Brings the transaction to where the next statement may be sent, or says why none may.
    async fn steady(&mut self, scope: &'static str, what: &'static str) -> Result<(), Error> {
        if self.undo.is_some() {
            // Its failure is in the state.
            self.undo().await.ok();
        }
        match self.session.wire {
            Wire::Idle => {}
            Wire::Partial => self.finish_exchange().await,
            Wire::Busy if std::mem::take(&mut self.setting) => self.finish_exchange().await,
            // The operation stays on the wire until a rollback drains it.
            Wire::Busy if DB::DROPS_BREAK => {
                self.health.after(Effect::Gone, || Cause::new(DROPPED))
            }
            Wire::Busy => self.health.after(Effect::Failed, || Cause::new(DROPPED)),
            Wire::Broken => self
                .health
                .after(Effect::Gone, || Cause::new("the connection was lost")),
        }
        if let Health::Doubt(_) = self.health {
            self.resolve_doubt().await;
        }
        match &self.health {
            Health::Active => Ok(()),
            Health::Doubt(cause) | Health::Failed(cause) | Health::Gone(cause) => {
                Err(Error::aborted(scope, what, cause.clone()))
            }
        }
    }

    /// What is left of a row stream, or of a SAVEPOINT, is read and forgotten. If it was an error, the transaction
    /// has it.
    async fn finish_exchange(&mut self) {
        let problem = match self.session.drain().await {
            Ok(None) => return,
            Ok(Some(error)) | Err(error) => error,
        };
        let mut watch = Watch {
            health: &mut self.health,
        };
        watch.failed::<DB>(&problem);
    }

    /// A failed statement may have taken the transaction with it.
    async fn resolve_doubt(&mut self) {
        let inside = self.session.probe().await;
        let Health::Doubt(cause) = std::mem::replace(&mut self.health, Health::Active) else {
            return;
        };
        if !matches!(inside, Ok(true)) {
            self.health = Health::Gone(cause);
        }
    }

    pub(crate) async fn ready(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let scope = self.level.scope;
        if let Some(why) = statement::refusal::<DB>(sql, true) {
            return Err(Error::refused(scope, why).into());
        }
        self.steady(scope, REFUSED).await?;
        Ok(())
    }

    pub(crate) fn watched(&mut self) -> (&mut Session<DB>, Option<Watch<'_>>) {
        let watch = Watch {
            health: &mut self.health,
        };
        (&mut self.session, Some(watch))
    }

    // -- joining

    /// Why a scope with these options cannot run inside of this transaction, if it cannot.
    pub(crate) fn conflict(&self, options: &Options) -> Option<String> {
        if let Some(wanted) = options.isolation
            && self.isolation != Some(wanted)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_only_gets_worse_and_keeps_its_first_cause() {
        let mut health = Health::Active;
        health.after(Effect::None, || Cause::new("nothing"));
        assert!(matches!(health, Health::Active));
        health.after(Effect::Doubt, || Cause::new("first"));
        health.after(Effect::Failed, || Cause::new("second"));
        health.after(Effect::Failed, || Cause::new("third"));
        health.after(Effect::Doubt, || Cause::new("fourth"));
        assert!(matches!(&health, Health::Failed(cause) if cause.to_string() == "second"));
        health.after(Effect::Gone, || Cause::new("fifth"));
        health.after(Effect::Failed, || Cause::new("sixth"));
        assert!(matches!(&health, Health::Gone(cause) if cause.to_string() == "fifth"));
    }
}
