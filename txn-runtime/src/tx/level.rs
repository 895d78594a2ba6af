//! Levels: the parts of a transaction that can be undone by themselves.
//!
//! The transaction itself is the first level, and each nested scope adds one with a SAVEPOINT. A
//! joined scope adds none; it is only counted on the level that it runs on. A [`Tx`] holds the
//! innermost level. The levels around it are held by the nested scopes that replaced them, each of
//! which puts its own back when it ends:
//!
//! ```text
//!             push                  close_level                 pop
//!   outer ───────────► nested open ─────────────► nested ended ─────► outer
//!                           │                                           ▲
//!                           └──────────────── abandon ──────────────────┘
//! ```
//!
//! `push` and `close_level` talk to the server. `pop` and `abandon` do not wait, so that a drop can
//! call `abandon`: it only writes down that the level has to be undone, and the next operation on
//! the transaction sends the ROLLBACK TO before anything else.

use tokio::time::timeout;

use super::Tx;
use super::state::{Decision, REFUSED};
use crate::engine::{Engine, timed_out};
use crate::model::error::{Cause, Class, Error};
use crate::model::options::{Isolation, Options};
use crate::model::transaction::Effect;
use crate::pool::transaction_sql;

/// A part of a transaction that can be undone by itself: all of it, or the work of a nested scope.
#[derive(Debug)]
pub(crate) struct Level {
    /// The name of the innermost open scope. A joined scope writes its name here when it begins,
    /// and the name of the scope around it when it ends.
    pub(crate) scope: &'static str,
    /// How many joined scopes are open on this level.
    pub(crate) joined: u32,
    /// The number of the level's savepoint; `None` for the transaction itself.
    pub(crate) savepoint: Option<u32>,
    /// The isolation and access that hold on this level.
    pub(crate) terms: Terms,
    /// Why the level can only be rolled back, if that is so. Set at most once, and taken when the
    /// level is decided on. Boxed, because it is rare.
    pub(super) mark: Option<Box<RollbackMark>>,
}

/// The isolation and access that a transaction was opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The isolation level; `None` for the database's default.
    pub(super) isolation: Option<Isolation>,
    /// True if writes are refused, by the server or by the runtime.
    pub(super) read_only: bool,
    /// True if the runtime has to refuse writes itself, by the first keyword of a statement,
    /// because the server does not know that the scope is read-only.
    pub(super) checked_by_keyword: bool,
}

impl Terms {
    /// The terms of a scope whose `read_only` the server enforces.
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            isolation: options.isolation,
            read_only: options.read_only,
            checked_by_keyword: false,
        }
    }

    /// The terms of a scope whose `read_only` the runtime enforces.
    pub(crate) fn checked_by_keyword(options: &Options) -> Self {
        Self {
            checked_by_keyword: options.read_only,
            ..Self::of(options)
        }
    }
}

/// Why a level can only be rolled back.
#[derive(Debug)]
pub(super) struct RollbackMark {
    /// The joined scope that is responsible; `None` if it is the scope that the level belongs to.
    pub(super) by: Option<&'static str>,
    /// True if the scope asked for the rollback (`set_rollback_only`) instead of failing.
    pub(super) asked: bool,
    /// The reason as text, for the error that the level's own scope gets.
    pub(super) cause: Cause,
}

impl Level {
    /// A level that was just opened: nothing has joined it, and nothing marks it.
    pub(crate) fn new(scope: &'static str, savepoint: Option<u32>, terms: Terms) -> Self {
        Self {
            scope,
            joined: 0,
            savepoint,
            terms,
            mark: None,
        }
    }

    /// Marks the level because its innermost open scope, a joined one, has failed. If the level is
    /// marked already, the first mark stays: it is the one that explains the failure.
    pub(crate) fn joined_failed(&mut self, cause: Cause) {
        let by = self.scope;
        self.mark.get_or_insert_with(|| {
            Box::new(RollbackMark {
                by: Some(by),
                asked: false,
                cause,
            })
        });
    }

    /// Marks the level because the body of scope `by` has put another `Tx` in the place of its own
    /// while the scope was open. Neither of the two transactions then has all the work that belongs
    /// together, so neither may commit.
    #[cold]
    pub(crate) fn mark_exchanged(&mut self, by: &'static str) {
        let cause = Cause::new("its `Tx` was exchanged for another while it was open");
        self.mark.get_or_insert_with(|| {
            Box::new(RollbackMark {
                by: Some(by),
                asked: false,
                cause,
            })
        });
    }

