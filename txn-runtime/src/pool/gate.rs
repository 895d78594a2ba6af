//! Admission control in front of the pool: which callers may wait for a session, how long they may
//! wait, and whether it is worth trying to open a new connection.
//!
//! - `codel`, `queue`: under lasting overload, waiting callers are refused early (load shedding).
//! - `circuit`, `breaker`: while the server is unreachable, callers that need a new connection fail
//!   at once (circuit breaker).
//!
//! `codel` and `circuit` are pure state machines without a clock: each method is given the time at
//! which its event happened, so that tests can drive them through any sequence.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

mod breaker;
mod circuit;
mod codel;
mod queue;

pub use self::breaker::Breaker;
pub(crate) use self::breaker::{Attempt, CircuitBreaker};
use self::codel::Decision;
use self::queue::Queue;
use crate::model::request::Need;
use crate::observe::opening::{self, Stage};

/// Why a caller did not get a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rejection {
    /// The caller waited until its deadline.
    TimedOut,
    /// The queue is overloaded, and the caller was refused after it had waited for this long.
    Shed { waited: Duration },
    /// `max_waiting` callers were waiting already.
    Full,
}

/// The queue in which callers wait for a session, seen from the side of its limits.
///
/// The gate holds no sessions and no wakers. The session itself arrives through the future that a
/// caller passes in; the gate polls that future and decides how long to go on polling it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The limits that the builder set. They never change.
    settings: Settings,
    /// The wait times of all callers, or of readers only if `writers` is set.
    sessions: Queue,
    /// The wait times of writers, on engines that allow one writer at a time. They are kept apart
    /// because readers that are served at once say nothing about how long writers wait.
    writers: Option<Queue>,
    /// How many callers are waiting in [`wait`](Self::wait). The count is only compared with
    /// `max_waiting` and orders no other memory access, so `Relaxed` is enough.
    waiting: AtomicUsize,
}

impl Gate {
    /// Creates the gate of one `Db`. `one_writer` says that the engine allows one writer at a time.
    pub(crate) fn new(settings: Settings, system: &'static str, one_writer: bool) -> Self {
        let queue = || Queue::new(&settings, system);
        Self {
            sessions: queue(),
            writers: one_writer.then(queue),
            waiting: AtomicUsize::new(0),
            settings,
        }
    }

    /// Polls `place` once. Returns its output if that is ready, otherwise what the caller would
    /// have to wait for.
    ///
    /// Callers that are served here pay for no timer and do not count as waiting.
    pub(crate) async fn poll_once<T>(
        &self,
        need: &Need,
        mut place: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Stage> {
        let place = poll_fn(|cx| {
            let place = opening::poll_for_certain(place.as_mut(), cx);
            Poll::Ready(place)
        })
        .await;
        if let (Ok(_), Some(queue)) = (&place, self.queue(need)) {
            queue.served_at_once();
        }
        place
    }

    /// Waits for `place` until it is ready, the deadline passes, or the caller is shed. A session
    /// that has been handed over is never refused.
    ///
    /// A caller that already holds a session is never shed: the work done in that session would be
    /// lost, and others may be waiting for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops counting the caller as waiting. The gate keeps nothing else about it.
    pub(crate) async fn wait<T>(
        &self,
        need: &Need,
        stage: Stage,
        deadline: Instant,
        mut place: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Rejection> {
        if let (Stage::Queue, 0) = (stage, need.held) {
            // Counted only in the queue, and no longer while a connection is being opened.
            let _waiting = self.join_queue()?;
            let queue = self.queue(need);
            if let Some(place) = wait_in_queue(queue, deadline, place.as_mut()).await? {
                return Ok(place);
            }
        }
        let placed = timeout_at(deadline, place).await;
        placed.map_err(|_| Rejection::TimedOut)
    }

    /// Returns true while callers that wait too long are being refused.
    pub(crate) fn is_shedding(&self) -> bool {
        let mut queues = std::iter::once(&self.sessions).chain(&self.writers);
        self.settings.target.is_some() && queues.any(Queue::is_shedding)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the queue that times this caller's wait, or `None` if the caller is never shed.
    fn queue(&self, need: &Need) -> Option<&Queue> {
        if self.settings.target.is_none() || need.held > 0 {
            return None;
        }
        let writers = self.writers.as_ref().filter(|_| need.writes);
        writers.or(Some(&self.sessions))
    }

    /// Counts the caller as waiting, unless `max_waiting` callers wait already.
    ///
    /// The guard is made before the count is compared, so that a refused caller is subtracted too.
    fn join_queue(&self) -> Result<Waiting<'_>, Rejection> {
        let waiting = Waiting(&self.waiting);
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.settings.max_waiting {
            Some(max) if others >= max => Err(Rejection::Full),
            _ => Ok(waiting),
        }
    }
}

/// Waits until `place` is ready or the queue sheds this caller.
///
/// Returns `None` as soon as a connection is being opened for the caller: from then on it no longer
/// waits for another caller's session, and its wait says nothing about overload.
async fn wait_in_queue<F: Future>(
    queue: Option<&Queue>,
    deadline: Instant,
    mut place: Pin<&mut F>,
) -> Result<Option<F::Output>, Rejection> {
    let since = Instant::now();
    let first_check = queue.map(|queue| queue.first_check(since));
    let mut check_at = first_check.unwrap_or(deadline);
    loop {
        let served = poll_fn(|cx| match opening::poll(place.as_mut(), cx) {
            Ok(place) => Poll::Ready(Some(place)),
            Err(Stage::Opening) => Poll::Ready(None),
            Err(Stage::Queue) => Poll::Pending,
        });
        let served = timeout_at(check_at.min(deadline), served).await;
        // A session that arrives along with the timeout wins: `timeout_at` polls it first.
        match (served, queue) {
            (Ok(place), queue) => {
                queue.inspect(|queue| queue.served(since));
                return Ok(place);
            }
            (Err(_), Some(queue)) if Instant::now() < deadline => match queue.check(since) {
                Decision::WaitUntil(until) => check_at = until,
                Decision::Shed { waited } => return Err(Rejection::Shed { waited }),
            },
            _ => return Err(Rejection::TimedOut),
        }
    }
}

/// Counts a caller as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The settings of [`DbBuilder`](crate::DbBuilder) that concern waiting and connecting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The wait that is acceptable under load. `None` means that no caller is refused early.
    pub(crate) target: Option<Duration>,
    /// How long every wait must exceed `target` before callers are refused early.
    pub(crate) interval: Duration,
    /// How many callers may wait at a time.
    pub(crate) max_waiting: Option<usize>,
    /// How long the server must be unreachable before the breaker opens. `None` means never.
    pub(crate) breaker: Option<Duration>,
    /// The timeout of [`Db::check`](crate::Db::check).
    pub(crate) check: Duration,
}

impl Settings {
    /// The settings of a builder on which none of them was set.
    pub(crate) const DEFAULT: Self = Self {
        target: None,
        interval: Duration::from_secs(2),
        max_waiting: None,
        breaker: Some(Duration::from_secs(5)),
        check: Duration::from_secs(2),
    };
}
