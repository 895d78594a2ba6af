//! Admission control in front of the pool: how long a caller may wait for a session, and whether
//! it is worth trying to open a new connection.
//!
//! - `codel`, `queue`: under lasting overload, waiting callers are refused early (load shedding).
//! - `circuit`, `breaker`: while the server is unreachable, callers that need a new connection fail
//!   at once (circuit breaker).
//!
//! `codel` and `circuit` are pure state machines without a clock: each method is given the time at
//! which its event happened, so that tests can drive them through any sequence.

use std::future::Future;
use std::pin::Pin;
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

/// The shortest time between two looks at a caller for which a session is being opened.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

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
}

impl Gate {
    /// Creates the gate of one `Db`. `one_writer` says that the engine allows one writer at a time.
    pub(crate) fn new(settings: Settings, system: &'static str, one_writer: bool) -> Self {
        let queue = || Queue::new(&settings, system);
        Self {
            sessions: queue(),
            writers: one_writer.then(queue),
            settings,
        }
    }

    /// A caller was served without having to wait.
    pub(crate) fn served_at_once(&self, need: &Need) {
        if let Some(queue) = self.queue(need) {
            queue.served_at_once();
        }
    }

    /// A caller that had waited since `since` was given a session that came back.
    pub(crate) fn served(&self, need: &Need, since: Instant) {
        if let Some(queue) = self.queue(need) {
            queue.served(since);
        }
    }

    /// Waits for `place` until it is ready, the deadline passes, or the caller is shed. A session
    /// that has been handed over is never refused.
    ///
    /// A caller that already holds a session is never shed: the work done in that session would be
    /// lost, and others may be waiting for it. Nor is one for which a session is being opened, as
    /// `opens` says: its wait says nothing about overload.
    ///
    /// # Cancel safety
    ///
    /// The gate keeps nothing about a caller.
    pub(crate) async fn wait<T>(
        &self,
        need: &Need,
        since: Instant,
        deadline: Instant,
        mut place: Pin<&mut impl Future<Output = T>>,
        opens: impl Fn() -> bool,
    ) -> Result<T, Rejection> {
        let queue = self.queue(need);
        let mut check_at = queue.map_or(deadline, |queue| queue.first_check(since));
        loop {
            // A session that arrives along with the timeout wins: `timeout_at` polls it first.
            let served = timeout_at(check_at.min(deadline), place.as_mut()).await;
            match (served, queue) {
                (Ok(place), _) => return Ok(place),
                (Err(_), Some(queue)) if Instant::now() < deadline => {
                    if opens() {
                        let now = Instant::now();
                        check_at = queue.first_check(now).max(now + SHORTEST_PAUSE);
                        continue;
                    }
                    match queue.check(since) {
                        Decision::WaitUntil(until) => check_at = until,
                        Decision::Shed { waited } => return Err(Rejection::Shed { waited }),
                    }
                }
                _ => return Err(Rejection::TimedOut),
            }
        }
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
