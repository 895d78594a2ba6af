//! How long a scope takes, and how it ends.

use std::time::Instant;

use super::events::{Event, Events};
use super::kept::{Kept, Timestamp};
use crate::model::labels::{RollbackCause, ScopeKind, ScopeOutcome, ScopePhase};
use crate::model::options::Options;
use crate::model::retry::Asked;

/// One scope, all its attempts.
pub(crate) struct ScopeTimer(Kept<Option<Running>>);

struct Running {
    events: Events,
    options: &'static Options,
    kind: ScopeKind,
    begun: Instant,
    attempts: u32,
}

impl ScopeTimer {
    /// The timer of no scope.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self(Kept::new(|| None))
    }

    #[inline(always)]
    pub(super) fn start(events: &Events, options: &'static Options, kind: ScopeKind) -> Self {
        let start = || Running::start(events.clone(), options, kind);
        Self(Kept::new(|| Some(start())))
    }

    #[inline(always)]
    pub(super) fn runs(&self) -> bool {
        self.0.look(Option::is_some).unwrap_or(false)
    }

    /// Another attempt begins.
    #[inline(always)]
    pub(super) fn again(&mut self) {
        self.0.with(|running| running.as_mut().map(Running::again));
    }

    /// The scope has ended, at a point that is known or just now; only the first end counts.
    #[inline(always)]
    pub(super) fn ended(&mut self, how: ScopeOutcome, phase: ScopePhase, at: Option<Timestamp>) {
        self.0.with(|running| {
            if let Some(running) = running.take() {
                running.ended(how, phase, at);
            }
        });
    }
}

impl Running {
    fn start(events: Events, options: &'static Options, kind: ScopeKind) -> Self {
        Self {
            events,
            options,
            kind,
            begun: Instant::now(),
            attempts: 1,
        }
    }

    fn again(&mut self) {
        self.attempts += 1;
        self.events.tell(Event::ScopeRetried {
            name: self.options.name,
            kind: self.kind,
        });
    }

    fn ended(self, how: ScopeOutcome, phase: ScopePhase, at: Option<Timestamp>) {
        let at = at.unwrap_or_else(Timestamp::now);
        let took = at.look(|at| *at - self.begun).unwrap_or_default();
        let retries = self.kind == ScopeKind::Root && !matches!(self.options.retry, Asked::Never);
        self.events.tell(Event::ScopeEnded {
            name: self.options.name,
            kind: self.kind,
            how,
            phase,
            took,
            attempts: retries.then_some(self.attempts),
        });
        if let Some(why) = self.rolled_back(how, phase) {
            self.events.tell(Event::RolledBack { why });
        }
    }

    /// Why its transaction is going to be rolled back, if nobody has told, nor is going to: it was
    /// left in its body.
    fn rolled_back(&self, how: ScopeOutcome, phase: ScopePhase) -> Option<RollbackCause> {
        match (self.kind, phase, how) {
            (ScopeKind::Nested, ..) => None,
            (_, ScopePhase::Body | ScopePhase::Statement, ScopeOutcome::Dropped) => {
                Some(RollbackCause::Dropped)
            }
            (_, ScopePhase::Body | ScopePhase::Statement, ScopeOutcome::Panicked) => {
                Some(RollbackCause::Panicked)
            }
            _ => None,
        }
    }
}
