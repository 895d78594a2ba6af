//! The span of a scope.

use std::time::Instant;

use tracing::Span;

use crate::engine::Engine;
use crate::options::Options;

/// The span of a scope, completed when the scope ends.
pub(super) struct Trace {
    pub(super) span: Span,
    /// `None` where nobody listens.
    opened: Option<Instant>,
}

impl Trace {
    pub(super) fn new<DB: Engine>(options: &'static Options, depth: u32, attempt: u32) -> Self {
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
        let opened = (!span.is_disabled()).then(Instant::now);
        Self { span, opened }
    }

    pub(super) fn record(&mut self, outcome: &'static str) {
        let Some(opened) = self.opened.take() else {
            return;
        };
        let elapsed = u64::try_from(opened.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.span.record("outcome", outcome);
        self.span.record("elapsed_us", elapsed);
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.record("dropped");
    }
}
