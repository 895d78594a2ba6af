//! Whether attempts to connect are of any use: a circuit breaker.
//!
//! Closed, everybody tries. It opens when the server was out of reach for long enough, and for several attempts. Open, one at a time
//! tries, with growing pauses between. Whatever the server answers closes it: who is refused by a server has reached one.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::error::{Cause, Outage};

/// One or two may have met a server that is just being restarted.
const ENOUGH: u32 = 3;
/// Failures further apart than this are none of one outage: nobody has seen what was between.
const APART: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A row of failures without an answer in between.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// When the first attempt began.
    since: Instant,
    last: Instant,
    count: u32,
    cause: Cause,
}

#[derive(Debug)]
enum Probe {
    /// From then on.
    Due(Instant),
    Underway,
}

#[derive(Debug)]
enum State {
    Closed(Option<Row>),
    Open {
        row: Row,
        probe: Probe,
        /// How many have failed.
        probes: u32,
    },
}

/// What an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One of many.
    Common,
    /// The only one; the state waits for what comes of it.
    Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Closed,
    Open,
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct Circuit {
    /// How long the server must have been out of reach; `None` never opens.
    after: Option<Duration>,
    state: State,
}

impl Circuit {
    pub(super) fn new(after: Option<Duration>) -> Self {
        Self {
            after,
            state: State::Closed(None),
        }
    }

    /// Whether somebody may try now.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Part, Outage> {
        match &mut self.state {
            State::Closed(_) => Ok(Part::Common),
            State::Open {
                probe: probe @ Probe::Due(_),
                ..
            } if probe.is_due(now) => {
                *probe = Probe::Underway;
                Ok(Part::Probe)
            }
            State::Open { row, .. } => Err(row.outage(now)),
        }
    }

    /// Somebody tries, due or not.
    pub(super) fn admit_always(&mut self) -> Part {
        match &mut self.state {
            State::Open {
                probe: probe @ Probe::Due(_),
                ..
            } => {
                *probe = Probe::Underway;
                Part::Probe
            }
            _ => Part::Common,
        }
    }

    /// The server has answered.
    pub(super) fn reached(&mut self) {
        self.state = State::Closed(None);
    }

    /// An attempt that `began` then has failed. `jitter` is drawn evenly from 0 to 1.
    pub(super) fn failed(
        &mut self,
        part: Part,
        began: Instant,
        now: Instant,
        cause: Cause,
        jitter: f64,
    ) {
        match &mut self.state {
            State::Closed(row) => {
                let row = Row::with(row.take(), began, now, cause);
                self.state = match self.after {
                    Some(after) if row.is_enough(after, now) => State::Open {
                        row,
                        probe: Probe::after(0, now, jitter),
                        probes: 0,
                    },
                    _ => State::Closed(Some(row)),
                };
            }
            State::Open { row, probe, probes } => {
                row.add(now, cause);
                if part == Part::Probe {
                    *probes += 1;
                    *probe = Probe::after(*probes, now, jitter);
                }
            }
        }
    }

    /// An attempt was dropped, and nobody knows what would have come of it.
    pub(super) fn given_up(&mut self, part: Part, now: Instant) {
        if let (Part::Probe, State::Open { probe, .. }) = (part, &mut self.state) {
            *probe = Probe::Due(now);
        }
    }

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
    fn after(probes: u32, now: Instant, jitter: f64) -> Self {
        let longest = FIRST_PAUSE.saturating_mul(1 << probes.min(31));
        Self::Due(now + longest.min(LONGEST_PAUSE).mul_f64(jitter))
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self, Self::Due(at) if *at <= now)
    }
}

impl Row {
    fn with(before: Option<Self>, began: Instant, now: Instant, cause: Cause) -> Self {
        match before.filter(|row| now.saturating_duration_since(row.last) <= APART) {
            Some(mut row) => {
                row.add(now, cause);
                row
            }
            None => Self {
                since: began,
                last: now,
                count: 1,
                cause,
            },
        }
    }

    fn add(&mut self, now: Instant, cause: Cause) {
        self.last = now;
        self.count = self.count.saturating_add(1);
        self.cause = cause;
    }

    fn is_enough(&self, after: Duration, now: Instant) -> bool {
        self.count >= ENOUGH && now.saturating_duration_since(self.since) >= after
    }

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

        /// Opened at 5000.
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

        fn admit(&mut self, ms: u64) -> Option<Part> {
            let now = self.at(ms);
            self.circuit.admit(now).ok()
        }

        fn failed(&mut self, part: Part, ms: u64, jitter: f64) {
            let (now, cause) = (self.at(ms), Cause::new(format!("refused at {ms}")));
            self.circuit.failed(part, now, now, cause, jitter);
        }

        /// Tries, if it may.
        fn fails(&mut self, ms: u64) {
            if let Some(part) = self.admit(ms) {
                self.failed(part, ms, 1.0);
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
            run.circuit.failed(Part::Common, began, now, cause, 1.0);
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
        assert_eq!(run.admit(5050), Some(Part::Probe));
        assert_eq!(run.circuit.position(), Position::HalfOpen);
        assert_eq!(run.admit(5051), None);
        assert_eq!(run.admit(500_000), None, "however long that one takes");
    }

    #[test]
    fn the_pauses_double_up_to_the_longest_and_are_drawn() {
        let mut run = Run::open();
        let mut now = 5050;
        for pause in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(run.admit(now), Some(Part::Probe));
            run.failed(Part::Probe, now, 0.5);
            assert_eq!(run.admit(now + pause / 2 - 1), None);
            now += pause / 2;
        }
        assert_eq!(run.admit(now), Some(Part::Probe));
        run.failed(Part::Probe, now, 0.0);
        assert_eq!(run.admit(now), Some(Part::Probe));
    }

    #[test]
    fn any_answer_closes_it_whoever_had_it() {
        let mut run = Run::open();
        assert_eq!(run.admit(6000), Some(Part::Probe));
        run.circuit.reached();
        assert_eq!(run.admit(6000), Some(Part::Common));
        run.failed(Part::Probe, 6001, 1.0);
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
        assert_eq!(run.admit(6000), Some(Part::Probe));
        run.circuit.given_up(Part::Common, run.at(6000));
        assert_eq!(run.admit(6000), None, "that was another");
        run.circuit.given_up(Part::Probe, run.at(6000));
        assert_eq!(run.admit(6000), Some(Part::Probe));
    }

    #[test]
    fn one_that_was_under_way_when_it_opened_changes_the_cause_only() {
        let mut run = Run::open();
        run.failed(Part::Common, 5020, 0.0);
        let outage = run.circuit.admit(run.at(5020)).unwrap_err();
        assert_eq!(outage.cause.to_string(), "refused at 5020");
        assert_eq!(run.circuit.position(), Position::Open);
    }

    #[test]
    fn who_insists_is_the_probe_unless_there_is_one() {
        let mut run = Run::open();
        assert_eq!(run.circuit.admit_always(), Part::Probe);
        assert_eq!(run.circuit.admit_always(), Part::Common);
        run.failed(Part::Common, 6000, 0.0);
        assert_eq!(run.admit(6000), None);
        run.failed(Part::Probe, 6000, 0.0);
        assert_eq!(run.admit(6000), Some(Part::Probe));
    }
}
