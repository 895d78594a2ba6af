//! Scopes without a session: callers that wait for one, and scopes that have given theirs back and run their hooks.

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
use super::registry::{Scopes, Seen, lock};
use crate::model::open_scope::{OpenScope, ScopeState};
use crate::model::request::Need;
use crate::observe::opening::{self, Stage};

/// A caller whose connection has had something to read for so long is not polled.
const UNPOLLED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) enum Sessionless {
    Waits(Waiter),
    Hooks(Hooks),
}

/// A caller that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) need: Need,
    since: Instant,
    /// The one session that would do: a sandbox's.
    pub(super) sandbox: Option<NonZeroU64>,
    progress: Arc<Progress>,
}

/// How far a caller is that waits.
#[derive(Debug, Default)]
struct Progress {
    /// To write, or needs none.
    has_turn: AtomicBool,
    /// A session is being opened for it.
    opens: AtomicBool,
    /// Since when it could go on, and was not polled.
    due: Mutex<Option<Instant>>,
    task: AtomicWaker,
}

/// It stands between the caller's task and what the caller waits for, to know when that has come.
impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.due).get_or_insert_with(Instant::now);
        self.task.wake();
    }
}

#[derive(Debug)]
pub(super) struct Hooks {
    of: Holding,
    statements: u64,
}

impl Sessionless {
    /// `seen` is what was seen of sessions.
    pub(super) fn look(&mut self, overdue: Option<Instant>, seen: &[Seen]) -> Option<Seen> {
        match self {
            Self::Waits(waiter) => Some(Seen {
                scope: waiter.seen(),
                holding: None,
                waiter: Some(waiter.clone()),
                overdue: false,
            }),
            Self::Hooks(hooks) => {
                let overdue = hooks.of.is_overdue(overdue);
                let scope = hooks.of.seen(ScopeState::Hooks, None, hooks.statements);
                // Else its session has not been given back yet, and stands for it.
                let alone = !seen.iter().any(|seen| hooks.of.is_same(seen.holding));
                alone.then_some(Seen {
                    scope,
                    holding: Some(hooks.of),
                    waiter: None,
                    overdue,
                })
            }
        }
    }
}

impl Waiter {
    pub(super) fn has_turn(&self) -> bool {
        self.progress.has_turn.load(Ordering::Relaxed)
    }

    pub(super) fn opens(&self) -> bool {
        self.progress.opens.load(Ordering::Relaxed)
    }

    /// What it has waited for is there, and its future is not polled. Of one for which a session is being opened that is known after a
    /// while only: its connection has many answers to read.
    pub(super) fn is_due(&self) -> bool {
        let due = *lock(&self.progress.due);
        due.is_some_and(|since| !self.opens() || since.elapsed() >= UNPOLLED)
    }

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
    /// Lists a caller for as long as it waits, if it has to wait at all.
    pub(crate) fn listing<'a, F>(
        &'a self,
        need: &'a Need,
        sandbox: Option<NonZeroU64>,
        so_far: &'a WaitProgress,
        waits: Pin<&'a mut F>,
    ) -> Listing<'a, F> {
        Listing {
            waits,
            scopes: self,
            need,
            sandbox,
            so_far,
            place: None,
        }
    }

    /// Notes that a scope has hooks to run; before its session is given back, so that it is always somewhere.
    pub(crate) fn ending(self: &Arc<Self>, of: Holding, statements: u64) -> EndedScope {
        let place = self.enter(Sessionless::Hooks(Hooks { of, statements }));
        EndedScope {
            scopes: Arc::clone(self),
            place,
        }
    }
}

/// What a caller has seen of its own progress.
#[derive(Debug, Default)]
pub(crate) struct WaitProgress {
    pub(crate) has_turn: AtomicBool,
    pub(crate) opens: AtomicBool,
}

/// A future that a caller waits for. A struct by hand: every scope's future has one.
pub(crate) struct Listing<'a, F> {
    waits: Pin<&'a mut F>,
    scopes: &'a Scopes,
    need: &'a Need,
    sandbox: Option<NonZeroU64>,
    so_far: &'a WaitProgress,
    place: Option<(NonZeroU64, Arc<Progress>)>,
}

impl<F: Future> Future for Listing<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let progress = this.enter();
        *lock(&progress.due) = None;
        progress.task.register(cx.waker());
        let waker = Waker::from(Arc::clone(&progress));
        match opening::poll(this.waits.as_mut(), &mut Context::from_waker(&waker)) {
            Ok(output) => Poll::Ready(output),
            Err(stage) => {
                this.note(stage, &progress);
                Poll::Pending
            }
        }
    }
}

impl<F> Listing<'_, F> {
    fn enter(&mut self) -> Arc<Progress> {
        let (_, progress) = self.place.get_or_insert_with(|| {
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

    fn note(&self, stage: Stage, progress: &Progress) {
        let WaitProgress { has_turn, opens } = self.so_far;
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
        if let Some((place, _)) = self.place {
            self.scopes.leave(place);
        }
    }
}

/// A scope that has hooks to run, until they have.
#[derive(Debug)]
pub(crate) struct EndedScope {
    scopes: Arc<Scopes>,
    place: NonZeroU64,
}

impl Drop for EndedScope {
    fn drop(&mut self) {
        self.scopes.leave(self.place);
    }
}
