//! The state machine of the circuit breaker, which decides whether an attempt to connect is
//! allowed.
//!
//! ```text
//!             failed: long enough, often enough           admitted when due
//!   Closed ──────────────────────────────────► Open, Due ───────────────────► Open, InFlight
//!      ▲                                        │     ▲                        │    │
//!      │                reached                 │     │  probe failed, or was  │    │
//!      ├────────────────────────────────────────┘     └──────── abandoned ─────┘    │
//!      └───────────────────────────────── reached ──────────────────────────────────┘
//! ```
//!
//! While it is closed, every caller may connect. It opens when the server has been unreachable for
//! long enough and in several attempts. While it is open, one caller at a time may try (the probe),
//! with growing pauses in between. Any answer of the server closes it, even a refusal, and
//! whichever attempt received it: a caller that is refused by a server has reached one.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::error::{Cause, Outage};

/// The number of failures that opens it. Fewer may have met a server that is just being restarted.
const MIN_FAILURES: u32 = 3;
/// The longest time between two failures of one outage. Nobody knows how the server was in a longer
/// gap, so a failure after it begins a new outage.
const MAX_GAP: Duration = Duration::from_secs(60);

/// The upper bound of the pause before the first probe. It doubles with each failed probe.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The upper bound of every pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Consecutive failures, with no answer of the server in between.
#[derive(Clone, Debug)]
struct Failures {
    /// When the first of the failed attempts began.
    since: Instant,
    /// When the last of them failed.
    last: Instant,
    /// How many have failed.
    count: u32,
    /// The cause of the last one.
    cause: Cause,
}

/// The one attempt that is allowed while the breaker is open.
#[derive(Debug)]
enum Probe {
    /// The next caller that asks at this time or later becomes the probe.
    Due(Instant),
    /// A caller is connecting as the probe. It reports `reached`, `failed` or `abandoned`.
    InFlight,
}

/// The two states of the breaker, with what it has counted.
#[derive(Debug)]
enum State {
    /// Every caller may connect. The failures are those since the last answer.
    Closed(Option<Failures>),
    /// Only the probe may connect.
    Open {
        failures: Failures,
        probe: Probe,
        /// How many probes have failed.
        probes: u32,
    },
}

/// The role in which an attempt was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// One of any number: a caller's while it is closed, and a health check's at any time. Its
    /// failure is counted, but does not move the next probe.
    Ordinary,
    /// The only one. No other is admitted until its result is reported.
    Probe,
}

/// The state as the user sees it; see [`Breaker`](super::Breaker).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// Every caller may connect.
    Closed,
    /// No caller may connect, and the next probe is not due yet or has not been asked for.
    Open,
    /// The probe is in flight.
    HalfOpen,
}

/// The circuit breaker of one `Db`, without a clock and without I/O.
#[derive(Debug)]
pub(super) struct Circuit {
    /// How long the server must be unreachable before it opens. `None` means that it never does.
    after: Option<Duration>,
    /// The place in the diagram above.
    state: State,
}

impl Circuit {
    /// Creates a closed breaker.
    pub(super) fn new(after: Option<Duration>) -> Self {
        Self {
            after,
            state: State::Closed(None),
        }
    }

