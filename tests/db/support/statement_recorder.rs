//! The statements that a database was sent, in order: read off the wire where there is one, else
//! from what the driver logs.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use txn::{ConnectOptionsOf, MySql, Postgres, Sqlite};

use crate::support::engine::TestEngine;
use crate::support::server_engine::ServerEngine;
use crate::support::wire_statements::{self, Protocol, statements};

/// The statements of all sessions, each with a number that identifies its session.
pub(crate) struct Recorder(Box<dyn Fn() -> Vec<(usize, String)>>);

impl Recorder {
    pub(crate) fn statements(&self) -> Vec<(usize, String)> {
        (self.0)()
    }
}

pub(crate) trait Recorded: TestEngine {
    /// The column of this engine in the lines of a table.
    const COLUMN: usize;

    /// Options whose sessions are recorded.
    fn recorded(url: &str) -> (Recorder, ConnectOptionsOf<Self>);
}

impl Recorded for Postgres {
    const COLUMN: usize = 0;

    fn recorded(url: &str) -> (Recorder, ConnectOptionsOf<Self>) {
        on_the_wire::<Self>(url, wire_statements::postgres)
    }
}

impl Recorded for MySql {
    const COLUMN: usize = 1;

    fn recorded(url: &str) -> (Recorder, ConnectOptionsOf<Self>) {
        on_the_wire::<Self>(url, wire_statements::mysql)
    }
}

fn on_the_wire<DB: ServerEngine>(
    url: &str,
    protocol: Protocol,
) -> (Recorder, ConnectOptionsOf<DB>) {
    let (proxy, options) = DB::by_proxy(url);
    let read = move || statements(&proxy.chunks(), protocol);
    (Recorder(Box::new(read)), options)
}

impl Recorded for Sqlite {
    const COLUMN: usize = 2;

    /// sqlx logs each statement in the thread that ran it, and the thread's name identifies the
    /// session.
    fn recorded(url: &str) -> (Recorder, ConnectOptionsOf<Self>) {
        static RECORDINGS: AtomicU64 = AtomicU64::new(0);
        listen();
        let number = RECORDINGS.fetch_add(1, Ordering::Relaxed);
        let mine = format!("{THREAD}{number}-");
        let thread = mine.clone();
        let options: SqliteConnectOptions = url.parse().unwrap();
        let options = options
            .thread_name(move |session| format!("{thread}{session}"))
            // Nothing here waits for a lock that anybody is going to free.
            .busy_timeout(Duration::ZERO)
            .log_statements("trace".parse().unwrap())
            .log_slow_statements("trace".parse().unwrap(), Duration::MAX);
        let read = move || {
            let said = SAID.lock().unwrap();
            let own = said.iter().filter_map(|(thread, sql)| {
                let session = thread.strip_prefix(&mine)?.parse().ok()?;
                Some((session, sql.clone()))
            });
            own.collect()
        };
        (Recorder(Box::new(read)), options)
    }
}

const THREAD: &str = "recorded-";

/// The statements of all recordings, each with the name of the thread that ran it.
static SAID: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Listens for all tests, because the threads are not theirs: a subscriber of one thread would not
/// hear them.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        // The sessions of other tests log at another level.
        let ours = |level: &Level| *level == Level::TRACE;
        let statements =
            filter_fn(move |event| event.target() == "sqlx::query" && ours(event.level()));
        let subscriber = tracing_subscriber::registry().with(Driver.with_filter(statements));
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

struct Driver;

impl<S: Subscriber> Layer<S> for Driver {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let thread = std::thread::current();
        let Some(name) = thread.name().filter(|name| name.starts_with(THREAD)) else {
            return;
        };
        let mut statement = Statement::default();
        event.record(&mut statement);
        let sql = match statement.text.trim() {
            "" => statement.summary,
            text => text.to_owned(),
        };
        SAID.lock().unwrap().push((name.to_owned(), sql));
    }
}

/// A short statement is its own summary, and its text is left out.
#[derive(Default)]
struct Statement {
    summary: String,
    text: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
