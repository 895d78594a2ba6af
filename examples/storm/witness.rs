//! A future that notes when, and in which phase of its scope, it was dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::record::Record;
use crate::subject::Subject;

pub(crate) struct Witness<F, S: Subject> {
    scope: Option<Pin<Box<F>>>,
    subject: S,
    record: Arc<Record>,
}

impl<F, S: Subject> Witness<F, S> {
    pub(crate) fn new(scope: F, subject: S, record: Arc<Record>) -> Self {
        Self {
            scope: Some(Box::pin(scope)),
            subject,
            record,
        }
    }
}

impl<F: Future, S: Subject> Future for Witness<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // Out of our hands while it runs: what panics is not dropped by us.
        let mut scope = this.scope.take().expect("polled after completion");
        let output = scope.as_mut().poll(cx);
        if output.is_pending() {
            this.scope = Some(scope);
        }
        output
    }
}

impl<F, S: Subject> Unpin for Witness<F, S> {}

impl<F, S: Subject> Drop for Witness<F, S> {
    fn drop(&mut self) {
        let Some(scope) = self.scope.take() else {
            return;
        };
        let (settling, now) = (self.subject.settling(), Instant::now());
        drop(scope);
        // Others come and go meanwhile: nearly always true.
        self.record.dropped(now, self.subject.settling() > settling);
    }
}
