//! `CoDel` ("controlled delay"), as Elixir's `DBConnection` applies it to the callers of a pool.
//!
//! A queue that is long for a moment is no overload. It is one if for a whole interval nobody was served within the target. From then
//! on callers are refused when they have waited for twice the target, until one is served within the target again.
//! Those who are served have then waited for less than that, and sessions are not spent on callers who have long given up.
//!
//! Unlike there, nobody walks the queue: each caller that waits asks by itself, when there may be an answer.

use std::time::Duration;

use tokio::time::Instant;

/// What a caller that waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Until then, and to ask again.
    Wait(Instant),
    /// To no purpose.
    Leave { waited: Duration },
}

/// Longer ones are as good, and this can be added to any moment.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Codel {
    target: Duration,
    interval: Duration,
    /// The shortest wait in this interval.
    shortest: Duration,
    /// The last interval had none within the target.
    slow: bool,
    /// The end of this interval.
    end: Instant,
}

impl Codel {
    pub(super) fn new(target: Duration, interval: Duration, now: Instant) -> Self {
        Self {
            target: target.min(LONGEST),
            interval: interval.min(LONGEST),
            shortest: Duration::ZERO,
            slow: false,
            end: now,
        }
    }

    /// Whether those who have waited for long are refused.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        if now < self.end {
            return self.slow;
        }
        // Who waits asks at the end of every interval; where nobody did, nobody waited.
        let quiet = self.end + self.interval.max(self.patience());
        now < quiet && self.shortest > self.target
    }

    /// Whether they were when it was last told of anything.
    pub(super) fn was_slow(&self) -> bool {
        self.slow
    }

    /// Somebody was served who did not have to wait.
    pub(super) fn is_free(&mut self) {
        self.shortest = Duration::ZERO;
    }

    /// Somebody was served.
    pub(super) fn served(&mut self, since: Instant, now: Instant) {
        self.note(now.saturating_duration_since(since), now);
    }

    /// When somebody who begins to wait may ask.
    pub(super) fn first_question(&self, since: Instant) -> Instant {
        since + self.patience()
    }

    /// Asked by somebody who waits still.
    pub(super) fn ask(&mut self, since: Instant, now: Instant) -> Answer {
        let waited = now.saturating_duration_since(since);
        if waited < self.patience() {
            return Answer::Wait(self.first_question(since));
        }
        self.note(waited, now);
        match self.slow {
            true => Answer::Leave { waited },
            false => Answer::Wait(self.end),
        }
    }

    /// Longer than the target, so that in a moment of rest not everybody is refused.
    fn patience(&self) -> Duration {
        self.target * 2
    }

    fn note(&mut self, waited: Duration, now: Instant) {
        if now < self.end {
            self.shortest = self.shortest.min(waited);
            return;
        }
        self.slow = self.is_slow(now);
        self.shortest = waited;
        self.end = now + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);
    const INTERVAL: Duration = Duration::from_secs(2);

    /// A queue, and the moment that its time is counted from.
    struct Run {
        codel: Codel,
        zero: Instant,
    }

    impl Run {
        fn new() -> Self {
            let zero = Instant::now();
            let codel = Codel::new(TARGET, INTERVAL, zero);
            Self { codel, zero }
        }

        fn at(&self, ms: u64) -> Instant {
            self.zero + Duration::from_millis(ms)
        }

        /// Served at `now`, having come at `since`.
        fn served(&mut self, since: u64, now: u64) {
            self.codel.served(self.at(since), self.at(now));
        }

        /// Until when to wait; `None` if refused.
        fn ask(&mut self, since: u64, now: u64) -> Option<u64> {
            match self.codel.ask(self.at(since), self.at(now)) {
                Answer::Wait(until) => Some((until - self.zero).as_millis().try_into().unwrap()),
                Answer::Leave { .. } => None,
            }
        }

        fn is_slow(&self, now: u64) -> bool {
            self.codel.is_slow(self.at(now))
        }
    }

    #[test]
    fn nobody_is_refused_before_a_whole_interval_was_slow() {
        let mut run = Run::new();
        assert_eq!(run.ask(0, 50), Some(100), "too early to ask");
        assert_eq!(run.ask(0, 100), Some(2100), "an interval begins");
        run.served(0, 1000);
        assert_eq!(run.ask(1000, 1100), Some(2100));
        run.served(1500, 1560);
        assert!(!run.is_slow(2099));
        assert_eq!(run.ask(1000, 2100), None);
        assert!(run.is_slow(2100));
    }

    #[test]
    fn one_who_was_served_in_time_makes_the_interval_a_good_one() {
        let mut run = Run::new();
        run.served(0, 60);
        run.served(900, 950);
        run.served(950, 1950);
        assert_eq!(run.ask(1000, 2060), Some(4060));
        assert!(!run.is_slow(4059));
    }

    #[test]
    fn a_session_that_was_free_makes_the_interval_a_good_one() {
        let mut run = Run::new();
        run.served(0, 60);
        run.codel.is_free();
        assert_eq!(run.ask(1000, 2060), Some(4060));
    }

    #[test]
    fn while_it_is_slow_new_callers_are_refused_after_twice_the_target() {
        let mut run = Run::new();
        run.served(0, 60);
        assert_eq!(run.ask(1900, 2060), None);
        assert_eq!(run.codel.first_question(run.at(2100)), run.at(2200));
        assert_eq!(run.ask(2100, 2199), Some(2200));
        assert_eq!(run.ask(2100, 2200), None);
        assert_eq!(run.ask(3900, 4060), None, "and in the next interval");
        assert_eq!(run.ask(5900, 6060), None);
    }

    #[test]
    fn it_is_over_at_the_end_of_the_first_interval_with_a_short_wait() {
        let mut run = Run::new();
        run.served(0, 60);
        run.served(1900, 2060);
        assert!(run.is_slow(2060));
        run.served(2100, 2150);
        assert!(run.is_slow(4059), "this interval");
        assert!(!run.is_slow(4060), "also if nobody asks");
        assert_eq!(run.ask(3900, 4060), Some(6060));
    }

    #[test]
    fn what_was_before_a_time_in_which_nobody_waited_is_forgotten() {
        for quiet in [4060, 1_000_000] {
            let mut run = Run::new();
            run.served(0, 60);
            assert_eq!(run.ask(0, 2060), None);
            assert!(run.is_slow(2061));
            let now = 2060 + quiet;
            assert!(!run.is_slow(now));
            assert_eq!(run.ask(now - 100, now), Some(now + 2000));
        }
    }

    #[test]
    fn nobody_served_at_all_is_slow_too() {
        let mut run = Run::new();
        assert_eq!(run.ask(0, 100), Some(2100));
        assert_eq!(run.ask(0, 2101), None);
    }

    #[test]
    fn a_target_longer_than_the_interval_is_no_quiet_time() {
        let zero = Instant::now();
        let at = |s| zero + Duration::from_secs(s);
        let mut codel = Codel::new(Duration::from_secs(5), Duration::from_secs(1), zero);
        codel.served(at(0), at(6));
        let answer = codel.ask(at(0), at(10));
        assert!(matches!(answer, Answer::Leave { .. }), "{answer:?}");
    }
}
