//! What a row of the table moves: the handles of the crate `metrics`, and sets of them.

use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use ::metrics::{Counter, Gauge, Histogram, Label};

use crate::model::labels::{Labels, Listed, ScopeKind, ScopeOutcome, ScopePhase};

/// How the conventions of OpenTelemetry call what is counted and measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Under which name and with which labels a handle is registered.
#[derive(Clone)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// The labels that it shares with others.
    pub(super) labels: Arc<[Label]>,
    /// The keys of those in which the handles of this row differ.
    pub(super) keys: &'static [&'static str],
}

impl Series {
    fn with(&self, which: impl Labels) -> Vec<Label> {
        let own = self.keys.iter().zip(which.words());
        let own = own.map(|(key, word)| Label::from_static_parts(key, word));
        self.labels.iter().cloned().chain(own).collect()
    }
}

/// What can be a row.
pub(super) trait Handle {
    const KIND: Kind;

    fn register(series: Series) -> Self;
}

/// What is registered as one series.
pub(super) trait Single: Handle {
    fn labelled(name: &'static str, labels: Vec<Label>) -> Self;
}

macro_rules! singles {
    ($($handle:ident from $register:ident,)+) => { $(
        impl Handle for $handle {
            const KIND: Kind = Kind::$handle;

            fn register(series: Series) -> Self {
                Self::labelled(series.name, series.labels.to_vec())
            }
        }

        impl Single for $handle {
            fn labelled(name: &'static str, labels: Vec<Label>) -> Self {
                ::metrics::$register!(name, labels)
            }
        }
    )+ };
}

singles! {
    Counter from counter,
    Gauge from gauge,
    Histogram from histogram,
}

/// One handle for each value of a label, registered with the `Db`.
pub(super) struct Each<H, L: Labels>(L::Table<H>);

impl<H: Single, L: Listed> Handle for Each<H, L> {
    const KIND: Kind = H::KIND;

    fn register(series: Series) -> Self {
        let labels = L::VALUES.iter().map(|which| series.with(*which));
        let mut handles = labels.map(|labels| H::labelled(series.name, labels));
        Self(L::table(|| {
            handles.next().expect("as many as there are values")
        }))
    }
}

impl<H, L: Labels> Each<H, L> {
    pub(super) fn at(&self, which: L) -> &H {
        &self.0.as_ref()[which.index()]
    }
}

/// One handle for each value of a label, registered when it is first needed: what never happens has
/// no series.
pub(super) struct Family<H, L: Labels> {
    handles: L::Table<OnceLock<H>>,
    series: Series,
}

impl<H: Single, L: Labels> Handle for Family<H, L> {
    const KIND: Kind = H::KIND;

    fn register(series: Series) -> Self {
        Self {
            handles: L::table(OnceLock::new),
            series,
        }
    }
}

impl<H: Single, L: Labels> Family<H, L> {
    pub(super) fn at(&self, which: L) -> &H {
        let handle = &self.handles.as_ref()[which.index()];
        handle.get_or_init(|| self.first(which))
    }

    #[cold]
    #[inline(never)]
    fn first(&self, which: L) -> H {
        H::labelled(self.series.name, self.series.with(which))
    }
}

/// A gauge that several `Db` may share: it takes back what it has added when its own is gone.
pub(super) struct Share {
    gauge: Gauge,
    added: AtomicIsize,
}

impl Handle for Share {
    const KIND: Kind = Kind::Gauge;

    fn register(series: Series) -> Self {
        Self {
            gauge: Gauge::register(series),
            added: AtomicIsize::new(0),
        }
    }
}

impl Share {
    /// Whoever adds the opposite must have seen this.
    pub(super) fn add(&self, amount: isize) {
        self.gauge.increment(amount as f64);
        self.added.fetch_add(amount, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.decrement(*self.added.get_mut() as f64);
    }
}

/// Used sessions, as a share of the most that there may be.
pub(super) struct Utilization {
    gauge: Gauge,
    used: AtomicUsize,
    max: AtomicUsize,
}

impl Handle for Utilization {
    const KIND: Kind = Kind::Gauge;

    fn register(series: Series) -> Self {
        Self {
            gauge: Gauge::register(series),
            used: AtomicUsize::new(0),
            max: AtomicUsize::new(0),
        }
    }
}

impl Utilization {
    pub(super) fn of(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub(super) fn taken(&self) {
        self.used.fetch_add(1, Ordering::SeqCst);
        self.show();
    }

    pub(super) fn released(&self) {
        self.used.fetch_sub(1, Ordering::SeqCst);
        self.show();
    }

    /// A share cannot be counted up and down without a rest. Whoever sets it last has seen that it
    /// is still so.
    #[allow(clippy::cast_precision_loss, reason = "there are not 2⁵³ sessions")]
    fn show(&self) {
        let max = self.max.load(Ordering::Relaxed);
        let mut used = self.used.load(Ordering::SeqCst);
        loop {
            self.gauge.set(used as f64 / max as f64);
            let now = self.used.load(Ordering::SeqCst);
            if now == used {
                return;
            }
            used = now;
        }
    }
}

const OUTCOMES: usize = ScopeOutcome::ALL.len();
const PHASES: usize = ScopePhase::ALL.len();

/// All that share a table are of one kind.
#[derive(Clone, Copy)]
pub(super) struct ScopeEnd {
    pub(super) kind: ScopeKind,
    pub(super) how: ScopeOutcome,
    pub(super) phase: ScopePhase,
}

impl Labels for ScopeEnd {
    type Table<T> = [T; OUTCOMES * PHASES];

    fn table<T>(mut make: impl FnMut() -> T) -> Self::Table<T> {
        std::array::from_fn(|_| make())
    }

    fn index(self) -> usize {
        self.how as usize * PHASES + self.phase as usize
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.kind.as_str(), self.how.as_str(), self.phase.as_str()]
    }
}
