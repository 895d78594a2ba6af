//! Scopes: how long they take, and how they end.

use std::sync::Arc;
use std::time::Instant;

use ::metrics::{Counter, Histogram, Label};

use super::describe as name;
use super::family::{Family, handle};
use super::meter::{Rollbacks, Timestamp, with};
use crate::model::labels::{RollbackCause, ScopeKind, ScopeOutcome, ScopePhase};

const MOMENTS: usize = ScopePhase::ALL.len();

/// The handles of all scopes of one name.
pub(super) struct Scopes {
    kind: ScopeKind,
    labels: Vec<Label>,
    duration: Family<Histogram, { ScopeOutcome::ALL.len() * MOMENTS }>,
    rollbacks: Arc<Rollbacks>,
}

impl Scopes {
    pub(super) fn new(
        name: &'static str,
        kind: ScopeKind,
        labels: &[Label],
        rollbacks: Arc<Rollbacks>,
    ) -> Self {
        Self {
            kind,
            labels: with(labels, "txn.scope.name", name),
            duration: Family::new(),
            rollbacks,
        }
    }

    fn retries(&self) -> Counter {
        handle(name::RETRIES, &self.labels)
    }

    fn attempts(&self) -> Histogram {
        handle(name::ATTEMPTS, &self.labels)
    }

    fn duration(&self, how: ScopeOutcome, when: ScopePhase) -> &Histogram {
        let index = how as usize * MOMENTS + when as usize;
        self.duration.at(index, name::SCOPE_TIME, || {
            let mut labels = with(&self.labels, "txn.scope.kind", self.kind.as_str());
            labels.push(Label::from_static_parts("txn.outcome", how.as_str()));
            labels.push(Label::from_static_parts("txn.phase", when.as_str()));
            labels
        })
    }
}

/// One scope, all its attempts.
#[derive(Default)]
pub(crate) struct Timer(Option<Running>);

struct Running {
    scopes: Arc<Scopes>,
    begun: Instant,
    /// `None` where there is to be one only.
    attempts: Option<u32>,
}

impl Timer {
    pub(super) fn start(scopes: Arc<Scopes>, retries: bool) -> Self {
        Self(Some(Running {
            scopes,
            begun: Instant::now(),
            attempts: retries.then_some(1),
        }))
    }

    /// Another attempt begins.
    pub(crate) fn again(&mut self) {
        if let Some(running) = &mut self.0 {
            running.scopes.retries().increment(1);
            running.attempts = running.attempts.map(|attempts| attempts + 1);
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.0.is_some()
    }

    /// The scope has ended, at a point that is known or just now; only the first end counts.
    pub(crate) fn ended(&mut self, how: ScopeOutcome, when: ScopePhase, at: Option<Timestamp>) {
        let Some(running) = self.0.take() else {
            return;
        };
        let scopes = &running.scopes;
        let at = at.unwrap_or_else(Timestamp::now);
        scopes.duration(how, when).record(at.0 - running.begun);
        if let Some(attempts) = running.attempts {
            scopes.attempts().record(attempts);
        }
        // Elsewhere its end has told, or is going to.
        if let (ScopeKind::Root, ScopePhase::Body | ScopePhase::Statement) = (scopes.kind, when) {
            match how {
                ScopeOutcome::Dropped => scopes.rollbacks.count(RollbackCause::Dropped),
                ScopeOutcome::Panicked => scopes.rollbacks.count(RollbackCause::Panicked),
                _ => {}
            }
        }
    }
}
