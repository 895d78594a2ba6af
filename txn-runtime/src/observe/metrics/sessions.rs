//! Sessions: how many there are, where they are, and how long they are there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ::metrics::{Counter, Gauge, Histogram, Label};

use super::describe as name;
use super::family::{Family, handle};
use super::meter::{Meter, Timestamp, with};
use crate::model::error::Error;
use crate::model::labels::CloseReason;

pub(super) struct Sessions {
    idle: Gauge,
    used: Gauge,
    utilization: Gauge,
    use_time: Histogram,
    created: Counter,
    create_time: Histogram,
    refused: Counter,
    closed: Family<Counter, { CloseReason::ALL.len() }>,
    max: usize,
    now_used: AtomicUsize,
}

impl Sessions {
    pub(super) fn new(labels: &[Label], max: usize) -> Self {
        let state = |state| with(labels, "db.client.connection.state", state);
        Self {
            idle: handle(name::SESSIONS, &state("idle")),
            used: handle(name::SESSIONS, &state("used")),
            utilization: handle(name::UTILIZATION, labels),
            use_time: handle(name::USE_TIME, labels),
            created: handle(name::CREATED, labels),
            create_time: handle(name::CREATE_TIME, labels),
            refused: handle(name::REFUSED, labels),
            closed: Family::new(),
            max,
            now_used: AtomicUsize::new(0),
        }
    }

    fn taken(&self) {
        self.used.increment(1);
        self.now_used.fetch_add(1, Ordering::SeqCst);
        self.show_utilization();
    }

    fn returned(&self, since: Instant, now: Instant) {
        self.use_time.record(now - since);
        self.used.decrement(1);
        self.now_used.fetch_sub(1, Ordering::SeqCst);
        self.show_utilization();
    }

    /// A share cannot be counted up and down without a rest. Whoever sets it last has seen that it is still so.
    #[allow(clippy::cast_precision_loss, reason = "there are not 2⁵³ sessions")]
    fn show_utilization(&self) {
        let mut used = self.now_used.load(Ordering::SeqCst);
        loop {
            self.utilization.set(used as f64 / self.max as f64);
            let now = self.now_used.load(Ordering::SeqCst);
            if now == used {
                return;
            }
            used = now;
        }
    }
}

/// Where one session is. Goes with its connection, and is the last to be dropped of it.
pub(crate) struct SessionTracker {
    meter: Meter,
    place: Place,
    closed: CloseReason,
}

enum Place {
    /// On its way from the server to its first user.
    New,
    Idle,
    Used(Instant),
    /// It has told all that there is to tell.
    Gone,
}

impl SessionTracker {
    pub(super) fn opened(meter: Meter, since: Instant) -> Self {
        let sessions = &meter.0.sessions;
        sessions.created.increment(1);
        sessions.create_time.record(since.elapsed());
        Self {
            meter,
            place: Place::New,
            closed: CloseReason::WithPool,
        }
    }

    /// It was taken out of the pool.
    pub(crate) fn taken(&mut self) {
        let now = Instant::now();
        self.leave(now);
        self.place = Place::Used(now);
        self.meter.0.sessions.taken();
    }

    /// It is going back into the pool.
    pub(crate) fn returned(&mut self, now: Instant) {
        self.leave(now);
        self.place = Place::Idle;
        self.meter.0.sessions.idle.increment(1);
    }

    /// Why it is about to be closed, if not with its pool.
    pub(crate) fn closes(&mut self, why: CloseReason) {
        self.closed = why;
    }

    /// When it was taken out of the pool.
    pub(crate) fn taken_at(&self) -> Timestamp {
        match self.place {
            Place::Used(since) => Timestamp(since),
            Place::New | Place::Idle | Place::Gone => Timestamp::now(),
        }
    }

    /// It is of no more use, though somebody goes on to hold it.
    pub(crate) fn gone(&mut self, why: CloseReason) {
        self.closes(why);
        self.tell();
    }

    fn tell(&mut self) {
        if let Place::Gone = self.place {
            return;
        }
        self.leave(Instant::now());
        self.place = Place::Gone;
        let (inner, why) = (&*self.meter.0, self.closed);
        let labels = || with(&inner.labels, "txn.reason", why.as_str());
        let closed = inner.sessions.closed.at(why as usize, name::CLOSED, labels);
        closed.increment(1);
    }

    fn leave(&mut self, now: Instant) {
        let sessions = &self.meter.0.sessions;
        match std::mem::replace(&mut self.place, Place::New) {
            Place::New | Place::Gone => {}
            Place::Idle => sessions.idle.decrement(1),
            Place::Used(since) => sessions.returned(since, now),
        }
    }
}

impl Drop for SessionTracker {
    fn drop(&mut self) {
        self.tell();
    }
}

/// A session that is being opened.
pub(crate) struct Opening {
    pub(super) meter: Meter,
    pub(super) since: Instant,
}

impl Opening {
    pub(crate) fn opened(self) -> SessionTracker {
        SessionTracker::opened(self.meter, self.since)
    }

    /// Not if the breaker was open, or the handle closed: then it was not tried, or not to the end.
    pub(crate) fn refused(self, error: &Error) {
        if !error.is_unavailable() && !error.is_closed() {
            self.meter.0.sessions.refused.increment(1);
        }
    }
}
