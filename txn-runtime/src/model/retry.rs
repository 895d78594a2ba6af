//! Running a root scope again after a conflict.

use std::fmt;
use std::time::{Duration, Instant};

/// How often a root scope is run before its failure stands, and how long it pauses in between.
///
/// The pause before attempt `n + 1` is drawn evenly from nothing to `base_delay · 2ⁿ⁻¹`, at most `max_delay` (full jitter), so that
/// transactions that have met do not meet again.
///
/// The reason to run it again is a conflict (or a lost connection) that is still in the transaction, whatever the body made of it. One that was
/// undone with a nested scope is a reason only if the body returns an error that says so: its own, of any other kind, is final.
///
/// A function asks for it with `retry`, and for other figures with `retry = 3` or `retry(max_attempts = 3, base_delay = "20ms", max_delay =
/// "1s")`. What a `retry` without figures stands for is set by [`DbBuilder::retry`](crate::DbBuilder::retry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    max_attempts: u32,
    base_delay: Duration,
    max_delay: Duration,
}

impl Retry {
    /// 5 attempts, with pauses of at most 5 ms, 10 ms, 20 ms and 40 ms.
    pub const DEFAULT: Self = Self {
        max_attempts: 5,
        base_delay: Duration::from_millis(5),
        max_delay: Duration::from_secs(1),
    };

    /// How often the scope is run, the first time included.
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

    /// The longest pause after a number of attempts; `None` when there were enough.
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

/// Whether an annotation asks for further attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Never,
    /// As the `Db` has it.
    ByDefault,
    With(Retry),
}

/// The attempts at one scope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    /// With the moment of the first; `None` where there is to be no other.
    policy: Option<(Retry, Instant)>,
    count: u32,
}

impl Attempts {
    /// There is to be one.
    pub(crate) const ONE: Self = Self {
        policy: None,
        count: 1,
    };

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

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Begins the next attempt after a pause; false if there were enough.
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

    /// For the error that stands; `None` where it was never tried again.
    pub(crate) fn tried(&self) -> Option<Tried> {
        let (_, begun) = self.policy.filter(|_| self.count > 1)?;
        Some(Tried {
            attempts: self.count,
            elapsed: begun.elapsed(),
        })
    }
}

/// What was spent before a failure stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    attempts: u32,
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
