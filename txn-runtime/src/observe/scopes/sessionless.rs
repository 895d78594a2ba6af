//! Scopes without a session: callers that wait for one outside of the queue, and scopes that have
//! given theirs back and run their hooks.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::activity::Holding;
use super::{Scopes, Seen, lock};
use crate::model::open_scope::ScopeState;
use crate::model::request::{Need, WaitStage, WaitingCaller};

/// A caller for which a callback runs counts as not polled if it was woken this long ago.
const UNPOLLED: Duration = Duration::from_secs(1);

/// A scope without a session.
#[derive(Debug)]
pub(super) enum Sessionless {
    /// It waits for a session, and not in the queue of the pool.
    Waits(Waits),
    /// It has given its session back, and runs its hooks.
    Hooks(Hooks),
}

/// A caller that waits for a session.
#[derive(Debug)]
pub(super) struct Waits {
    caller: WaitingCaller,
    place: WaitPlace,
    /// Whether it was woken.
    progress: Arc<Progress>,
}

/// The place of a caller that waits outside of the queue of the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WaitPlace {
    /// It waits for the one session of the sandbox that it is in.
    Sandbox(NonZeroU64),
    /// It has a session, and waits for a callback's consent to use it.
    Callback,
}

/// Whether a caller was woken. It is shared by the future, which writes it when it is polled, the
/// wakers that this future hands out, and the list.
#[derive(Debug, Default)]
struct Progress {
    /// When it was first woken since it was last polled; `None` if it was not woken since.
    due: Mutex<Option<Instant>>,
    /// The waker of the caller's task.
    task: AtomicWaker,
}

/// The waker stands between the caller's task and what the caller waits for, so that the list knows
/// that the caller was woken and was not polled since. It passes every wake on.
impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.due).get_or_insert_with(Instant::now);
        self.task.wake();
    }
}

/// A scope that runs its hooks.
#[derive(Debug)]
pub(super) struct Hooks {
    /// Its hold on the session that it has given back.
    holding: Holding,
    /// How many statements it has sent.
    statements: u64,
}

impl Sessionless {
    /// The scope as it is shown; `None` if its session is in `seen` and still stands for it.
    pub(super) fn look(&mut self, overdue: Option<Instant>, seen: &[Seen]) -> Option<Seen> {
        match self {
            Self::Waits(waits) => Some(Seen::waiting(waits.caller, waits.stage(), waits.sandbox())),
            Self::Hooks(hooks) => {
                let overdue = hooks.holding.is_overdue(overdue);
                let scope = hooks
                    .holding
                    .seen(ScopeState::Hooks, None, hooks.statements);
                // If the session has not been given back yet, it stands for the scope.
                let alone = !seen.iter().any(|seen| hooks.holding.is_same(seen.holding));
                alone.then_some(Seen {
                    scope,
                    holding: Some(hooks.holding),
                    waiter: None,
                    overdue,
                })
            }
        }
    }
}

impl Waits {
    /// The session of the sandbox that the caller is in; it can use no other.
    fn sandbox(&self) -> Option<NonZeroU64> {
        match self.place {
            WaitPlace::Sandbox(session) => Some(session),
            WaitPlace::Callback => None,
        }
    }

    /// Returns what it waits for.
    fn stage(&self) -> WaitStage {
        match self.place {
            _ if self.is_due() => WaitStage::Due,
            WaitPlace::Callback => WaitStage::Connection,
            WaitPlace::Sandbox(_) => WaitStage::Session,
        }
    }

    /// Returns whether what it waits for is there, and its caller does not poll its future. While a
    /// callback runs, a caller is woken for every answer of the server: only if it is not polled
    /// for a while after that, nobody polls it.
    fn is_due(&self) -> bool {
        let due = *lock(&self.progress.due);
        let runs = matches!(self.place, WaitPlace::Callback);
        due.is_some_and(|since| !runs || since.elapsed() >= UNPOLLED)
    }
}

impl Scopes {
    /// Wraps the `future` that a caller waits for, so that the caller is listed while it waits.
    pub(crate) fn listing<'a, F>(
        &'a self,
        need: &'a Need,
        place: WaitPlace,
        future: Pin<&'a mut F>,
    ) -> Listing<'a, F> {
        Listing {
            future,
            scopes: self,
            need,
            place,
            listed: None,
        }
    }

    /// Lists a scope that has hooks to run, until what is returned is dropped. Called before its
    /// session is given back, so that the scope is always in one of the lists.
    pub(crate) fn ending(self: &Arc<Self>, holding: Holding, statements: u64) -> EndedScope {
        let key = self.enter(Sessionless::Hooks(Hooks {
            holding,
            statements,
        }));
        EndedScope {
            scopes: Arc::clone(self),
            key,
        }
    }
}

/// A future that a caller waits for. The first poll lists the caller, the drop takes it off the
/// list.
///
/// It is written by hand instead of as an `async fn` because it is a part of every scope's future,
/// and is smaller like this.
pub(crate) struct Listing<'a, F> {
    /// The future that gets the session.
    future: Pin<&'a mut F>,
    /// The lists that the caller is in.
    scopes: &'a Scopes,
    need: &'a Need,
    place: WaitPlace,
    /// The key in the list, since the first poll, and what its wakers tell.
    listed: Option<(NonZeroU64, Arc<Progress>)>,
}

impl<F: Future> Future for Listing<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let progress = this.enter();
        // Before the poll: a wake from here on is one that this poll may have missed.
        *lock(&progress.due) = None;
        progress.task.register(cx.waker());
        let waker = Waker::from(progress);
        this.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl<F> Listing<'_, F> {
    /// Lists the caller, unless that was done before.
    fn enter(&mut self) -> Arc<Progress> {
        let (_, progress) = self.listed.get_or_insert_with(|| {
            let progress = Arc::<Progress>::default();
            let waits = Waits {
                caller: WaitingCaller::from_now(*self.need),
                place: self.place,
                progress: Arc::clone(&progress),
            };
            (self.scopes.enter(Sessionless::Waits(waits)), progress)
        });
        Arc::clone(progress)
    }
}

impl<F> Drop for Listing<'_, F> {
    fn drop(&mut self) {
        if let Some((key, _)) = &self.listed {
            self.scopes.leave(*key);
        }
    }
}

/// A scope that has hooks to run. Its drop says that they have run, and takes it off the list.
#[derive(Debug)]
pub(crate) struct EndedScope {
    scopes: Arc<Scopes>,
    key: NonZeroU64,
}

impl Drop for EndedScope {
    fn drop(&mut self) {
        self.scopes.leave(self.key);
    }
}
