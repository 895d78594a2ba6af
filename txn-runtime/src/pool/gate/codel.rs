//! `CoDel` ("controlled delay"), as Elixir's `DBConnection` applies it to the callers of a pool.
//!
//! A queue that is long for a moment is not an overload. The queue is overloaded (`slow`) if nobody
//! was served within the target during a whole interval. From then on callers are refused once they
//! have waited for twice the target, until somebody is served within the target again. Callers that
//! are served have then waited for less than that, and no session is spent on a caller that has
//! long given up.
//!
//! Unlike in `DBConnection`, no dequeue loop walks the queue. Each waiting caller calls
//! [`check`](Codel::check) itself, at the time that its last [`Decision`] named.
//!
//! ```text
//!                 an interval ends, its shortest wait > target
//!   not slow ──────────────────────────────────────────────────► slow
//!       ▲                                                         │
//!       ├──── an interval ends, its shortest wait <= target ──────┤
//!       └──── nobody waited for a whole interval ─────────────────┘
//! ```
//!
//! An interval ends lazily, with the first event after its `end`.

use std::time::Duration;

use tokio::time::Instant;

/// The next step of a waiting caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Wait until then, and check again.
    WaitUntil(Instant),
    /// Stop waiting: the caller is refused after it has waited for this long.
    Shed { waited: Duration },
}

/// The longest target and interval. Longer ones would make no difference, and this can be added to
/// any `Instant` without overflow.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The state of one queue. It holds no waiters, only what their waits have shown.
#[derive(Debug)]
pub(super) struct Codel {
    /// The wait that is acceptable under load.
    target: Duration,
    /// How long every wait must exceed the target before callers are shed.
    interval: Duration,
    /// The shortest wait seen in the current interval.
    shortest: Duration,
    /// The previous interval had no wait within the target, so callers are shed in this one.
    slow: bool,
    /// The end of the current interval.
    end: Instant,
}

impl Codel {
    /// Creates a queue that is not slow, and whose first interval begins with its first event.
    pub(super) fn new(target: Duration, interval: Duration, now: Instant) -> Self {
        Self {
            target: target.min(LONGEST),
            interval: interval.min(LONGEST),
            shortest: Duration::ZERO,
            slow: false,
            end: now,
        }
    }

    /// Returns true if callers that have waited for twice the target are shed at `now`.
    pub(super) fn is_slow(&self, now: Instant) -> bool {
        if now < self.end {
            return self.slow;
        }
        // Waiting callers check at the end of every interval, so if none did, nobody is waiting.
        let quiet = self.end + self.interval.max(self.shed_after());
        now < quiet && self.shortest > self.target
    }

    /// Returns what `is_slow` was at the last event, for noticing a change.
    pub(super) fn was_slow(&self) -> bool {
        self.slow
    }

    /// A caller was served without having to wait.
    pub(super) fn served_at_once(&mut self) {
        self.shortest = Duration::ZERO;
    }

    /// A caller that had waited since `since` was served.
    pub(super) fn served(&mut self, since: Instant, now: Instant) {
        self.record_wait(now.saturating_duration_since(since), now);
    }

    /// Returns when a caller that began to wait at `since` has to check for the first time.
    pub(super) fn first_check(&self, since: Instant) -> Instant {
        since + self.shed_after()
    }

    /// A caller that has waited since `since` is still waiting: decides whether it goes on.
    pub(super) fn check(&mut self, since: Instant, now: Instant) -> Decision {
        let waited = now.saturating_duration_since(since);
        if waited < self.shed_after() {
            return Decision::WaitUntil(self.first_check(since));
        }
        self.record_wait(waited, now);
        match self.slow {
            true => Decision::Shed { waited },
            false => Decision::WaitUntil(self.end),
        }
    }

    /// Returns how long a caller may wait while the queue is slow. This is longer than the target,
    /// so that a short lull does not shed every caller at once.
    fn shed_after(&self) -> Duration {
        self.target * 2
    }

