//! Scopes without a session: callers that wait for one, and scopes that have given theirs back and
//! run their hooks.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::activity::Holding;
use super::{Scopes, Seen, lock};
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::Need;
use crate::observe::opening::{self, Stage};

/// A caller for whom a session is being opened counts as not polled if it was woken this long ago.
const UNPOLLED: Duration = Duration::from_secs(1);

/// A scope without a session.
#[derive(Debug)]
pub(super) enum Sessionless {
    /// It waits for a session.
    Waits(Waiter),
    /// It has given its session back, and runs its hooks.
    Hooks(Hooks),
}

/// A caller that waits for a session.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    /// The requirements of the caller.
    pub(super) need: Need,
    /// Since when it waits.
    since: Instant,
    /// The session of the sandbox that the caller is in; it can use no other.
    pub(super) sandbox: Option<NonZeroU64>,
    /// The progress, which its future keeps up to date.
    progress: Arc<Progress>,
}

/// How far a waiting caller is. It is shared by the future, which writes it when it is polled, the
/// wakers that this future hands out, and the list. Nothing depends on the order of these writes,
/// so that all orderings are relaxed.
#[derive(Debug, Default)]
struct Progress {
    /// It has its turn to write, or needs none.
    has_turn: AtomicBool,
    /// A session is being opened for it.
    opens: AtomicBool,
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
            Self::Waits(waiter) => Some(Seen {
                scope: waiter.seen(),
                holding: None,
                waiter: Some(waiter.clone()),
                overdue: false,
            }),
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

impl Waiter {
    /// Returns whether it has its turn to write, or needs none.
    pub(super) fn has_turn(&self) -> bool {
        self.progress.has_turn.load(Ordering::Relaxed)
    }

    /// Returns whether a session is being opened for it.
    pub(super) fn opens(&self) -> bool {
        self.progress.opens.load(Ordering::Relaxed)
    }

    /// Returns whether what it waits for is there, and its caller does not poll its future. While a
    /// session is being opened, a caller is woken for every answer of the server: only if it is not
    /// polled for a while after that, nobody polls it.
    pub(super) fn is_due(&self) -> bool {
        let due = *lock(&self.progress.due);
        due.is_some_and(|since| !self.opens() || since.elapsed() >= UNPOLLED)
    }

    /// The caller as it is shown.
    fn seen(&self) -> OpenScope {
        OpenScope {
            name: self.need.scope,
            location: self.need.location,
            age: self.since.elapsed(),
            state: ScopeState::Waiting,
            session: None,
            statements: 0,
            waits_for: None,
            waits_on: Vec::new(),
        }
    }
}

impl Scopes {
    /// Wraps the `future` that a caller waits for, so that the caller is listed while it waits.
    /// `caller_progress` is where the caller itself notes how far it is.
    pub(crate) fn listing<'a, F>(
        &'a self,
        need: &'a Need,
        sandbox: Option<NonZeroU64>,
        caller_progress: &'a WaitProgress,
        future: Pin<&'a mut F>,
    ) -> Listing<'a, F> {
        Listing {
            future,
            scopes: self,
            need,
            sandbox,
            caller_progress,
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

/// The progress of a caller as it notes it itself, on its stack. The atomics are only there because
/// parts of the future share it; it never leaves the task.
#[derive(Debug, Default)]
pub(crate) struct WaitProgress {
    /// It has its turn to write, or needs none.
    pub(crate) has_turn: AtomicBool,
    /// A session is being opened for it.
    pub(crate) opens: AtomicBool,
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
    /// The session of the sandbox that the caller is in.
    sandbox: Option<NonZeroU64>,
    /// The progress as the caller notes it; copied into the list after each poll.
    caller_progress: &'a WaitProgress,
    /// The key in the list, since the first poll.
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
        let waker = Waker::from(Arc::clone(&progress));
        match opening::poll(this.future.as_mut(), &mut Context::from_waker(&waker)) {
            Ok(output) => Poll::Ready(output),
            Err(stage) => {
                this.note(stage, &progress);
                Poll::Pending
            }
        }
    }
}

impl<F> Listing<'_, F> {
    /// Lists the caller, unless that was done before.
    fn enter(&mut self) -> Arc<Progress> {
        let (_, progress) = self.listed.get_or_insert_with(|| {
            let progress = Arc::new(Progress::default());
            let waiter = Waiter {
                need: *self.need,
                since: Instant::now(),
                sandbox: self.sandbox,
                progress: Arc::clone(&progress),
            };
            (self.scopes.enter(Sessionless::Waits(waiter)), progress)
        });
        Arc::clone(progress)
    }

    /// Copies into the list what the caller knows of its progress.
    fn note(&self, stage: Stage, progress: &Progress) {
        let WaitProgress { has_turn, opens } = self.caller_progress;
        if stage == Stage::Opening {
            opens.store(true, Ordering::Relaxed);
        }
        let copy = |from: &AtomicBool, to: &AtomicBool| {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        copy(has_turn, &progress.has_turn);
        copy(opens, &progress.opens);
    }
}

impl<F> Drop for Listing<'_, F> {
    fn drop(&mut self) {
        if let Some((key, _)) = self.listed {
            self.scopes.leave(key);
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
