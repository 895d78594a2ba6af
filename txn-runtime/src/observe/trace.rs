//! What a scope reports about itself: to its span, and through its timer to all who listen to the
//! [events](super::events). Each is completed exactly once, on every path, a drop included.
//!
//! The trace of a root scope travels with its session, as hooks do: whatever becomes of the scope,
//! the code that has the session knows it first.

use std::time::Instant;

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::labels::{ScopeKind, ScopeOutcome, ScopePhase};
use crate::model::location::Caller;
use crate::model::options::Options;
use crate::model::outcome::{Conclusion, Verdict};
use crate::model::request::Request;
use crate::model::transaction::Wire;
use crate::observe::events::Events;
use crate::observe::kept::Timestamp;
use crate::observe::timer::ScopeTimer;

/// The span of an attempt; empty if no subscriber wants it, or if the attempt was completed.
///
/// It has no `Drop`: whoever has it completes it, in a drop of its own if need be.
// Boxed: see the head of scope.rs
pub(crate) struct Spanned(Option<Box<Open>>);

/// A span that is not complete yet.
struct Open {
    /// The span, which closes with its last clone.
    span: Span,
    /// The moment when the attempt began.
    since: Instant,
}

impl Spanned {
    /// Opens the span of an attempt at a scope.
    #[inline(always)]
    pub(crate) fn new<DB: Engine>(
        options: &'static Options,
        caller: Option<Caller>,
        depth: u32,
        attempt: u32,
    ) -> Self {
        // A disabled span is not free: `tracing` offers it to the `log` crate.
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self(None);
        }
        Self::listened_to::<DB>(options, caller, depth, attempt)
    }

    /// Opens the span, now that some subscriber may want it.
    fn listened_to<DB: Engine>(
        options: &'static Options,
        caller: Option<Caller>,
        depth: u32,
        attempt: u32,
    ) -> Self {
        let location = caller.map_or(options.location, |at| Some(at.into()));
        let span = tracing::debug_span!(
            target: "txn",
            "transaction",
            otel.name = options.name,
            otel.status_code = Empty,
            otel.status_description = Empty,
            code.file.path = location.map(|at| at.file()),
            code.line.number = location.map(|at| at.line()),
            db.system.name = DB::SYSTEM,
            txn.scope.name = options.name,
            txn.propagation = options.propagation.as_str(),
            txn.depth = depth,
            txn.attempt = attempt,
            txn.outcome = Empty,
            txn.phase = Empty,
            txn.elapsed_us = Empty,
        );
        if span.is_disabled() {
            return Self(None);
        }
        let since = Instant::now();
        Self(Some(Box::new(Open { span, since })))
    }

    /// The span, for futures that are to run inside of it.
    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Span> {
        self.0.as_ref().map(|open| open.span.clone())
    }

    /// Completes the span, unless that was done before.
    #[inline(always)]
    pub(crate) fn complete(&mut self, how: ScopeOutcome, when: ScopePhase) {
        if let Some(open) = self.0.take() {
            open.complete(how, when);
        }
    }
}

impl Open {
    /// Records how the attempt ended. The span itself closes when its last clone is dropped.
    fn complete(&self, how: ScopeOutcome, when: ScopePhase) {
        let elapsed = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.record("txn.outcome", how.as_str());
        self.span.record("txn.phase", when.as_str());
        self.span.record("txn.elapsed_us", elapsed);
    }

    /// Records the error of the scope, in the fields that OpenTelemetry has for it.
    fn failed(&self, error: &Error) {
        self.span.record("otel.status_code", "ERROR");
        let text = tracing::field::display(error);
        self.span.record("otel.status_description", text);
    }
}

/// The span of an attempt, and the timer of its scope.
///
/// While the scope runs, [`at`](Self::at) and its like note the phase. When the transaction has
/// ended, [`came_out`](Self::came_out) notes the outcome, and hooks may run. Then
/// [`attempt_ended`](Self::attempt_ended) completes the span, and [`ended`](Self::ended) the timer
/// too; between the two, [`again`](Self::again) may begin the next attempt. A trace that is dropped
/// before reports that its scope was dropped, or has panicked, in the phase that was noted last.
pub(crate) struct Trace {
    /// The span of the attempt.
    open: Spanned,
    /// The span of an attempt that has ended. The span of the next attempt is linked to it.
    previous: Spanned,
    /// The phase that the scope is in.
    phase: ScopePhase,
    /// How the attempt came out, and in which phase, once that is known.
    outcome: Option<(ScopeOutcome, ScopePhase)>,
    /// When the scope ended, if that was measured already.
    ended_at: Option<Timestamp>,
    /// The timer of the scope, over all attempts.
    timer: ScopeTimer,
}

impl Trace {
    /// The trace of a session that no scope is on. It reports nothing.
    pub(crate) fn none() -> Self {
        Self::new(Spanned(None), ScopeTimer::none())
    }

