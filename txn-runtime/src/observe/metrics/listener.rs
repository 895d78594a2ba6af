//! The metrics as a listener: the rows of a `Db`, and those of the scopes of each name.
//!
//! The names of scopes are constants. Where one is in memory says which it is, and is quicker to
//! hash than its text.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use ::metrics::{Label, SharedString};

use super::declare::Row;
use super::table::{PoolMetrics, ScopeMetrics};
use crate::model::labels::ScopeKind;
use crate::observe::events::Event;

/// The metrics of one `Db`, made with it.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

struct Inner {
    labels: Arc<[Label]>,
    pool: PoolMetrics,
    /// By the name in the annotation.
    scopes: RwLock<ByName<Box<ScopeMetrics>>>,
}

impl Metrics {
    pub(crate) fn new(pool: String, system: &'static str) -> Self {
        let rows = PoolMetrics::ROWS.iter().chain(ScopeMetrics::ROWS);
        rows.for_each(Row::describe);
        let pool = SharedString::from_shared(pool.into());
        let labels = Arc::from([
            Label::new("db.client.connection.pool.name", pool),
            Label::from_static_parts("db.system.name", system),
        ]);
        Self(Arc::new(Inner {
            pool: PoolMetrics::new(&labels),
            scopes: RwLock::default(),
            labels,
        }))
    }

    /// Inlined along with the rows: only those are left that the event moves.
    #[inline(always)]
    pub(crate) fn hear(&self, event: Event) {
        self.0.pool.hear(event);
        if let Event::ScopeRetried { name, kind } | Event::ScopeEnded { name, kind, .. } = event {
            self.0.scope(name, kind, event);
        }
    }
}

impl Inner {
    /// Names that are known are only read: nothing is allocated, and nobody is held up.
    #[inline(always)]
    fn scope(&self, name: &'static str, kind: ScopeKind, event: Event) {
        let key = Name::new(name, kind);
        loop {
            let known = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(scope) = known.get(&key) {
                return scope.hear(event);
            }
            drop(known);
            self.add(key, name);
        }
    }

    #[cold]
    fn add(&self, key: Name, name: &'static str) {
        let own = Label::from_static_parts(ScopeMetrics::KEY, name);
        let labels: Vec<_> = self.labels.iter().cloned().chain([own]).collect();
        let scope = Box::new(ScopeMetrics::new(&labels.into()));
        let mut known = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(key).or_insert(scope);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

type ByName<T> = HashMap<Name, T, BuildHasherDefault<Mixed>>;

/// One name may be in several places; then it has several entries, of equal content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Name {
    at: usize,
    length: usize,
    kind: ScopeKind,
}

impl Name {
    fn new(name: &'static str, kind: ScopeKind) -> Self {
        Self {
            at: name.as_ptr().addr(),
            length: name.len(),
            kind,
        }
    }
}

/// Addresses are no attacker's choice: to mix their bits is enough.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        /// An odd number without pattern, from the golden ratio.
        const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(SCATTER);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_place_length_and_kind() {
        let names = "bank.transfer";
        let mut table = ByName::default();
        for length in 0..=names.len() {
            table.insert(Name::new(&names[..length], ScopeKind::Root), length);
        }
        for length in 0..=names.len() {
            assert_eq!(
                table.get(&Name::new(&names[..length], ScopeKind::Root)),
                Some(&length)
            );
            assert!(!table.contains_key(&Name::new(&names[..length], ScopeKind::Nested)));
        }
    }
}
