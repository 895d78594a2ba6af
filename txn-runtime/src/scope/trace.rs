//! The span of a scope.

use std::time::Instant;

use tracing::Span;
use tracing::level_filters::LevelFilter;

use crate::engine::Engine;
use crate::options::Options;
use crate::{Error, Verdict};

/// The span of a scope, completed when the scope ends; nothing where nobody listens.
pub(super) struct Trace(Option<Box<Open>>);

struct Open {
    span: Span,
    since: Instant,
}

impl Trace {
    #[inline(always)]
    pub(super) fn new<DB: Engine>(options: &'static Options, depth: u32, attempt: u32) -> Self {
        // A disabled span is not free: it is offered to the `log` crate.
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self(None);
        }
        Self::listened_to::<DB>(options, depth, attempt)
    }

    fn listened_to<DB: Engine>(options: &'static Options, depth: u32, attempt: u32) -> Self {
        let span = tracing::debug_span!(
            target: "txn",
            "transaction",
            name = options.name,
            engine = DB::SYSTEM,
            propagation = options.propagation.as_str(),
            depth,
            attempt,
            outcome = tracing::field::Empty,
            elapsed_us = tracing::field::Empty,
        );
        if span.is_disabled() {
            return Self(None);
        }
        let since = Instant::now();
        Self(Some(Box::new(Open { span, since })))
    }

    #[inline(always)]
    pub(super) fn span(&self) -> Option<Span> {
        self.0.as_ref().map(|open| open.span.clone())
    }

    /// `kept` is what it comes to where all went well.
    #[inline(always)]
    pub(super) fn end(mut self, verdict: Verdict, result: &Result<(), Error>, kept: &'static str) {
        self.record(match (verdict, result) {
            (_, Err(_)) => "failed",
            (Verdict::Commit, Ok(())) => kept,
            (Verdict::Rollback, Ok(())) => "rolled back",
        });
    }

    #[inline(always)]
    fn record(&mut self, outcome: &'static str) {
        let Some(open) = self.0.take() else {
            return;
        };
        let elapsed = u64::try_from(open.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        open.span.record("outcome", outcome);
        open.span.record("elapsed_us", elapsed);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.record("dropped");
    }
}
