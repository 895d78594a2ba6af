//! The runtime on which background work runs.
//!
//! Invariant 8: cleanups run on the runtime that the `Db` was made with, wherever the session is
//! dropped. A runtime that has been shut down drops every task that it is given without polling it.
//! The drop is the only sign of that, so it is what passes the work on:
//!
//! ```text
//!   spawn ──► the runtime of the `Db` ──► runs
//!                     │ dropped unpolled
//!                     ▼
//!             the runtime of this thread, if it is another, replaces that ──► runs
//!                     │ none, or dropped unpolled
//!                     ▼
//!             a thread of its own ──► runs
//! ```
//!
//! Only work that was never polled is passed on. Work that has begun may depend on the timers and
//! sockets of the runtime that is gone, so it is dropped with that.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime::{Builder, Handle};

/// The runtime that takes the background work of one `Db`. It is replaced when it turns out to have
/// been shut down.
#[derive(Debug)]
pub(crate) struct CleanupRuntime(Mutex<Handle>);

impl CleanupRuntime {
    /// Uses `handle` until that runtime is shut down.
    pub(super) fn new(handle: Handle) -> Arc<Self> {
        Arc::new(Self(Mutex::new(handle)))
    }

    /// Spawns background work. It may be called from any thread, inside of a runtime or not.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.lock().clone();
        // The work is boxed because it may be moved several times.
        let unstarted = Unstarted {
            work: Some(Box::pin(work)),
            cleanup_runtime: Arc::clone(self),
            refused_by: Some(handle.clone()),
        };
        handle.spawn(unstarted.run());
    }

    fn lock(&self) -> MutexGuard<'_, Handle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that was never polled. Its drop passes it on, as the head of this file says.
struct Unstarted<F: Future<Output = ()> + Send + 'static> {
    /// The work; `None` once it has begun or was passed on.
    work: Option<F>,
    /// The place to note another runtime, if the first one has refused the work.
    cleanup_runtime: Arc<CleanupRuntime>,
    /// The runtime that has refused the work if this is dropped. `None` means that the runtime of
    /// the thread was tried too.
    refused_by: Option<Handle>,
}

impl<F: Future<Output = ()> + Send + 'static> Unstarted<F> {
    /// Runs the work. From the first poll on, a drop no longer passes it on.
    async fn run(mut self) {
        let work = self.work.take();
        drop(self);
        if let Some(work) = work {
            work.await;
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Drop for Unstarted<F> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else {
            return;
        };
        let here = Handle::try_current().ok();
        match (self.refused_by.take(), here) {
            (Some(refused_by), Some(here)) if here.id() != refused_by.id() => {
                *self.cleanup_runtime.lock() = here.clone();
                let unstarted = Self {
                    work: Some(work),
                    cleanup_runtime: Arc::clone(&self.cleanup_runtime),
                    refused_by: None,
                };
                here.spawn(unstarted.run());
            }
            _ => run_on_a_thread(work),
        }
    }
}

/// Runs the work on a runtime and a thread of its own.
fn run_on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    let run = || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => log_given_up(&error),
    };
    if let Err(error) = thread::Builder::new().name("txn-cleanup".into()).spawn(run) {
        log_given_up(&error);
    }
}

/// Logs that work was dropped, because no runtime and no thread could be made for it.
fn log_given_up(error: &io::Error) {
    tracing::error!(
        target: "txn", %error,
        "a cleanup was given up: there is no runtime to run it on"
    );
}
