//! Where what goes on in the background runs.
//!
//! Invariant 8: on the runtime that the `Db` was made with, whoever drops what wherever. If that is gone, it takes nothing any more and
//! drops what it is given; the drop is what passes it on: to the runtime that this thread is in, which is the home from then on, and
//! without one to a thread of its own. Nothing that was begun is passed on, for it may stand on what is gone.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};

#[derive(Debug)]
pub(crate) struct CleanupRuntime(Mutex<Handle>);

impl CleanupRuntime {
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self(Mutex::new(handle)))
    }

    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.lock().clone();
        // Boxed, as it is moved from hand to hand.
        let offer = Offer {
            work: Some(Box::pin(work)),
            cleanup_runtime: Arc::clone(self),
            refused_by: Some(handle.clone()),
        };
        handle.spawn(offer.run());
    }

    fn lock(&self) -> MutexGuard<'_, Handle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that nobody has begun. Dropped, it goes to the next who may take it.
struct Offer<F: Future<Output = ()> + Send + 'static> {
    work: Option<F>,
    cleanup_runtime: Arc<CleanupRuntime>,
    /// If it is dropped; `None` once the runtime of this thread was asked too.
    refused_by: Option<Handle>,
}

impl<F: Future<Output = ()> + Send + 'static> Offer<F> {
    async fn run(mut self) {
        let work = self.work.take();
        drop(self);
        if let Some(work) = work {
            work.await;
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for Offer<F> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        let here = Handle::try_current().ok();
        match (self.refused_by.take(), here) {
            (Some(refused_by), Some(here)) if here.id() != refused_by.id() => {
                *self.cleanup_runtime.lock() = here.clone();
                let offer = Self {
                    work: Some(work),
                    cleanup_runtime: Arc::clone(&self.cleanup_runtime),
                    refused_by: None,
                };
                here.spawn(offer.run());
            }
            _ => run_on_a_thread(work),
        }
    }
}

fn run_on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    let run = || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => given_up(&error),
    };
    if let Err(error) = thread::Builder::new().name("txn-cleanup".into()).spawn(run) {
        given_up(&error);
    }
}

fn given_up(error: &io::Error) {
    tracing::error!(target: "txn", %error, "a cleanup was given up: there is no runtime to run it on");
}
