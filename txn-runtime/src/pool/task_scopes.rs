//! The scopes that a task is in.
//!
//! While the body of a root scope is polled, its session stands in a list of the thread. So whoever
//! is called from the body can find out which scopes it is in, without being told. What the body
//! spawns is polled by another task, and is in none of them. A transaction that is begun by hand
//! has no body, and is in no list.
//!
//! A session is named by its [`Activity::id`](crate::observe::scopes::Activity::id), and its pool
//! knows the rest, so that a scope pays for little more than one number.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::Pin;

thread_local! {
    /// How many sessions are in the list. It costs less to ask than the list itself.
    static LENGTH: Cell<usize> = const { Cell::new(0) };
    /// How many of them were there when the innermost hook was polled that runs after the end of
    /// its scope. Such a hook is in none of them.
    static OUTSIDE: Cell<usize> = const { Cell::new(0) };
    /// The sessions of the scopes whose bodies this thread is polling, the innermost last.
    static POLLED: RefCell<Vec<NonZeroUsize>> = const { RefCell::new(Vec::new()) };
}

/// Takes a session off the list again when it is dropped, which is when the body returns from a
/// poll.
#[derive(Debug)]
#[must_use]
pub(crate) struct Polled(());

/// Puts the session of a scope on the list of this thread, until the guard is dropped.
#[inline]
pub(crate) fn enter(session: NonZeroUsize) -> Polled {
    // The list is gone while the thread ends. Then nothing is noticed.
    POLLED.try_with(|all| all.borrow_mut().push(session)).ok();
    LENGTH.set(LENGTH.get() + 1);
    Polled(())
}

impl Drop for Polled {
    #[inline]
    fn drop(&mut self) {
        POLLED.try_with(|all| all.borrow_mut().pop()).ok();
        LENGTH.set(LENGTH.get() - 1);
    }
}

/// Returns whether the current task is in no scope.
#[inline]
pub(crate) fn are_none() -> bool {
    LENGTH.get() == 0
}

/// Polls a hook with the session of its scope on the list, as the body is polled.
pub(crate) fn within<F: Future + Unpin>(
    session: NonZeroUsize,
    mut hook: F,
) -> impl Future<Output = F::Output> {
    poll_fn(move |cx| {
        let _listed = enter(session);
        Pin::new(&mut hook).poll(cx)
    })
}

/// Polls a hook whose scope has ended. Its caller may be in the body of another scope, which the
/// hook has nothing to do with.
pub(crate) fn outside<F: Future + Unpin>(mut hook: F) -> impl Future<Output = F::Output> {
    poll_fn(move |cx| {
        let _before = Outside(OUTSIDE.replace(LENGTH.get()));
        Pin::new(&mut hook).poll(cx)
    })
}

/// Sets the count back to what it was.
struct Outside(usize);

impl Drop for Outside {
    fn drop(&mut self) {
        OUTSIDE.set(self.0);
    }
}

/// Returns whether what runs now is called by the body of no scope.
#[inline]
pub(crate) fn called_by_none() -> bool {
    LENGTH.get() == OUTSIDE.get()
}

/// Returns the sessions of the scopes by whose bodies what runs now is called.
pub(crate) fn callers() -> Vec<NonZeroUsize> {
    let mut all = sessions();
    all.split_off(OUTSIDE.get().min(all.len()))
}

/// Returns the sessions of the scopes that the current task is in, of whatever pool. A session is
/// in the list twice while a hook of a nested scope is polled.
pub(crate) fn sessions() -> Vec<NonZeroUsize> {
    POLLED
        .try_with(|all| all.borrow().clone())
        .unwrap_or_default()
}
