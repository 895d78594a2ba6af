//! How long a server takes to answer, and what is waited for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A cancel can overtake the query it is meant for, and is lost then (1 of 200 on PostgreSQL 15):
/// it is repeated, ever more slowly.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The round trip to the server, in µs, as the last greetings and control statements have measured
/// it: a longer one counts at once, a shorter one bit by bit.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip(AtomicU64);

impl RoundTrip {
    pub(crate) fn note(&self, round_trip: Duration) {
        let noted = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let next = |known: u64| Some(noted.max(known - known / 4));
        // It never refuses.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn estimate(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// A control statement is answered in a round trip and a little; past this its connection is
    /// given up, so that one that is dead does not hold up every other cleanup. What it asked for
    /// may be asked for again.
    /// Each of its parts is some work for the server.
    pub(crate) fn statement_limit(&self, parts: u32) -> Duration {
        let trips = self.estimate().saturating_mul(6);
        let trips = trips.clamp(Duration::from_millis(500), Duration::from_secs(2));
        trips + Duration::from_millis(20) * parts.min(100)
    }

    /// To connect, with encryption and a password, takes some eight round trips.
    pub(crate) fn connect_limit(&self) -> Duration {
        let trips = self.estimate().saturating_mul(16);
        trips.clamp(Duration::from_secs(1), Duration::from_secs(5))
    }

    pub(crate) fn pauses(&self) -> Pauses {
        let round_trip = self.estimate();
        Pauses {
            // The answer to what was cancelled comes along with the one to the cancel, or it was
            // lost.
            next: FIRST_PAUSE + round_trip / 4,
            longest: LONGEST_PAUSE.max(round_trip.min(Duration::from_secs(1))),
        }
    }
}

/// What is waited between one cancel and the next.
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
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
        let round_trip = RoundTrip::default();
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
        let limit = |parts| RoundTrip::default().statement_limit(parts).as_millis();
        assert_eq!([0, 1, 10].map(limit), [500, 520, 700]);
        assert_eq!([100, 101, u32::MAX].map(limit), [2500, 2500, 2500]);
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
