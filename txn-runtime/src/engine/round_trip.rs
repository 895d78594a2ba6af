//! How long a server takes to answer, and the time limits that follow from that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The first pause of the backoff between two cancels. A cancel can overtake the query that it is
/// meant for, and is lost then (1 of 200 on PostgreSQL 15), so that it has to be repeated.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// The longest pause of that backoff, unless the round trip is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The bounds of the shortest time that a control statement is given, which is a tenth of the
/// `settle_timeout`: whoever has patience with a slow server has it there, too.
const LEAST: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];

/// The round trip to the server, as the last greetings and control statements have measured it. A
/// longer one counts at once, a shorter one gradually.
///
/// Any task may note a measurement. The number guards no other memory, so that its ordering is
/// relaxed.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    /// In µs; 0 is not measured yet.
    measured: AtomicU64,
    /// The shortest time that a control statement is given.
    least: Duration,
}

impl RoundTrip {
    /// A round trip that is not measured yet, of a pool with this `settle_timeout`.
    pub(crate) fn new(settle_timeout: Duration) -> Self {
        let [least, most] = LEAST;
        Self {
            measured: AtomicU64::new(0),
            least: (settle_timeout / 10).clamp(least, most),
        }
    }

    /// Notes a measurement.
    pub(crate) fn note(&self, round_trip: Duration) {
        let noted = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let next = |known: u64| Some(noted.max(known - known / 4));
        // `next` never returns `None`, so that the update cannot fail.
        let _ = self
            .measured
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// Returns what a round trip takes at the moment.
    fn estimate(&self) -> Duration {
        Duration::from_micros(self.measured.load(Ordering::Relaxed))
    }

    /// Returns how long a statement on the control connection with so many parts may take. It is
    /// answered in a round trip and a little for each part. Past the limit the control connection
    /// is given up, so that a dead one does not hold up every other cleanup, and the statement may
    /// be sent again on another.
    pub(crate) fn statement_limit(&self, parts: u32) -> Duration {
        let trips = self.estimate().saturating_mul(6);
        let trips = trips.clamp(self.least, self.least.max(Duration::from_secs(2)));
        trips + Duration::from_millis(20) * parts.min(100)
    }

    /// Returns how long connecting may take. With encryption and a password it takes some eight
    /// round trips.
    pub(crate) fn connect_limit(&self) -> Duration {
        let trips = self.estimate().saturating_mul(16);
        let least = self.least * 2;
        trips.clamp(least, least.max(Duration::from_secs(5)))
    }

    /// The backoff between two cancels of the same operation.
    pub(crate) fn pauses(&self) -> Pauses {
        let round_trip = self.estimate();
        Pauses {
            // The cancelled query is answered at the same time as the cancel itself, unless the
            // cancel was lost. So there is no need to wait for a whole round trip.
            next: FIRST_PAUSE + round_trip / 4,
            longest: LONGEST_PAUSE.max(round_trip.min(Duration::from_secs(1))),
        }
    }
}

/// The backoff between one cancel and the next: each pause is twice the one before, up to the
/// longest.
pub(crate) struct Pauses {
    /// The next pause.
    next: Duration,
    /// The pause at which the doubling stops.
    longest: Duration,
}

impl Pauses {
    /// The pause before the next cancel.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(ms: &[u64]) -> RoundTrip {
        let round_trip = RoundTrip::new(Duration::from_secs(5));
        for ms in ms {
            round_trip.note(Duration::from_millis(*ms));
        }
        round_trip
    }

    #[test]
    fn limits_follow_the_round_trip_between_bounds() {
        let limits = |ms| {
            let round_trip = round_trip(ms);
            [round_trip.connect_limit(), round_trip.statement_limit(0)]
                .map(|limit| limit.as_millis())
        };
        assert_eq!(limits(&[]), [1000, 500]);
        assert_eq!(limits(&[1]), [1000, 500]);
        assert_eq!(limits(&[100]), [1600, 600]);
        assert_eq!(limits(&[250]), [4000, 1500]);
        assert_eq!(limits(&[60_000]), [5000, 2000]);
    }

    #[test]
    fn a_statement_of_many_parts_has_more_time_up_to_a_bound() {
        let limit = |parts| round_trip(&[]).statement_limit(parts).as_millis();
        assert_eq!([0, 1, 10].map(limit), [500, 520, 700]);
        assert_eq!([100, 101, u32::MAX].map(limit), [2500, 2500, 2500]);
    }

    #[test]
    fn the_least_time_follows_the_settle_timeout_between_bounds() {
        let limits = |settle| {
            let round_trip = RoundTrip::new(Duration::from_millis(settle));
            [round_trip.connect_limit(), round_trip.statement_limit(0)]
                .map(|limit| limit.as_millis())
        };
        assert_eq!(limits(100), [1000, 500]);
        assert_eq!(limits(40_000), [8000, 4000]);
        assert_eq!(limits(u64::MAX), [20_000, 10_000]);
    }

    #[test]
    fn a_slower_answer_counts_at_once_and_a_faster_one_bit_by_bit() {
        assert_eq!(round_trip(&[10, 80]).estimate(), Duration::from_millis(80));
        assert_eq!(round_trip(&[80, 10]).estimate(), Duration::from_millis(60));
        assert_eq!(round_trip(&[80, 70]).estimate(), Duration::from_millis(70));
    }

    #[test]
    fn pauses_grow_with_the_round_trip_and_with_their_number() {
        let first = |ms| {
            let mut pauses = round_trip(ms).pauses();
            [(); 7].map(|()| pauses.next().as_millis())
        };
        assert_eq!(first(&[]), [4, 8, 16, 32, 64, 100, 100]);
        assert_eq!(first(&[400]), [104, 208, 400, 400, 400, 400, 400]);
    }
}
