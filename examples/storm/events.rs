//! Counts the warnings of the runtime, which report what no return value can.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<BTreeMap<String, u64>>>);

/// The warnings that a session was closed because it could not be settled.
const CLOSED: [&str; 2] = ["session closed instead of settled", "rollback failed"];

impl Events {
    /// Starts to listen in the whole process.
    pub(crate) fn listen() -> Self {
        let events = Self::default();
        tracing_subscriber::registry().with(events.clone()).init();
        events
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    /// Returns the number of sessions that were closed because they could not be settled.
    pub(crate) fn closed(&self) -> u64 {
        let is_one = |text: &str| CLOSED.iter().any(|closed| text.starts_with(closed));
        let counts = self.counts().into_iter();
        counts
            .filter(|(text, _)| is_one(text))
            .map(|(_, count)| count)
            .sum()
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "txn" && *metadata.level() <= Level::WARN
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(text.to_string()).or_default() += 1;
    }
}

/// The message of an event, and its cause.
#[derive(Default)]
struct Text {
    message: String,
    why: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "problem" | "error" => self.why = format!("{value:?}"),
            _ => {}
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids and times are removed, because they would make each event unique.
        let why: String = self
            .why
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .take(120)
            .collect();
        write!(f, "{}: {why}", self.message)
    }
}