    /// Admits an attempt to connect, or says what outage stands in its way.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Role, Outage> {
        match &mut self.state {
            State::Closed(_) => Ok(Role::Ordinary),
            State::Open {
                probe: probe @ Probe::Due(_),
                ..
            } if probe.is_due(now) => {
                *probe = Probe::InFlight;
                Ok(Role::Probe)
            }
            // The probe is not due yet, or somebody else is it.
            State::Open { failures, .. } => Err(failures.outage(now)),
        }
    }

    /// The server has answered an attempt.
    pub(super) fn reached(&mut self) {
        self.state = State::Closed(None);
    }

    /// An attempt that began at `began` got no answer. `jitter` is a uniform random number between
    /// 0 and 1, and scales the pause before the next probe.
    pub(super) fn failed(
        &mut self,
        role: Role,
        began: Instant,
        now: Instant,
        cause: Cause,
        jitter: f64,
    ) {
        match &mut self.state {
            State::Closed(failures) => {
                let failures = Failures::with(failures.take(), began, now, cause);
                self.state = match self.after {
                    Some(after) if failures.is_outage(after, now) => State::Open {
                        failures,
                        probe: Probe::after(0, now, jitter),
                        probes: 0,
                    },
                    _ => State::Closed(Some(failures)),
                };
            }
            State::Open {
                failures,
                probe,
                probes,
            } => {
                failures.add(now, cause);
                // An ordinary attempt, one that began before it opened or that of a health check,
                // says nothing about the backoff.
                if role == Role::Probe {
                    *probes += 1;
                    *probe = Probe::after(*probes, now, jitter);
                }
            }
        }
    }

    /// An attempt was dropped before its result was known. The next caller may be the probe at
    /// once.
    pub(super) fn abandoned(&mut self, role: Role, now: Instant) {
        if let (Role::Probe, State::Open { probe, .. }) = (role, &mut self.state) {
            *probe = Probe::Due(now);
        }
    }

    /// Returns the state as the user sees it.
    pub(super) fn position(&self) -> Position {
        match &self.state {
            State::Closed(_) => Position::Closed,
            State::Open {
                probe: Probe::Due(_),
                ..
            } => Position::Open,
            State::Open { .. } => Position::HalfOpen,
        }
    }
}

impl Probe {
    /// Schedules the next probe after `probes` of them have failed: exponential backoff with full
    /// jitter, so that many processes do not probe a restarting server in step.
    fn after(probes: u32, now: Instant, jitter: f64) -> Self {
        let longest = FIRST_PAUSE.saturating_mul(1 << probes.min(31));
        Self::Due(now + longest.min(LONGEST_PAUSE).mul_f64(jitter))
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self, Self::Due(at) if *at <= now)
    }
}

impl Failures {
    /// Counts one more failure, or begins to count anew if the last one is too long ago.
    fn with(before: Option<Self>, began: Instant, now: Instant, cause: Cause) -> Self {
        match before.filter(|failures| now.saturating_duration_since(failures.last) <= MAX_GAP) {
            Some(mut failures) => {
                failures.add(now, cause);
                failures
            }
            None => Self {
                since: began,
                last: now,
                count: 1,
                cause,
            },
        }
    }

    /// Counts one more failure of the same outage.
    fn add(&mut self, now: Instant, cause: Cause) {
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.cause = cause;
    }

    /// Returns true if the breaker should open.
    fn is_outage(&self, after: Duration, now: Instant) -> bool {
        self.count >= MIN_FAILURES && now.saturating_duration_since(self.since) >= after
    }

