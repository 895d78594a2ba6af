//! Where a session is, and for how long.

use std::time::Instant;

use super::events::{Event, Events};
use super::kept::{Kept, Timestamp};
use crate::model::labels::CloseReason;

/// Where one session is. It goes with its connection, and is the last to be dropped of it.
///
/// From the server it comes to its first user; then it is used and lies in the pool by turns, until
/// it is closed, wherever it is then.
pub(crate) struct SessionTracker(Kept<Tracked>);

struct Tracked {
    events: Events,
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
    #[inline(always)]
    pub(super) fn new(events: &Events) -> Self {
        Self(Kept::new(|| Tracked {
            events: events.clone(),
            place: Place::New,
            closed: CloseReason::WithPool,
        }))
    }

    /// It was taken out of the pool.
    #[inline(always)]
    pub(crate) fn taken(&mut self) {
        self.0.with(Tracked::taken);
    }

    /// It is going back into the pool.
    #[inline(always)]
    pub(crate) fn returned(&mut self, now: Instant) {
        self.0.with(|tracked| tracked.returned(now));
    }

    /// Why it is about to be closed, if not with its pool.
    #[inline(always)]
    pub(crate) fn closes(&mut self, why: CloseReason) {
        self.0.with(|tracked| tracked.closed = why);
    }

    /// It is of no more use, though somebody goes on to hold it.
    #[inline(always)]
    pub(crate) fn gone(&mut self, why: CloseReason) {
        self.closes(why);
        self.0.with(Tracked::gone);
    }

    /// When it was taken out of the pool.
    #[inline(always)]
    pub(crate) fn taken_at(&self) -> Timestamp {
        let taken = self.0.look(Tracked::taken_at).flatten();
        taken.map_or_else(Timestamp::now, |taken| Timestamp::new(|| taken))
    }
}

impl Tracked {
    fn taken(&mut self) {
        let now = Instant::now();
        self.leave(now);
        self.place = Place::Used(now);
        self.events.tell(Event::SessionTaken);
    }

    fn returned(&mut self, now: Instant) {
        self.leave(now);
        self.place = Place::Idle;
        self.events.tell(Event::SessionEnteredPool);
    }

    fn gone(&mut self) {
        if let Place::Gone = self.place {
            return;
        }
        self.leave(Instant::now());
        self.place = Place::Gone;
        let why = self.closed;
        self.events.tell(Event::SessionClosed { why });
    }

    fn leave(&mut self, now: Instant) {
        match std::mem::replace(&mut self.place, Place::New) {
            Place::New | Place::Gone => {}
            Place::Idle => self.events.tell(Event::SessionLeftPool),
            Place::Used(taken) => self.events.tell(Event::SessionReleased { taken, now }),
        }
    }

    fn taken_at(&self) -> Option<Instant> {
        match self.place {
            Place::Used(taken) => Some(taken),
            Place::New | Place::Idle | Place::Gone => None,
        }
    }
}

impl Drop for SessionTracker {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.with(Tracked::gone);
    }
}
