//! Runs the body of a scope in its span.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

/// A body that is polled in the span of its scope, and is dropped in it, whether or not it has
/// finished. What its values log in their drop then belongs to the scope.
#[must_use = "futures do nothing unless polled"]
pub struct Run<'a, F: Future> {
    /// The span of the scope, if spans are on.
    pub(super) span: Option<Span>,
    /// The body, which stays where the caller has pinned it; `None` once it was dropped.
    pub(super) body: Pin<&'a mut Option<F>>,
}

impl<F: Future> Future for Run<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { span, body } = &mut *self;
        let _inside = span.as_ref().map(Span::enter);
        match body.as_mut().as_pin_mut() {
            Some(body) => body.poll(cx),
            None => unreachable!("polled after it was dropped"),
        }
    }
}

impl<F: Future> Drop for Run<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let _inside = self.span.as_ref().map(Span::enter);
        self.body.set(None);
    }
}
