//! What a scope tells of itself: its span, and its figures. Once, on every path.
//!
//! The trace of a root scope travels with its session, as hooks do: whatever becomes of the scope, the session gets to know it first.

use std::time::Instant;

use tracing::Span;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;

use crate::engine::Engine;
use crate::model::conclusion::Conclusion;
use crate::model::error::Error;
use crate::model::labels::{ScopeKind, ScopeOutcome, ScopePhase};
use crate::model::location::Caller;
use crate::model::options::Options;
use crate::model::outcome::Verdict;
use crate::model::request::Request;
use crate::model::retry::Asked;
use crate::model::transaction::Wire;
use crate::observe::metrics::{Meter, Timer, Timestamp};

/// The span of an attempt; nothing where nobody listens.
pub(crate) struct Spanned(Option<Box<Open>>);

struct Open {
    span: Span,
    since: Instant,
}

impl Spanned {
    #[inline(always)]
    pub(crate) fn new<DB: Engine>(
        options: &'static Options,
        caller: Option<Caller>,
        depth: u32,
        attempt: u32,
    ) -> Self {
        // A disabled span is not free: it is offered to the `log` crate.
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self(None);
        }
        Self::listened_to::<DB>(options, caller, depth, attempt)
    }

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

    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Span> {
        self.0.as_ref().map(|open| open.span.clone())
    }

    #[inline(always)]
    pub(crate) fn complete(&mut self, how: ScopeOutcome, when: ScopePhase) {
        if let Some(open) = self.0.take() {
            open.complete(how, when);
        }
    }
}

impl Open {
    fn complete(&self, how: ScopeOutcome, when: ScopePhase) {
        let elapsed = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.record("txn.outcome", how.as_str());
        self.span.record("txn.phase", when.as_str());
        self.span.record("txn.elapsed_us", elapsed);
    }

    fn failed(&self, error: &Error) {
        self.span.record("otel.status_code", "ERROR");
        let text = tracing::field::display(error);
        self.span.record("otel.status_description", text);
    }
}

/// The span of an attempt, and the timer of its scope; both end with the scope, one way or another.
pub(crate) struct Trace {
    open: Spanned,
    /// Of an attempt that has ended: the next one is linked to it.
    before: Spanned,
    moment: ScopePhase,
    came: Option<(ScopeOutcome, ScopePhase)>,
    at: Option<Timestamp>,
    timer: Timer,
}

impl Trace {
    /// Of a session that no scope is on.
    pub(crate) fn none() -> Self {
        Self::new(Spanned(None), Timer::default())
    }

    pub(crate) fn root<DB: Engine>(meter: &Meter, request: &Request, attempt: u32) -> Self {
        let options = request.options;
        let retries = !matches!(options.retry, Asked::Never);
        let timer = meter.scope(options.name, ScopeKind::Root, retries);
        let open = Spanned::new::<DB>(options, request.caller, request.depth, attempt);
        Self::new(open, timer)
    }

    /// For a nested scope at this depth.
    pub(crate) fn nested<DB: Engine>(meter: &Meter, options: &'static Options, depth: u32) -> Self {
        let timer = meter.scope(options.name, ScopeKind::Nested, false);
        let open = Spanned::new::<DB>(options, None, depth, 1);
        Self::new(open, timer)
    }

    /// The next attempt at the scope: its span is linked to the one before.
    pub(crate) fn again<DB: Engine>(mut self, request: &Request, attempt: u32) -> Self {
        let mut timer = std::mem::take(&mut self.timer);
        timer.again();
        let open = Spanned::new::<DB>(request.options, request.caller, request.depth, attempt);
        if let (Some(open), Some(before)) = (&open.0, &self.before.0) {
            open.span.follows_from(&before.span);
        }
        Self::new(open, timer)
    }

    fn new(open: Spanned, timer: Timer) -> Self {
        Self {
            open,
            before: Spanned(None),
            moment: ScopePhase::Waiting,
            came: None,
            at: None,
            timer,
        }
    }

    /// Leaves none.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::none())
    }

    #[inline(always)]
    pub(crate) fn span(&self) -> Option<Span> {
        self.open.span()
    }

    pub(crate) fn at(&mut self, moment: ScopePhase) {
        self.moment = moment;
    }

    pub(crate) fn is_at(&self, moment: ScopePhase) -> bool {
        self.moment == moment
    }

    /// As it is while the body runs.
    pub(crate) fn of_body(mut self) -> Self {
        self.moment = ScopePhase::Body;
        self
    }

    /// Where a body was that is dropped.
    pub(crate) fn look_at(&mut self, wire: Wire) {
        self.moment = self.moment.seen_with(wire);
    }

    /// Its body has ended.
    pub(crate) fn ending(&mut self, conclusion: &Conclusion) {
        self.moment = match conclusion.verdict {
            Verdict::Commit => ScopePhase::Committing,
            Verdict::Rollback => ScopePhase::RollingBack,
        };
    }

    /// How it came out; hooks may still run.
    pub(crate) fn came_out(&mut self, how: ScopeOutcome, error: Option<&Error>) {
        self.came = Some((how, ScopePhase::End));
        self.moment = ScopePhase::Hooks;
        self.tell(error);
    }

    /// When it came out, if that was its end.
    pub(crate) fn ends_at(&mut self, at: Option<Timestamp>) {
        self.at = at;
    }

    /// It could not be opened, and is not going to be.
    pub(crate) fn refused(mut self, error: Error) -> Error {
        self.not_opened(&error);
        self.ended();
        error
    }

    /// It could not be opened.
    pub(crate) fn not_opened(&mut self, error: &Error) {
        let how = match error.is_timeout() {
            true => ScopeOutcome::TimedOut,
            false => ScopeOutcome::Failed,
        };
        self.came = Some((how, self.moment));
        self.tell(Some(error));
        self.attempt_ended();
    }

    /// The attempt has ended as it came out; the scope has, unless there is to be another.
    pub(crate) fn attempt_ended(&mut self) {
        if let (Some((how, when)), Some(open)) = (self.came, self.open.0.take()) {
            open.complete(how, when);
            self.before = Spanned(Some(open));
        }
        self.moment = ScopePhase::Pausing;
    }

    /// It has ended as it came out.
    pub(crate) fn ended(mut self) {
        self.attempt_ended();
        if let Some((how, when)) = self.came {
            self.timer.ended(how, when, self.at);
        }
    }

    fn tell(&self, error: Option<&Error>) {
        if let (Some(open), Some(error)) = (&self.open.0, error) {
            open.failed(error);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.open.0.is_some() || self.timer.runs() {
            let how = ScopeOutcome::unasked();
            self.open.complete(how, self.moment);
            self.timer.ended(how, self.moment, None);
        }
    }
}
