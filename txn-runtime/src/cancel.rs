//! Ending on the server what a dropped operation has begun, so that its locks do not outlive it.
//!
//! PostgreSQL and MySQL/MariaDB are told over a *control connection*: one per `Db`, outside of the pool, opened on first
//! need. SQLite is interrupted from within.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::engine::{ConnectOptionsOf, Engine, OwnLimits, Wire, timed_out};
use crate::error::Class;

/// What to do with an operation that was dropped in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancel {
    /// Cancel it on the server. The session is kept where the driver survives that.
    #[default]
    Server,
    /// Close its session, and leave it to the server to notice: behind a pooler that hides which backend is whose, a cancel
    /// could hit somebody else's query.
    Close,
}

/// How to reach a session from outside.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    /// Its name on the server.
    pub(crate) id: u64,
    /// The run of the server that gave it that name, in the server's words: names are given anew
    /// after a restart, and by another server. `None` where the server does not say.
    pub(crate) server: Option<Box<str>>,
    /// The server does not look whether a client is still there while it works for it.
    pub(crate) lingers: bool,
    /// Set to stop what it is doing, where that is done from within this process.
    pub(crate) interrupt: Option<Arc<AtomicBool>>,
    /// What limits it has by itself; `None` since something may have changed them.
    pub(crate) limits: Option<OwnLimits>,
}

/// Most answers are on their way already when an operation is dropped.
const GRACE: Duration = Duration::from_millis(1);
/// A cancel can overtake the query it is meant for, and is lost then (1 of 200 on PostgreSQL 15): it is repeated,
/// ever more slowly.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A control statement is answered in less than a round trip and a signal; past this its connection is given up, so that one
/// that is dead does not hold up every other cleanup. What it asked for may be asked for again.
const CONTROL_LIMIT: Duration = Duration::from_millis(500);

/// The connection over which the others are cancelled.
pub(crate) struct ControlConnection<DB: Engine>(Mutex<Option<DB::Connection>>);

impl<DB: Engine> ControlConnection<DB> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Runs one statement; the rows it yields are given to `read`.
    ///
    /// While it is in use the connection is out of its place, so that one that was dropped in flight is never used again.
    pub(crate) async fn run(
        &self,
        options: &ConnectOptionsOf<DB>,
        sql: &str,
        mut read: impl FnMut(&DB::Row) + Send,
    ) -> Result<(), sqlx::Error> {
        let mut place = self.0.lock().await;
        loop {
            let (mut connection, reused) = match place.take() {
                Some(connection) => (connection, true),
                None => {
                    let opened = timeout(CONTROL_LIMIT, options.connect()).await;
                    (opened.unwrap_or_else(|_| Err(timed_out()))?, false)
                }
            };
            let answered = timeout(CONTROL_LIMIT, exec::<DB>(&mut connection, sql, &mut read));
            match answered.await.unwrap_or_else(|_| Err(timed_out())) {
                Err(error) if Class::of(&error).is_loss() && reused => {} // a new one may do
                Err(error) if Class::of(&error).is_loss() => return Err(error),
                result => {
                    *place = Some(connection);
                    return result;
                }
            }
        }
    }

    pub(crate) async fn close(&self) {
        if let Some(connection) = self.0.lock().await.take() {
            // The server notices if it does not hear this.
            connection.close().await.ok();
        }
    }
}

async fn exec<DB: Engine>(
    connection: &mut DB::Connection,
    sql: &str,
    read: &mut (impl FnMut(&DB::Row) + Send),
) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let mut steps = DB::fetch_many(connection, sql);
    while let Some(step) = steps.try_next().await? {
        if let Some(row) = step.right() {
            read(&row);
        }
    }
    Ok(())
}

/// Waits for `answer`, cancelling what it waits for until it comes.
///
/// A cancel has been answered before this returns: one that was still on its way could hit the next statement.
pub(crate) async fn until_answered<DB: Engine, T>(
    control: &ControlConnection<DB>,
    options: &ConnectOptionsOf<DB>,
    backend: &Backend,
    left: Wire,
    answer: impl Future<Output = T>,
) -> T {
    let _reset = Reset(backend.interrupt.as_deref());
    let mut answer = pin!(answer);
    let mut pause = GRACE;
    let mut next_pause = FIRST_PAUSE;
    loop {
        if let Ok(answer) = timeout(pause, answer.as_mut()).await {
            return answer;
        }
        cancel(control, options, backend, left).await;
        pause = next_pause;
        next_pause = (next_pause * 2).min(LONGEST_PAUSE);
    }
}

/// Ends what the session is doing, or tries to.
async fn cancel<DB: Engine>(
    control: &ControlConnection<DB>,
    options: &ConnectOptionsOf<DB>,
    backend: &Backend,
    left: Wire,
) {
    if let Some(interrupt) = &backend.interrupt {
        interrupt.store(true, Ordering::Relaxed);
    }
    if let Err(error) = tell(control, options, backend, left).await {
        tracing::warn!(target: "txn", system = DB::SYSTEM, backend = backend.id, %error, "cancel failed");
    }
}

/// Ends a session on the server that is of no more use here; asks until the server has understood.
pub(crate) async fn kill<DB: Engine>(
    control: &ControlConnection<DB>,
    options: &ConnectOptionsOf<DB>,
    backend: &Backend,
) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = tell(control, options, backend, Wire::Busy).await {
        tracing::debug!(target: "txn", system = DB::SYSTEM, backend = backend.id, %error, "kill failed, is repeated");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the server is the one that gave this session its id: up for longer than the session was open, whole seconds told.
pub(crate) async fn is_same_server<DB: Engine>(
    control: &ControlConnection<DB>,
    options: &ConnectOptionsOf<DB>,
    opened: Instant,
) -> Result<bool, sqlx::Error> {
    let Some(question) = DB::ASK_UPTIME else {
        return Ok(false);
    };
    let mut uptime = None;
    let read = |row: &DB::Row| uptime = DB::uptime(row);
    control.run(options, question, read).await?;
    Ok(uptime.is_some_and(|uptime| uptime > opened.elapsed() + Duration::from_secs(1)))
}

async fn tell<DB: Engine>(
    control: &ControlConnection<DB>,
    options: &ConnectOptionsOf<DB>,
    backend: &Backend,
    left: Wire,
) -> Result<(), sqlx::Error> {
    let sql = match left {
        Wire::Partial => DB::cancel_rows(backend.id),
        _ => DB::cancel(backend.id),
    };
    let Some(sql) = sql else {
        return Ok(());
    };
    match control.run(options, &sql, |_| ()).await {
        Err(sqlx::Error::Database(error)) if DB::is_gone(&*error) => Ok(()),
        result => result,
    }
}

/// Lets the session work again.
struct Reset<'a>(Option<&'a AtomicBool>);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        if let Some(interrupt) = self.0 {
            interrupt.store(false, Ordering::Relaxed);
        }
    }
}