    /// Records a wait, and begins a new interval if the current one is over.
    fn record_wait(&mut self, waited: Duration, now: Instant) {
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

    /// A queue, and the moment from which the tests count milliseconds.
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

        /// A caller that came at `since` was served at `now`.
        fn served(&mut self, since: u64, now: u64) {
            self.codel.served(self.at(since), self.at(now));
        }

        /// Returns until when the caller is to wait, or `None` if it is shed.
        fn check(&mut self, since: u64, now: u64) -> Option<u64> {
            match self.codel.check(self.at(since), self.at(now)) {
                Decision::WaitUntil(until) => {
                    Some((until - self.zero).as_millis().try_into().unwrap())
                }
                Decision::Shed { .. } => None,
            }
        }

        fn is_slow(&self, now: u64) -> bool {
            self.codel.is_slow(self.at(now))
        }
    }

    #[test]
    fn nobody_is_refused_before_a_whole_interval_was_slow() {
        let mut run = Run::new();
        assert_eq!(run.check(0, 50), Some(100), "too early to check");
        assert_eq!(run.check(0, 100), Some(2100), "an interval begins");
        run.served(0, 1000);
        assert_eq!(run.check(1000, 1100), Some(2100));
        run.served(1500, 1560);
        assert!(!run.is_slow(2099));
        assert_eq!(run.check(1000, 2100), None);
        assert!(run.is_slow(2100));
    }

    #[test]
    fn one_who_was_served_in_time_makes_the_interval_a_good_one() {
        let mut run = Run::new();
        run.served(0, 60);
        run.served(900, 950);
        run.served(950, 1950);
        assert_eq!(run.check(1000, 2060), Some(4060));
        assert!(!run.is_slow(4059));
    }

    #[test]
    fn a_session_that_was_free_makes_the_interval_a_good_one() {
        let mut run = Run::new();
        run.served(0, 60);
        run.codel.served_at_once();
        assert_eq!(run.check(1000, 2060), Some(4060));
    }

    #[test]
    fn while_it_is_slow_new_callers_are_refused_after_twice_the_target() {
        let mut run = Run::new();
        run.served(0, 60);
        assert_eq!(run.check(1900, 2060), None);
        assert_eq!(run.codel.first_check(run.at(2100)), run.at(2200));
        assert_eq!(run.check(2100, 2199), Some(2200));
        assert_eq!(run.check(2100, 2200), None);
        assert_eq!(run.check(3900, 4060), None, "and in the next interval");
        assert_eq!(run.check(5900, 6060), None);
    }

    #[test]
    fn it_is_over_at_the_end_of_the_first_interval_with_a_short_wait() {
        let mut run = Run::new();
        run.served(0, 60);
        run.served(1900, 2060);
        assert!(run.is_slow(2060));
        run.served(2100, 2150);
        assert!(run.is_slow(4059), "this interval");
        assert!(!run.is_slow(4060), "also if nobody checks");
        assert_eq!(run.check(3900, 4060), Some(6060));
    }

    #[test]
    fn what_was_before_a_time_in_which_nobody_waited_is_forgotten() {
        for quiet in [4060, 1_000_000] {
            let mut run = Run::new();
            run.served(0, 60);
            assert_eq!(run.check(0, 2060), None);
            assert!(run.is_slow(2061));
            let now = 2060 + quiet;
            assert!(!run.is_slow(now));
            assert_eq!(run.check(now - 100, now), Some(now + 2000));
        }
    }

    #[test]
    fn nobody_served_at_all_is_slow_too() {
        let mut run = Run::new();
        assert_eq!(run.check(0, 100), Some(2100));
        assert_eq!(run.check(0, 2101), None);
    }

    #[test]
    fn a_target_longer_than_the_interval_is_no_quiet_time() {
        let zero = Instant::now();
        let at = |s| zero + Duration::from_secs(s);
        let mut codel = Codel::new(Duration::from_secs(5), Duration::from_secs(1), zero);
        codel.served(at(0), at(6));
        let decision = codel.check(at(0), at(10));
        assert!(matches!(decision, Decision::Shed { .. }), "{decision:?}");
    }
}
