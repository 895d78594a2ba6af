//! The circuit breaker as callers that connect use it: [`Circuit`] with a lock, a clock, logs and
//! metrics.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::circuit::{Circuit, Position, Role};
use crate::engine::timed_out;
use crate::model::error::{Cause, Outage};
use crate::observe::events::{Event, Events};

/// How long an attempt may go without an answer. An ordinary attempt goes on after that, but counts
/// as one failure for each such period; a probe is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the circuit breaker, which decides whether callers that need a new connection may
/// open one. [`Status::breaker`](crate::Status::breaker) shows it, and
/// [`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after) configures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Breaker {
    /// They may open one: as far as is known, the server can be reached.
    Closed,
    /// They fail at once: the server is out of reach.
    Open,
    /// One caller is trying to connect, and all others fail at once.
    HalfOpen,
}

/// The circuit breaker of one `Db`.
///
/// Whoever connects first calls [`admit`](Self::admit) and then [`Attempt::run`], which reports the
/// result. The lock is never held across an await or a log message.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    /// The engine, for log messages.
    system: &'static str,
    /// Counts how often it opens.
    events: Events,
    /// The state machine, which decides everything.
    circuit: Mutex<Circuit>,
}

impl CircuitBreaker {
    /// Creates a closed breaker. It opens after the server was unreachable for `after`, if at all.
    pub(crate) fn new(after: Option<Duration>, system: &'static str, events: Events) -> Self {
        Self {
            system,
            events,
            circuit: Mutex::new(Circuit::new(after)),
        }
    }

    /// Admits an attempt to connect, or says what outage stands in its way.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Attempt, Outage> {
        let role = self.lock().admit(Instant::now())?;
        Ok(self.attempt(role))
    }

    /// Admits an attempt to connect even while the breaker is open. It is beside the probe, which
    /// callers make: it may be given up long before a server that is slow has answered.
    pub(crate) fn admit_always(self: &Arc<Self>) -> Attempt {
        self.attempt(Role::Ordinary)
    }

    /// Returns the state as the user sees it.
    pub(crate) fn position(&self) -> Breaker {
        match self.lock().position() {
            Position::Closed => Breaker::Closed,
            Position::Open => Breaker::Open,
            Position::HalfOpen => Breaker::HalfOpen,
        }
    }

    /// Starts the clock of an attempt that was admitted.
    fn attempt(self: &Arc<Self>, role: Role) -> Attempt {
        Attempt {
            breaker: Arc::clone(self),
            role,
            began: Instant::now(),
            waits: false,
        }
    }

    /// Applies `change` to the state, and tells if that opened or closed the breaker.
    fn change(&self, change: impl FnOnce(&mut Circuit)) {
        let mut circuit = self.lock();
        let was_closed = circuit.position() == Position::Closed;
        change(&mut circuit);
        let is_closed = circuit.position() == Position::Closed;
        drop(circuit);
        let system = self.system;
        match (was_closed, is_closed) {
            (true, false) => self.events.tell(Event::BreakerOpened { system }),
            (false, true) => self.events.tell(Event::BreakerClosed { system }),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to connect that was admitted.
///
/// If a probe is dropped before its result is known, the next caller may be the probe. After a
/// result was reported the attempt is an ordinary one, so that its drop changes nothing.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The breaker that the result is reported to.
    breaker: Arc<CircuitBreaker>,
    /// The role that it has now: `Ordinary` once a result was reported.
    role: Role,
    /// When it began, or when it last got an answer. Failures are dated from here.
    began: Instant,
    /// It waits for an answer, and has not counted as a failure.
    waits: bool,
}

impl Attempt {
    /// Waits for `connect`, and reports the result to the breaker. `is_unreachable` tells errors
    /// that mean that no server answered from those that a server sent.
    ///
    /// It may be called again for a retry within the same attempt.
    ///
    /// # Cancel safety
    ///
    /// Dropping it reports nothing; dropping the attempt then gives up a probe. Whoever drops it
    /// because the time for an answer is over says so with [`timed_out`](Self::timed_out).
    pub(crate) async fn run<T>(
        &mut self,
        connect: impl Future<Output = Result<T, sqlx::Error>>,
        is_unreachable: impl Fn(&sqlx::Error) -> bool,
    ) -> Result<T, sqlx::Error> {
        let mut connect = pin!(connect);
        self.waits = true;
        loop {
            let Ok(result) = timeout(ANSWER_TIMEOUT, connect.as_mut()).await else {
                // `failed` makes this an ordinary attempt, so its role is read before.
                let was_probe = self.role == Role::Probe;
                self.failed(&timed_out());
                // It has counted, so that the end of its time does not.
                self.waits = false;
                if was_probe {
                    return Err(timed_out());
                }
                continue;
            };
            self.waits = false;
            match &result {
                Err(error) if is_unreachable(error) => self.failed(error),
                _ => self.reached(),
            }
            return result;
        }
    }

    /// The time for the whole attempt is over. If it waited for an answer, there was none.
    pub(crate) fn timed_out(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.failed(&timed_out());
        }
    }

    /// Reports that the server has answered.
    fn reached(&mut self) {
        // Whatever this attempt goes on to do, it is dated from this answer.
        self.role = Role::Ordinary;
        self.began = Instant::now();
        self.breaker.change(Circuit::reached);
    }

    /// Reports that there was no answer.
    fn failed(&mut self, error: &sqlx::Error) {
        // The state machine has the result of the probe, and the drop has nothing left to give up.
        let role = std::mem::replace(&mut self.role, Role::Ordinary);
        let (began, now, cause) = (self.began, Instant::now(), Cause::of_connecting(error));
        let jitter = fastrand::f64();
        self.breaker
            .change(|circuit| circuit.failed(role, began, now, cause, jitter));
    }
}

// Leaves the place of a probe whose result will never be known.
impl Drop for Attempt {
    fn drop(&mut self) {
        if self.role == Role::Probe {
            self.breaker.lock().abandoned(self.role, Instant::now());
        }
    }
}
