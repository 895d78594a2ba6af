//! The circuit breaker, as those meet it who connect.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::circuit::{Circuit, Part, Position};
use crate::engine::timed_out;
use crate::model::error::{Cause, Outage};
use crate::observe::metrics::Meter;

/// An attempt that has no answer for so long counts as failed, once for each such time; if it is the only one that may try, it is
/// given up.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether callers that need a new connection may try to open one, from [`Status::breaker`](crate::Status::breaker). Set by
/// [`DbBuilder::breaker_after`](crate::DbBuilder::breaker_after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Breaker {
    /// They may: the server can be reached, as far as is known.
    Closed,
    /// They fail at once: the server is out of reach.
    Open,
    /// They fail at once, but for one who tries just now.
    HalfOpen,
}

#[derive(Debug)]
pub(crate) struct Switch {
    system: &'static str,
    meter: Meter,
    circuit: Mutex<Circuit>,
}

impl Switch {
    pub(crate) fn new(after: Option<Duration>, system: &'static str, meter: Meter) -> Self {
        Self {
            system,
            meter,
            circuit: Mutex::new(Circuit::new(after)),
        }
    }

    pub(crate) fn admit(&self) -> Result<Attempt<'_>, Outage> {
        let part = self.lock().admit(Instant::now())?;
        Ok(self.attempt(part))
    }

    /// Tries even if it is not time yet.
    pub(crate) fn admit_always(&self) -> Attempt<'_> {
        let part = self.lock().admit_always();
        self.attempt(part)
    }

    pub(crate) fn breaker(&self) -> Breaker {
        match self.lock().position() {
            Position::Closed => Breaker::Closed,
            Position::Open => Breaker::Open,
            Position::HalfOpen => Breaker::HalfOpen,
        }
    }

    fn attempt(&self, part: Part) -> Attempt<'_> {
        Attempt {
            switch: self,
            part,
            began: Instant::now(),
        }
    }

    /// Changes it, and tells of that if it opens or closes.
    fn change(&self, change: impl FnOnce(&mut Circuit)) {
        let mut circuit = self.lock();
        let was_closed = circuit.position() == Position::Closed;
        change(&mut circuit);
        let is_closed = circuit.position() == Position::Closed;
        drop(circuit);
        let system = self.system;
        match (was_closed, is_closed) {
            (true, false) => {
                self.meter.breaker_opened();
                tracing::warn!(target: "txn", system, "the server is out of reach: callers that need a new connection fail at once");
            }
            (false, true) => {
                self.meter.breaker_closed();
                tracing::info!(target: "txn", system, "the server can be reached again");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt to connect. Dropped without an answer, it leaves its place to the next.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    switch: &'a Switch,
    part: Part,
    began: Instant,
}

impl Attempt<'_> {
    /// Waits for what comes of it, and notes that. `is_silence` tells whether an error is none of the server's.
    pub(crate) async fn run<T>(
        &mut self,
        connect: impl Future<Output = Result<T, sqlx::Error>>,
        is_silence: impl Fn(&sqlx::Error) -> bool,
    ) -> Result<T, sqlx::Error> {
        let mut connect = pin!(connect);
        loop {
            let Ok(result) = timeout(SILENCE, connect.as_mut()).await else {
                let was_probe = self.part == Part::Probe;
                self.failed(&timed_out());
                if was_probe {
                    return Err(timed_out());
                }
                continue;
            };
            match &result {
                Err(error) if is_silence(error) => self.failed(error),
                _ => self.reached(),
            }
            return result;
        }
    }

    fn reached(&mut self) {
        self.part = Part::Common;
        self.began = Instant::now();
        self.switch.change(Circuit::reached);
    }

    fn failed(&mut self, error: &sqlx::Error) {
        let part = std::mem::replace(&mut self.part, Part::Common);
        let (began, now, cause) = (self.began, Instant::now(), Cause::of_connecting(error));
        let jitter = fastrand::f64();
        self.switch
            .change(|circuit| circuit.failed(part, began, now, cause, jitter));
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.part == Part::Probe {
            self.switch.lock().given_up(self.part, Instant::now());
        }
    }
}
