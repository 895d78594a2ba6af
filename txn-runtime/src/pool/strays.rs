//! Strays: what is asked of the handle in a task that is in a scope of the same database.
//!
//! A statement on the handle would run beside the transaction: what it writes stays if the scope is
//! rolled back, it does not see what the scope has written, and it may wait for a session, or for a
//! lock, that its own caller holds. A scope that is begun on the handle is meant to be on its own,
//! but waits for a second session like a `requires_new` scope, and must not wait for its caller.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use super::{Db, task_scopes};
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::request::Need;
use crate::observe::scopes::OfTask;

/// Why a scope on the handle of a sandbox is refused.
const ONE_SESSION: &str = "refused: a sandbox has one session, which a scope of this task holds: \
     pass the `tx` of that scope";

/// The scopes in which strays were reported.
#[derive(Debug, Default)]
pub(crate) struct Strays(Mutex<HashSet<&'static str>>);

impl Strays {
    /// Returns whether no stray was reported in this scope before.
    fn are_new_in(&self, scope: &'static str) -> bool {
        let mut reported = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(scope)
    }
}

impl<DB: Engine> Db<DB> {
    /// Refuses a statement on the handle if the task is in a scope of it, or only reports it if the
    /// builder says so.
    #[inline]
    pub(crate) fn refuse_stray(&self) -> Result<(), Error> {
        match task_scopes::called_by_none() {
            true => Ok(()),
            false => self.refuse_inside(),
        }
    }

    #[cold]
    fn refuse_inside(&self) -> Result<(), Error> {
        let Some(own) = self.own_scopes(&task_scopes::callers()).pop() else {
            return Ok(());
        };
        let scope = own.name;
        if self.shared.limits.refuse_strays {
            let why = format!(
                "refused: `{scope}` is open in this task, and the statement would run beside its \
                 transaction; pass the `tx` of that scope, or write `db.autocommit()` if it shall \
                 be outside"
            );
            return Err(Error::refused(Need::AUTOCOMMIT.scope, why));
        }
        if self.shared.strays.are_new_in(scope) {
            tracing::warn!(
                target: "txn", system = DB::SYSTEM, scope,
                "a statement on the handle runs beside the transaction that is open in its task"
            );
        }
        Ok(())
    }

    /// Returns the need of a task that is in scopes of this handle, which hold their sessions while
    /// it waits for another; `None` if they hold none.
    ///
    /// # Errors
    ///
    /// If the task would wait for itself.
    #[cold]
    pub(super) fn need_inside(&self, need: &Need) -> Result<Option<Need>, Error> {
        let mut own = self.own_scopes(&task_scopes::sessions());
        own.retain(|scope| scope.has_place);
        let held = u32::try_from(own.len()).unwrap_or(u32::MAX);
        if held == 0 {
            return Ok(None);
        }
        if self.sandbox.is_some() {
            return Err(Error::refused(need.scope, ONE_SESSION));
        }
        match DB::LACKS.second_writer {
            Some(why) if need.writes && own.iter().any(|scope| scope.has_turn) => {
                Err(Error::refused(need.scope, why))
            }
            _ => Ok(Some(Need {
                held: need.held.max(held),
                ..*need
            })),
        }
    }

    /// Returns the scopes of this handle that hold these sessions, in the same order. Those of a
    /// sandbox are no scopes of the handle that it was made of.
    fn own_scopes(&self, sessions: &[NonZeroUsize]) -> Vec<OfTask> {
        let mut own = self.scopes_here().of_task(sessions);
        own.dedup_by_key(|scope| scope.session);
        own.retain(|scope| match &self.sandbox {
            Some(sandbox) => sandbox.is(scope.session),
            None => !scope.is_lent,
        });
        own
    }
}
