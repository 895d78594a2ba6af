//! The handles of one `Db`, made with it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant as StdInstant};

use ::metrics::{Counter, Gauge, Histogram, Label, SharedString};
use tokio::time::Instant;

use super::by_name::{ByName, Name};
use super::describe as name;
use super::family::{Family, handle};
use super::scopes::{Scopes, Timer};
use super::sessions::{Opening, Sessions};
use crate::engine::{ConnectOptionsOf, Engine};
use crate::model::error::Error;
use crate::model::labels::{
    HookKind, RejectionLabel, RollbackCause, ScopeKind, ScopeOutcome, SettleOutcome,
};

/// What the user calls the pool, if anything.
pub(crate) type PoolName = Option<String>;

#[derive(Clone)]
pub(crate) struct Meter(pub(super) Arc<Handles>);

pub(super) struct Handles {
    pub(super) labels: Vec<Label>,
    pub(super) sessions: Sessions,
    max: Gauge,
    waiting: Gauge,
    timeouts: Counter,
    refused: Family<Counter, { RejectionLabel::ALL.len() }>,
    breaker: Gauge,
    is_open: AtomicIsize,
    wait_time: Histogram,
    begin_time: Histogram,
    commit_time: Histogram,
    settling: Gauge,
    settle_time: Family<Histogram, { SettleOutcome::ALL.len() }>,
    finished: Family<Counter, { ScopeOutcome::ALL.len() }>,
    hooks: Family<Counter, { HookKind::ALL.len() }>,
    rollbacks: Arc<Rollbacks>,
    /// By the name in the annotation.
    scopes: RwLock<ByName<Arc<Scopes>>>,
    max_sessions: usize,
}

/// Labels, and one more.
pub(super) fn with(labels: &[Label], key: &'static str, value: &'static str) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.push(Label::from_static_parts(key, value));
    labels
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

impl Meter {
    pub(crate) fn new<DB: Engine>(
        name: PoolName,
        options: &ConnectOptionsOf<DB>,
        max_sessions: usize,
    ) -> Self {
        name::describe();
        let pool = name.unwrap_or_else(|| DB::address(options));
        let pool = SharedString::from_shared(pool.into());
        let labels = vec![
            Label::new("db.client.connection.pool.name", pool),
            Label::from_static_parts("db.system.name", DB::SYSTEM),
        ];
        let handles = Handles::new(labels, max_sessions);
        handles.max.increment(max_sessions as f64);
        Self(Arc::new(handles))
    }

    /// Counts a caller for as long as it has to wait.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        Waiting::new(&self.0)
    }

    /// What a caller has got that might wait for so long, until then.
    pub(crate) fn waited(&self, limit: Duration, until: Instant, got: Result<Timestamp, &Error>) {
        match got {
            Ok(taken) => {
                let asked = until.into_std() - limit;
                let waited = taken.0.saturating_duration_since(asked);
                self.0.wait_time.record(waited);
            }
            Err(error) if error.is_acquire_timeout() => self.0.timeouts.increment(1),
            Err(error) if error.is_overloaded() => self.rejected(RejectionLabel::Overloaded),
            Err(error) if error.is_unavailable() => self.rejected(RejectionLabel::Unavailable),
            Err(_) => {}
        }
    }

    pub(crate) fn opening(&self) -> Opening {
        Opening {
            meter: self.clone(),
            since: StdInstant::now(),
        }
    }

    fn rejected(&self, why: RejectionLabel) {
        let labels = || with(&self.0.labels, "txn.reason", why.as_str());
        let refused = self.0.refused.at(why as usize, name::REJECTED, labels);
        refused.increment(1);
    }

    /// Told in turn: whoever tells the other has seen the one.
    pub(crate) fn breaker_opened(&self) {
        self.0.breaker.increment(1);
        self.0.is_open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn breaker_closed(&self) {
        self.0.breaker.decrement(1);
        self.0.is_open.fetch_sub(1, Ordering::Relaxed);
    }

    /// One that waited got no session within its own time.
    pub(crate) fn waited_in_vain(&self) {
        self.0.timeouts.increment(1);
    }

    /// A scope is asked for.
    pub(crate) fn scope(&self, name: &'static str, kind: ScopeKind, retries: bool) -> Timer {
        Timer::start(self.0.scopes(name, kind), retries)
    }

    pub(crate) fn begun(&self, sent: Timestamp) {
        self.0.begin_time.record(sent.0.elapsed());
    }

    pub(crate) fn committed(&self, sent: Timestamp, answered: Timestamp) {
        self.0.commit_time.record(answered.0 - sent.0);
    }

    pub(crate) fn rolled_back(&self, why: RollbackCause) {
        self.0.rollbacks.count(why);
    }

    /// The commit of a scope whose caller was dropped meanwhile has come to an end.
    pub(crate) fn finished_after_drop(&self, how: ScopeOutcome) {
        let labels = || with(&self.0.labels, "txn.outcome", how.as_str());
        let finished = self.0.finished.at(how as usize, name::FINISHED, labels);
        finished.increment(1);
    }

    pub(crate) fn hook_failed(&self, which: HookKind) {
        let labels = || with(&self.0.labels, "txn.hook", which.as_str());
        let failed = self.0.hooks.at(which as usize, name::HOOKS_FAILED, labels);
        failed.increment(1);
    }

    /// Counts a cleanup for as long as it exists, which may be less long than it takes: its runtime may shut down.
    pub(crate) fn counting<F: Future<Output = ()> + Send + 'static>(
        &self,
        cleanup: F,
    ) -> impl Future<Output = ()> + Send + 'static {
        let settling = Settling(self.clone());
        self.0.settling.increment(1);
        async move {
            let _settling = settling;
            cleanup.await;
        }
    }

    pub(crate) fn settling(&self) -> Cleanup {
        Cleanup {
            meter: self.clone(),
            since: StdInstant::now(),
        }
    }
}

