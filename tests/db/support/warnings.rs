//! The warnings of the runtime, which tell what no return value does.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A listener in the thread that made it, for as long as it lives. The test must run on a runtime
/// of one thread.
pub(crate) struct Warnings {
    lines: Lines,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

/// Keeps a second listener, for tests that listen in their own thread. As long as there is one
/// listener in all, tracing asks the thread that comes to an event first whether anybody listens,
/// and remembers the answer: another test's thread would answer no for all. With a second listener
/// tracing asks every thread.
pub(crate) fn beside_another_listener() {
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    LazyLock::force(&ANOTHER);
}

impl Warnings {
    pub(crate) fn listen() -> Self {
        beside_another_listener();
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        Self {
            lines,
            _listening: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Every warning so far, as `field=value` one after the other.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.0.lock().unwrap().clone()
    }

    pub(crate) fn with(&self, words: &str) -> usize {
        self.all()
            .iter()
            .filter(|line| line.contains(words))
            .count()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "txn" && *event.metadata().level() <= Level::WARN {
            let mut line = Line::default();
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
