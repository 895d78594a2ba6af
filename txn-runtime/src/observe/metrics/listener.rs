//! The metrics as a listener: the rows of a `Db`, and those of the scopes of each name.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use ::metrics::{Label, SharedString};

use super::by_name::{ByName, Name};
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
