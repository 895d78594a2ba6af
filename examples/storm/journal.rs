//! All records of a run, and the counts that are shown while it lasts.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::record::{Outcome, Record};

pub(crate) struct Journal {
    pub(crate) begun: Instant,
    next: AtomicI64,
    records: Mutex<Vec<Arc<Record>>>,
    counts: [AtomicU64; 5],
}

pub(crate) const COUNTED: [&str; 5] = ["ok", "failed", "unknown", "dropped", "panicked"];

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            next: AtomicI64::new(1),
            records: Mutex::default(),
            counts: [const { AtomicU64::new(0) }; 5],
        }
    }

    /// The id of the next scope.
    pub(crate) fn next(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn add(&self, record: Arc<Record>) {
        let counter = match record.outcome() {
            Outcome::Ok(_) => 0,
            Outcome::Err(_) => 1,
            Outcome::Unknown => 2,
            Outcome::Dropped => 3,
            Outcome::Panicked | Outcome::Broken(_) => 4,
        };
        self.counts[counter].fetch_add(1, Ordering::Relaxed);
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record);
    }

    pub(crate) fn counts(&self) -> [u64; 5] {
        self.counts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn take(&self) -> Vec<Arc<Record>> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *records)
    }
}