    /// Marks the level because its innermost open scope asked for a rollback.
    pub(super) fn set_rollback_only(&mut self, cause: Cause) {
        let by = (self.joined > 0).then_some(self.scope);
        self.mark.get_or_insert_with(|| {
            Box::new(RollbackMark {
                by,
                asked: true,
                cause,
            })
        });
    }
}

impl<DB: Engine> Tx<DB> {
    /// Opens a nested level and returns the one around it. The caller keeps the outer level, and
    /// gives it back to [`pop`](Self::pop) or [`abandon`](Self::abandon).
    ///
    /// If the future is dropped while the SAVEPOINT is in flight, the transaction stays on the
    /// outer level. Nothing has run under the savepoint, so the next operation only reads the
    /// answer and goes on.
    pub(crate) async fn push(&mut self, scope: &'static str, terms: Terms) -> Result<Level, Error> {
        self.ensure_usable(scope, REFUSED).await?;
        let (savepoint, release) = self.session.state.sets_savepoint();
        let set = transaction_sql::savepoint(&mut self.session, savepoint, release).await;
        self.session.state.savepoint_set();
        // The engine may refuse everything from here on, so the transaction counts as failed.
        if let Err(error) = set {
            let state = &mut self.session.state;
            state.failed(Effect::Failed, || Cause::of(&error));
            let class = Class::of(&error);
            self.conflicts.meets(class);
            let tried = self.conflicts.tried(class);
            return Err(Error::savepoint(scope, error).after(tried));
        }
        self.depth += 1;
        self.conflicts.here = Some(savepoint);
        Ok(std::mem::replace(
            &mut self.level,
            Level::new(scope, Some(savepoint), terms),
        ))
    }

    /// Carries out `decision` on the innermost level, and returns the result of its scope.
    ///
    /// The caller then calls [`pop`](Self::pop). If this future is dropped, the caller calls
    /// [`abandon`](Self::abandon) instead, which undoes the level whatever the decision was.
    pub(crate) async fn close_level(&mut self, decision: Decision) -> Result<(), Error> {
        match decision {
            Decision::Keep => {
                if let Some(savepoint) = self.level.savepoint {
                    self.session.state.keeps(savepoint);
                }
                self.keep_hooks();
                Ok(())
            }
            Decision::Undo { result, cause, .. } => {
                self.undo_hooks(&cause);
                self.undo_level();
                if let Err(error) = self.undo().await {
                    let scope = self.level.scope;
                    tracing::warn!(
                        target: "txn", system = DB::SYSTEM, scope, %error,
                        "rollback to savepoint failed"
                    );
                }
                result
            }
        }
    }

    /// Puts the level around the innermost one back in its place.
    pub(crate) fn pop(&mut self, outer: Level) {
        self.depth -= 1;
        self.conflicts.here = outer.savepoint;
        self.level = outer;
    }

    /// Ends the innermost level because its scope was dropped. Its work is undone before anything
    /// else is sent.
    pub(crate) fn abandon(&mut self, outer: Level) {
        let cause = Cause::new("it was dropped before it had ended");
        self.undo_hooks(&cause);
        self.undo_level();
        self.pop(outer);
    }

    /// Writes down that the innermost level has to be undone before anything else is sent.
    fn undo_level(&mut self) {
        if let Some(savepoint) = self.level.savepoint {
            self.session.state.undoes(savepoint);
        }
    }

    /// Sends the ROLLBACK TO that is due, if one is.
    ///
    /// It may be dropped at any point and called again: the state forgets the savepoint only once
    /// the server has answered, and a ROLLBACK TO may be repeated.
    ///
    /// # Errors
    ///
    /// If the work could not be undone. The whole transaction has failed then, and the state says
    /// so.
    pub(super) async fn undo(&mut self) -> Result<(), sqlx::Error> {
        if self.session.state.to_roll_back_to().is_none() {
            return Ok(());
        }
        if self.session.state.to_look_at().is_some() && self.session.drain().await.is_ok() {
            self.check_still_open().await;
        }
        // If the transaction has ended meanwhile, there is no savepoint any more.
        let Some(savepoint) = self.session.state.to_roll_back_to() else {
            return Ok(());
        };
        let limit = self.db().settle_timeout();
        // Every cleanup has a limit (invariant 4).
        let undone = timeout(
            limit,
            transaction_sql::rollback_to(&mut self.session, savepoint),
        )
        .await;
        if let Err(error) = undone.unwrap_or_else(|_| Err(timed_out())) {
            let answered = error.as_database_error().is_some();
            let state = &mut self.session.state;
            return match state.not_rolled_back_to(answered, || Cause::of(&error)) {
                true => Ok(()),
                false => Err(error),
            };
        }
        self.session.state.rolled_back_to(savepoint);
        self.conflicts.undo(savepoint);
        Ok(())
    }
}
