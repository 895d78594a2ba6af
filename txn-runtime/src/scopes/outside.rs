//! Scopes without a session: callers that wait for one, and scopes that have given theirs back and run their hooks.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::activity::Holding;
use super::registry::{Need, Scopes, Seen};
use super::{OpenScope, ScopeState};

#[derive(Debug)]
pub(super) enum Outside {
    Waits(Waiter),
    Hooks(Hooks),
}

/// A caller that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) need: Need,
    since: Instant,
    /// To write, or needs none.
    pub(super) has_turn: bool,
    /// The one session that would do: a sandbox's.
    pub(super) sandbox: Option<NonZeroU64>,
}

#[derive(Debug)]
pub(super) struct Hooks {
    of: Holding,
    statements: u64,
}

impl Outside {
    /// `seen` is what was seen of sessions.
    pub(super) fn look(&mut self, overdue: Option<Instant>, seen: &[Seen]) -> Option<Seen> {
        match self {
            Self::Waits(waiter) => Some(Seen {
                scope: waiter.seen(),
                holding: None,
                waiter: Some(*waiter),
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
        has_turn: &'a AtomicBool,
        waits: Pin<&'a mut F>,
    ) -> Listing<'a, F> {
        Listing {
            waits,
            scopes: self,
            need,
            sandbox,
            has_turn,
            place: None,
            known: false,
        }
    }

    /// Notes that a scope has hooks to run; before its session is given back, so that it is always somewhere.
    pub(crate) fn ending(self: &Arc<Self>, of: Holding, statements: u64) -> Ending {
        let place = self.enter(Outside::Hooks(Hooks { of, statements }));
        Ending {
            scopes: Arc::clone(self),
            place,
        }
    }
}

/// A future that a caller waits for. A struct by hand: every scope's future has one.
pub(crate) struct Listing<'a, F> {
    waits: Pin<&'a mut F>,
    scopes: &'a Scopes,
    need: &'a Need,
    sandbox: Option<NonZeroU64>,
    has_turn: &'a AtomicBool,
    place: Option<NonZeroU64>,
    /// What the list was last told of the turn.
    known: bool,
}

impl<F: Future> Future for Listing<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let polled = this.waits.as_mut().poll(cx);
        if polled.is_pending() {
            this.list(this.has_turn.load(Ordering::Relaxed));
        }
        polled
    }
}

impl<F> Listing<'_, F> {
    fn list(&mut self, has_turn: bool) {
        match self.place {
            Some(_) if self.known == has_turn => return,
            Some(place) => self.scopes.has_turn(place),
            None => {
                self.place = Some(self.scopes.enter(Outside::Waits(Waiter {
                    need: *self.need,
                    since: Instant::now(),
                    has_turn,
                    sandbox: self.sandbox,
                })));
            }
        }
        self.known = has_turn;
    }
}

impl<F> Drop for Listing<'_, F> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.scopes.leave(place);
        }
    }
}

/// A scope that has hooks to run, until they have.
#[derive(Debug)]
pub(crate) struct Ending {
    scopes: Arc<Scopes>,
    place: NonZeroU64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.scopes.leave(self.place);
    }
}