    /// Describes the failures for the error of a caller that is not admitted.
    fn outage(&self, now: Instant) -> Outage {
        Outage {
            lasts: now.saturating_duration_since(self.since),
            attempts: self.count,
            cause: self.cause.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(5);

    /// A breaker, and the moment from which the tests count milliseconds.
    struct Run {
        circuit: Circuit,
        zero: Instant,
    }

    impl Run {
        fn new(after: impl Into<Option<Duration>>) -> Self {
            Self {
                circuit: Circuit::new(after.into()),
                zero: Instant::now(),
            }
        }

        /// Returns a breaker that opened at 5000.
        fn open() -> Self {
            let mut run = Self::new(AFTER);
            for ms in [0, 2000, 5000] {
                run.fails(ms);
            }
            assert_eq!(run.circuit.position(), Position::Open);
            run
        }

        fn at(&self, ms: u64) -> Instant {
            self.zero + Duration::from_millis(ms)
        }

        fn admit(&mut self, ms: u64) -> Option<Role> {
            let now = self.at(ms);
            self.circuit.admit(now).ok()
        }

        fn failed(&mut self, role: Role, ms: u64, jitter: f64) {
            let (now, cause) = (self.at(ms), Cause::new(format!("refused at {ms}")));
            self.circuit.failed(role, now, now, cause, jitter);
        }

        /// Makes an attempt that fails, if one is admitted.
        fn fails(&mut self, ms: u64) {
            if let Some(role) = self.admit(ms) {
                self.failed(role, ms, 1.0);
            }
        }
    }

    #[test]
    fn it_opens_after_enough_time_and_enough_attempts() {
        for (failures, opens) in [
            (vec![0, 1, 2, 4999], false),
            (vec![0, 5000], false),
            (vec![0, 1, 5000], true),
            (vec![0, 1, 60_002], false),
        ] {
            let mut run = Run::new(AFTER);
            for ms in &failures {
                run.fails(*ms);
            }
            let open = run.circuit.position() == Position::Open;
            assert_eq!(open, opens, "{failures:?}");
        }
    }

    #[test]
    fn an_attempt_that_takes_long_counts_from_its_beginning() {
        let mut run = Run::new(AFTER);
        let (began, now) = (run.at(0), run.at(5000));
        for _ in 0..3 {
            let cause = Cause::new("no answer");
            run.circuit.failed(Role::Ordinary, began, now, cause, 1.0);
        }
        assert_eq!(run.circuit.position(), Position::Open);
    }

    #[test]
    fn an_answer_in_between_begins_a_new_row() {
        let mut run = Run::new(AFTER);
        (0..4).for_each(|ms| run.fails(ms));
        run.circuit.reached();
        [5000, 5001, 9999].into_iter().for_each(|ms| run.fails(ms));
        assert_eq!(run.circuit.position(), Position::Closed);
        run.fails(10_000);
        assert_eq!(run.circuit.position(), Position::Open);
    }

    #[test]
    fn without_a_time_it_never_opens_and_with_none_to_wait_at_the_third() {
        let mut run = Run::new(None);
        (0..100).for_each(|s| run.fails(s * 1000));
        assert_eq!(run.circuit.position(), Position::Closed);
        let mut run = Run::new(Duration::ZERO);
        (0..2).for_each(|_| run.fails(0));
        assert_eq!(run.circuit.position(), Position::Closed);
        run.fails(0);
        assert_eq!(run.circuit.position(), Position::Open);
    }

    #[test]
    fn open_it_refuses_with_the_last_cause_and_lets_one_try_at_a_time() {
        let mut run = Run::open();
        let outage = run.circuit.admit(run.at(5049)).unwrap_err();
        assert_eq!(outage.cause.to_string(), "refused at 5000");
        assert_eq!(
            (outage.lasts, outage.attempts),
            (AFTER + Duration::from_millis(49), 3)
        );
        assert_eq!(run.admit(5050), Some(Role::Probe));
        assert_eq!(run.circuit.position(), Position::HalfOpen);
        assert_eq!(run.admit(5051), None);
        assert_eq!(run.admit(500_000), None, "however long that one takes");
    }

    #[test]
    fn the_pauses_double_up_to_the_longest_and_are_drawn() {
        let mut run = Run::open();
        let mut now = 5050;
        for pause in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(run.admit(now), Some(Role::Probe));
            run.failed(Role::Probe, now, 0.5);
            assert_eq!(run.admit(now + pause / 2 - 1), None);
            now += pause / 2;
        }
        assert_eq!(run.admit(now), Some(Role::Probe));
        run.failed(Role::Probe, now, 0.0);
        assert_eq!(run.admit(now), Some(Role::Probe));
    }

    #[test]
    fn any_answer_closes_it_whoever_had_it() {
        let mut run = Run::open();
        assert_eq!(run.admit(6000), Some(Role::Probe));
        run.circuit.reached();
        assert_eq!(run.admit(6000), Some(Role::Ordinary));
        run.failed(Role::Probe, 6001, 1.0);
        assert_eq!(
            run.circuit.position(),
            Position::Closed,
            "the answer came first"
        );
        let mut run = Run::open();
        run.circuit.reached();
        assert_eq!(run.circuit.position(), Position::Closed);
    }

    #[test]
    fn a_probe_that_is_given_up_leaves_its_place_to_the_next() {
        let mut run = Run::open();
        assert_eq!(run.admit(6000), Some(Role::Probe));
        run.circuit.abandoned(Role::Ordinary, run.at(6000));
        assert_eq!(run.admit(6000), None, "that was another");
        run.circuit.abandoned(Role::Probe, run.at(6000));
        assert_eq!(run.admit(6000), Some(Role::Probe));
    }

    #[test]
    fn one_that_was_under_way_when_it_opened_changes_the_cause_only() {
        let mut run = Run::open();
        run.failed(Role::Ordinary, 5020, 0.0);
        let outage = run.circuit.admit(run.at(5020)).unwrap_err();
        assert_eq!(outage.cause.to_string(), "refused at 5020");
        assert_eq!(run.circuit.position(), Position::Open);
    }
}