    /// The trace of a root scope. The timer starts now.
    pub(crate) fn root<DB: Engine>(events: &Events, request: &Request, attempt: u32) -> Self {
        let options = request.options;
        let timer = events.scope(options, ScopeKind::Root);
        let open = Spanned::new::<DB>(options, request.caller, request.depth, attempt);
        Self::new(open, timer)
    }

    /// The trace of a nested scope at this depth.
    pub(crate) fn nested<DB: Engine>(
        events: &Events,
        options: &'static Options,
        depth: u32,
    ) -> Self {
        let timer = events.scope(options, ScopeKind::Nested);
        let open = Spanned::new::<DB>(options, None, depth, 1);
        Self::new(open, timer)
    }

    /// The trace of the next attempt. The timer goes on, and the new span follows from the one
    /// before.
    pub(crate) fn again<DB: Engine>(mut self, request: &Request, attempt: u32) -> Self {
        let mut timer = std::mem::replace(&mut self.timer, ScopeTimer::none());
        timer.again();
        let open = Spanned::new::<DB>(request.options, request.caller, request.depth, attempt);
        if let (Some(open), Some(previous)) = (&open.0, &self.previous.0) {
            open.span.follows_from(&previous.span);
        }
        Self::new(open, timer)
    }

    /// A trace of a scope that waits for its session.
    fn new(open: Spanned, timer: ScopeTimer) -> Self {
        Self {
            open,
            previous: Spanned(None),
            phase: ScopePhase::Waiting,
            outcome: None,
            ended_at: None,
            timer,
        }
    }

    /// Takes the trace along, and leaves one that reports nothing.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::none())
    }

    /// The span of the attempt, for futures that are to run inside of it.
    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Span> {
        self.open.span()
    }

    /// The scope is in this phase from now on.
    pub(crate) fn at(&mut self, phase: ScopePhase) {
        self.phase = phase;
    }

    /// Returns whether the scope is in this phase.
    pub(crate) fn is_at(&self, phase: ScopePhase) -> bool {
        self.phase == phase
    }

    /// The trace of a scope whose body runs.
    pub(crate) fn of_body(mut self) -> Self {
        self.phase = ScopePhase::Body;
        self
    }

    /// The body is dropped: a busy wire shows that it was waiting for a statement.
    pub(crate) fn look_at(&mut self, wire: Wire) {
        self.phase = self.phase.seen_with(wire);
    }

    /// The body has ended with this conclusion.
    pub(crate) fn ending(&mut self, conclusion: &Conclusion) {
        self.phase = match conclusion.verdict {
            Verdict::Commit => ScopePhase::Committing,
            Verdict::Rollback => ScopePhase::RollingBack,
        };
    }

    /// The transaction has ended with this outcome; hooks may still run.
    pub(crate) fn came_out(&mut self, how: ScopeOutcome, error: Option<&Error>) {
        self.outcome = Some((how, ScopePhase::End));
        self.phase = ScopePhase::Hooks;
        self.record_error(error);
    }

    /// Returns when the transaction ended, if no hooks follow.
    pub(crate) fn ends_at(&mut self, at: Option<Timestamp>) {
        self.ended_at = at;
    }

    /// The scope could not be opened, and is not tried again.
    pub(crate) fn refused(mut self, error: Error) -> Error {
        self.not_opened(&error);
        self.ended();
        error
    }

    /// This attempt to open the scope has failed.
    pub(crate) fn not_opened(&mut self, error: &Error) {
        let how = match error.is_timeout() {
            true => ScopeOutcome::TimedOut,
            false => ScopeOutcome::Failed,
        };
        self.outcome = Some((how, self.phase));
        self.record_error(Some(error));
        self.attempt_ended();
    }

    /// The attempt has ended. Completes its span, with the outcome that was noted.
    pub(crate) fn attempt_ended(&mut self) {
        if let (Some((how, when)), Some(open)) = (self.outcome, self.open.0.take()) {
            open.complete(how, when);
            self.previous = Spanned(Some(open));
        }
        self.phase = ScopePhase::Pausing;
    }

    /// The scope has ended. Completes the span and the timer, with the outcome that was noted.
    pub(crate) fn ended(mut self) {
        self.attempt_ended();
        if let Some((how, when)) = self.outcome {
            self.timer.ended(how, when, self.ended_at);
        }
    }

    /// Records the error in the span, if both exist.
    fn record_error(&self, error: Option<&Error>) {
        if let (Some(open), Some(error)) = (&self.open.0, error) {
            open.failed(error);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.open.0.is_some() || self.timer.runs() {
            let how = ScopeOutcome::unasked();
            self.open.complete(how, self.phase);
            self.timer.ended(how, self.phase, None);
        }
    }
}