impl Handles {
    fn new(labels: Vec<Label>, max_sessions: usize) -> Self {
        let rollbacks = Rollbacks {
            labels: labels.clone(),
            counters: Family::new(),
        };
        Self {
            sessions: Sessions::new(&labels, max_sessions),
            max: handle(name::MAX_SESSIONS, &labels),
            waiting: handle(name::WAITING, &labels),
            timeouts: handle(name::TIMEOUTS, &labels),
            refused: Family::new(),
            breaker: handle(name::BREAKER, &labels),
            is_open: AtomicIsize::new(0),
            wait_time: handle(name::WAIT_TIME, &labels),
            begin_time: handle(name::BEGIN_TIME, &labels),
            commit_time: handle(name::COMMIT_TIME, &labels),
            settling: handle(name::SETTLING, &labels),
            settle_time: Family::new(),
            finished: Family::new(),
            hooks: Family::new(),
            rollbacks: Arc::new(rollbacks),
            scopes: RwLock::default(),
            max_sessions,
            labels,
        }
    }

    /// Known ones are read only: no allocation, and nobody is held up.
    fn scopes(&self, name: &'static str, kind: ScopeKind) -> Arc<Scopes> {
        let key = Name::new(name, kind);
        let known = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(scopes) = known.get(&key) {
            return Arc::clone(scopes);
        }
        drop(known);
        let mut known = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        let make = || Scopes::new(name, kind, &self.labels, Arc::clone(&self.rollbacks));
        Arc::clone(known.entry(key).or_insert_with(|| make().into()))
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.max.decrement(self.max_sessions as f64);
        self.breaker.decrement(*self.is_open.get_mut() as f64);
    }
}

pub(super) struct Rollbacks {
    labels: Vec<Label>,
    counters: Family<Counter, { RollbackCause::ALL.len() }>,
}

impl Rollbacks {
    pub(super) fn count(&self, why: RollbackCause) {
        let labels = || with(&self.labels, "txn.cause", why.as_str());
        let counter = self.counters.at(why as usize, name::ROLLBACKS, labels);
        counter.increment(1);
    }
}

/// A caller that waits for a session, until it is dropped.
pub(crate) struct Waiting<'a>(&'a Handles);

impl<'a> Waiting<'a> {
    fn new(handles: &'a Handles) -> Self {
        handles.waiting.increment(1);
        Self(handles)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.decrement(1);
    }
}

/// A point in time. To look at the clock is the dearest part of all this: what ends one span of time begins the next.
#[derive(Clone, Copy)]
pub(crate) struct Timestamp(pub(super) StdInstant);

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self(StdInstant::now())
    }
}

/// A cleanup of a session.
pub(crate) struct Cleanup {
    meter: Meter,
    since: StdInstant,
}

impl Cleanup {
    pub(crate) fn ended(self, how: SettleOutcome) {
        let handles = &*self.meter.0;
        let labels = || with(&handles.labels, "txn.end", how.as_str());
        let time = handles
            .settle_time
            .at(how as usize, name::SETTLE_TIME, labels);
        time.record(self.since.elapsed());
    }
}

struct Settling(Meter);

impl Drop for Settling {
    fn drop(&mut self) {
        self.0.0.settling.decrement(1);
    }
}
