//! What is remembered only for the sake of the metrics.

#[cfg(feature = "metrics")]
use std::time::Instant;

/// Something that only the metrics need: of no size, and never made, without the feature `metrics`.
///
/// Whoever keeps it is written once. What it does with it is a closure, which is not called where
/// nothing is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<T> {
    #[cfg(feature = "metrics")]
    it: T,
    #[cfg(not(feature = "metrics"))]
    it: std::marker::PhantomData<T>,
}

impl<T> Kept<T> {
    #[cfg(feature = "metrics")]
    #[inline(always)]
    pub(crate) fn new(make: impl FnOnce() -> T) -> Self {
        Self { it: make() }
    }

    #[cfg(not(feature = "metrics"))]
    #[inline(always)]
    pub(crate) fn new(_: impl FnOnce() -> T) -> Self {
        Self {
            it: std::marker::PhantomData,
        }
    }

    #[cfg(feature = "metrics")]
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(act(&mut self.it))
    }

    #[cfg(not(feature = "metrics"))]
    #[inline(always)]
    pub(crate) fn with<R>(&mut self, _: impl FnOnce(&mut T) -> R) -> Option<R> {
        None
    }

    #[cfg(feature = "metrics")]
    #[inline(always)]
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        Some(look(&self.it))
    }

    #[cfg(not(feature = "metrics"))]
    #[inline(always)]
    pub(crate) fn look<R>(&self, _: impl FnOnce(&T) -> R) -> Option<R> {
        None
    }
}

/// A point in time. To look at the clock is the dearest part of all metrics: what ends one span of
/// time begins the next.
pub(crate) type Timestamp = Kept<std::time::Instant>;

impl Timestamp {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        Self::new(std::time::Instant::now)
    }
}

#[cfg(feature = "metrics")]
impl Timestamp {
    pub(crate) fn instant(self) -> Instant {
        self.it
    }
}
