//! Running a root scope again after a conflict: the policy, and the attempts at one scope.

use std::fmt;
use std::time::{Duration, Instant};

/// How often a root scope is run before its failure stands, and how long it pauses in between.
///
/// The backoff before attempt `n + 1` is drawn evenly from zero to `base_delay · 2ⁿ⁻¹`, at most
/// `max_delay` (full jitter), so that transactions which collided do not collide again.
///
/// The scope is run again after a conflict (or a lost connection) that still stands in the
/// transaction, whatever the body made of it. A conflict that was undone with a nested scope is a
/// reason only if the body returns an error that says so. Any other error of the body is final.
///
/// A function asks for this with `retry`, and for other figures with `retry = 3` or
/// `retry(max_attempts = 3, base_delay = "20ms", max_delay = "1s")`. The figures of a plain `retry`
/// are set by [`DbBuilder::retry`](crate::DbBuilder::retry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The number of attempts, the first one included.
    max_attempts: u32,
    /// The longest pause after the first attempt.
    base_delay: Duration,
    /// The limit of all pauses.
    max_delay: Duration,
}

impl Retry {
    /// 5 attempts, with pauses of at most 5 ms, 10 ms, 20 ms and 40 ms.
    pub const DEFAULT: Self = Self {
        max_attempts: 5,
        base_delay: Duration::from_millis(5),
        max_delay: Duration::from_secs(1),
    };

    /// Sets how often the scope is run, the first time included.
    #[must_use]
    pub const fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// The longest first pause.
    #[must_use]
    pub const fn base_delay(mut self, base_delay: Duration) -> Self {
        self.base_delay = base_delay;
        self
    }

    /// The longest pause of all.
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// The longest pause after a number of attempts; `None` if there is to be no other.
    fn longest_pause(&self, attempts: u32) -> Option<Duration> {
        let doublings = attempts.saturating_sub(1).min(31);
        let pause = self.base_delay.saturating_mul(1 << doublings);
        (attempts < self.max_attempts).then(|| pause.min(self.max_delay))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The retry policy that an annotation asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// The annotation says nothing: one attempt.
    Never,
    /// A plain `retry`: the policy of the `Db`.
    ByDefault,
    /// A `retry` with figures of its own.
    With(Retry),
}

/// The attempts at one scope. Each attempt gets a copy; the loop that runs the scope counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    /// The policy, and when the first attempt began; `None` if there is to be no second one.
    policy: Option<(Retry, Instant)>,
    /// Which attempt this is, from 1.
    count: u32,
}

impl Attempts {
    /// One attempt, and no other.
    pub(crate) const ONE: Self = Self {
        policy: None,
        count: 1,
    };

    /// The first attempt at a scope; `default` is the policy of the `Db`.
    pub(crate) fn new(asked: Asked, default: Retry) -> Self {
        let policy = match asked {
            Asked::Never => return Self::ONE,
            Asked::ByDefault => default,
            Asked::With(policy) => policy,
        };
        Self {
            policy: Some((policy, Instant::now())),
            count: 1,
        }
    }

    /// Which attempt this is, from 1.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Sleeps for the backoff and counts the next attempt; false if there is to be no other.
    /// Dropped while it sleeps, nothing is counted.
    pub(crate) async fn next(&mut self) -> bool {
        let longest = self
            .policy
            .and_then(|(policy, _)| policy.longest_pause(self.count));
        let Some(longest) = longest else {
            return false;
        };
        tokio::time::sleep(longest.mul_f64(fastrand::f64())).await;
        self.count += 1;
        true
    }

    /// Returns what the error of the last attempt says; `None` if there was one attempt only.
    pub(crate) fn tried(&self) -> Option<Tried> {
        let (_, begun) = self.policy.filter(|_| self.count > 1)?;
        Some(Tried {
            attempts: self.count,
            elapsed: begun.elapsed(),
        })
    }
}

/// How often a scope was run before its failure became final, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// The number of attempts, the last one included.
    attempts: u32,
    /// The time since the first attempt began, pauses included.
    elapsed: Duration,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, elapsed } = self;
        write!(f, "after {attempts} attempts in {elapsed:?}, ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let ms = Duration::from_millis;
        let policy = Retry::DEFAULT.max_attempts(6).max_delay(ms(30));
        let pauses: Vec<_> = (1..8)
            .map(|attempts| policy.longest_pause(attempts))
            .collect();
        let expected = [5, 10, 20, 30, 30].map(|pause| Some(ms(pause)));
        assert_eq!(pauses[..5], expected);
        assert_eq!(pauses[5..], [None, None]);
        let endless = Retry::DEFAULT.max_attempts(u32::MAX);
        assert_eq!(
            endless.longest_pause(u32::MAX - 1),
            Some(Duration::from_secs(1))
        );
    }
}
