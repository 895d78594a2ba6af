//! Levels: what a nested scope has done can be undone by itself.

use tokio::time::timeout;

use super::Tx;
use super::state::{Decision, REFUSED};
use crate::engine::{Engine, timed_out};
use crate::model::error::{Cause, Class, Error};
use crate::model::options::{Isolation, Options};
use crate::model::transaction::Effect;
use crate::pool::transaction_sql;

/// The part of a transaction that can be undone by itself: all of it, or what a nested scope has done.
#[derive(Debug)]
pub(crate) struct Level {
    /// The innermost open scope, joined ones included.
    pub(crate) scope: &'static str,
    /// How many joined scopes are open on this level.
    pub(crate) joined: u32,
    pub(crate) savepoint: Option<u32>,
    pub(crate) terms: Terms,
    /// Boxed, as it is rare.
    pub(super) mark: Option<Box<RollbackMark>>,
}

/// What was asked for with the transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(super) isolation: Option<Isolation>,
    pub(super) read_only: bool,
    /// The server does not know that it is read-only: statements are judged by their first keyword.
    pub(super) checked_by_keyword: bool,
}

impl Terms {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            isolation: options.isolation,
            read_only: options.read_only,
            checked_by_keyword: false,
        }
    }

    pub(crate) fn checked_by_keyword(options: &Options) -> Self {
        Self {
            checked_by_keyword: options.read_only,
            ..Self::of(options)
        }
    }
}

/// Why a level may only be rolled back.
#[derive(Debug)]
pub(super) struct RollbackMark {
    /// The joined scope whose doing it is; `None` for the level's own.
    pub(super) by: Option<&'static str>,
    /// It did not fail, it asked for the rollback.
    pub(super) asked: bool,
    pub(super) cause: Cause,
}

impl Level {
    pub(crate) fn new(scope: &'static str, savepoint: Option<u32>, terms: Terms) -> Self {
        Self {
            scope,
            joined: 0,
            savepoint,
            terms,
            mark: None,
        }
    }

    /// The innermost open scope did. The first mark is the one that explains.
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

    /// The `Tx` was exchanged for another while this scope was open in it, so that neither has all
    /// of what belongs together.
    #[cold]
    pub(crate) fn exchanged(&mut self, by: &'static str) {
        let cause = Cause::new("its `Tx` was exchanged for another while it was open");
        self.mark.get_or_insert_with(|| {
            Box::new(RollbackMark {
                by: Some(by),
                asked: false,
                cause,
            })
        });
    }

    /// Asked for by the innermost open scope.
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
    /// Opens a nested level; the outer one is for the caller to keep.
    ///
    /// Dropped with its SAVEPOINT in flight nothing has run under it: the outer level goes on after a drain.
    pub(crate) async fn push(&mut self, scope: &'static str, terms: Terms) -> Result<Level, Error> {
        self.steady(scope, REFUSED).await?;
        let (savepoint, release) = self.session.state.sets_savepoint();
        let set = transaction_sql::savepoint(&mut self.session, savepoint, release).await;
        self.session.state.savepoint_set();
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

    /// Ends the innermost level. To be followed by [`pop`](Self::pop), or by [`abandon`](Self::abandon) if dropped.
    pub(crate) async fn close_level(&mut self, ending: Decision) -> Result<(), Error> {
        match ending {
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
                    tracing::warn!(target: "txn", system = DB::SYSTEM, scope, %error, "rollback to savepoint failed");
                }
                result
            }
        }
    }

    pub(crate) fn pop(&mut self, outer: Level) {
        self.depth -= 1;
        self.conflicts.here = outer.savepoint;
        self.level = outer;
    }

    /// The innermost level was dropped: its work is undone before anything else is sent.
    pub(crate) fn abandon(&mut self, outer: Level) {
        let cause = Cause::new("it was dropped before it had ended");
        self.undo_hooks(&cause);
        self.undo_level();
        self.pop(outer);
    }

    /// What the innermost level has done is to be undone before anything else is sent.
    fn undo_level(&mut self) {
        if let Some(savepoint) = self.level.savepoint {
            self.session.state.undoes(savepoint);
        }
    }

    pub(super) async fn undo(&mut self) -> Result<(), sqlx::Error> {
        if self.session.state.to_roll_back_to().is_none() {
            return Ok(());
        }
        if self.session.state.to_look_at().is_some() && self.session.drain().await.is_ok() {
            self.make_sure().await;
        }
        // Where the transaction is over, it is undone with everything else.
        let Some(savepoint) = self.session.state.to_roll_back_to() else {
            return Ok(());
        };
        let limit = self.db().settle_timeout();
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
