//! The server is sent these statements, in this order: for every option in every place, and from
//! scope to scope.
//!
//! A line of a table has one column per engine: PostgreSQL, MySQL, SQLite. Nothing is sent where a
//! column is empty.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use sqlx::Executor;
use tokio::sync::Notify;
use tokio::time::sleep;
use txn::{Db, Error, Tx};

use super::*;
use crate::support::observer::PATIENCE;
use crate::support::statement_recorder::{Recorded, Recorder};

/// SQL that sets a savepoint or rolls back to one. On MySQL and MariaDB the one by which the
/// transaction is recognized stays the innermost.
macro_rules! anchored {
    ($sql:literal) => {
        [$sql, concat!($sql, "; SAVEPOINT txn_0"), $sql]
    };
}

mod conflicts;
mod options;
mod places;
mod scopes;
mod stories;

/// A statement that is sent is recorded long before.
const RECORDED: Duration = Duration::from_secs(60);

/// One column per engine.
type Line = [&'static str; 3];
type Ended = Result<(), Fault>;

const fn all(sql: &'static str) -> Line {
    [sql; 3]
}

const BEGIN: Line = [
    "BEGIN",
    "START TRANSACTION; SAVEPOINT txn_0",
    "BEGIN IMMEDIATE",
];
const BODY: Line = all("SELECT 'body'");
const COMMIT: Line = [
    "SAVEPOINT txn_end; COMMIT",
    "RELEASE SAVEPOINT txn_0; COMMIT",
    "COMMIT",
];
const ROLLBACK: Line = all("ROLLBACK");
const BEGIN_READER: Line = [
    "BEGIN READ ONLY",
    "START TRANSACTION READ ONLY; SAVEPOINT txn_0",
    "PRAGMA query_only = 1; BEGIN",
];
const COMMIT_READER: Line = [COMMIT[0], COMMIT[1], "PRAGMA query_only = 0; COMMIT"];
const ROLLBACK_READER: Line = ["ROLLBACK", "ROLLBACK", "PRAGMA query_only = 0; ROLLBACK"];
const FAILS: Line = all("SELECT n FROM missing");

const OK: Line = all("ok");
const ERR: Line = all("err");
const REFUSED: Line = all("refused");
const ROLLBACK_ONLY: Line = all("rollback-only");

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("told to fail")]
    Told,
    #[error(transparent)]
    Txn(#[from] Error),
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

async fn body<E: TestEngine>(tx: &mut Tx<E>) -> Ended {
    tx.execute("SELECT 'body'").await?;
    Ok(())
}

async fn fail<E: TestEngine>(tx: &mut Tx<E>) -> Ended {
    tx.execute("SELECT n FROM missing").await?;
    Ok(())
}

thread_local! {
    /// Each test has a thread of its own.
    static STOP: Rc<Notify> = Rc::default();
}

/// Goes no further, and lets the test drop the caller.
async fn stop() -> Ended {
    STOP.with(Rc::clone).notify_one();
    pending().await
}

async fn stopped() {
    STOP.with(Rc::clone).notified().await;
}

/// A database whose sessions are recorded, and open before anything is asked of them.
struct Stage {
    fixture: Fixture<DB>,
    recorder: Recorder,
    db: Db<DB>,
}

impl Stage {
    async fn of_sessions(max: usize) -> Self {
        let fixture = Fixture::<DB>::new().await;
        let (recorder, options) = DB::recorded(fixture.url());
        let db = patient(options)
            .max_sessions(max)
            .connect()
            .await
            .unwrap();
        let mut sessions = Vec::new();
        for _ in 0..max {
            sessions.push(db.session().await.unwrap());
        }
        drop(sessions);
        Self {
            fixture,
            recorder,
            db,
        }
    }

    /// Returns how a call ends, in a word, and what was sent meanwhile, with a `>` in front for
    /// each session that had spoken first.
    async fn watch(
        &self,
        call: LocalBoxFuture<'_, Ended>,
        expected: usize,
    ) -> (&'static str, Vec<String>) {
        let before = self.recorder.statements().len();
        let ended = tokio::select! {
            ended = AssertUnwindSafe(call).catch_unwind() => match ended {
                Ok(ended) => word(ended),
                Err(_) => "panic",
            },
            () = stopped() => "dropped",
            () = sleep(PATIENCE) => panic!("still waiting after {PATIENCE:?}"),
        };
        self.db.settled().await;
        self.until_recorded(before + expected).await;
        let mut speakers = Vec::new();
        let sent = self.recorder.statements().split_off(before);
        let sent = sent.into_iter().map(|(session, sql)| {
            let known = speakers.iter().position(|speaker| *speaker == session);
            let nth = known.unwrap_or_else(|| {
                speakers.push(session);
                speakers.len() - 1
            });
            format!("{}{}", ">".repeat(nth), without_figures(sql))
        });
        (ended, sent.collect())
    }

    /// Waits until this many statements are recorded, because SQLite's worker answers before it
    /// logs what it has done. Returns without those that were not sent.
    async fn until_recorded(&self, count: usize) {
        let recorded = async {
            while self.recorder.statements().len() < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(RECORDED, recorded).await.ok();
    }

    async fn assert(&self, case: &str, call: LocalBoxFuture<'_, Ended>, ends: Line, sent: &[Line]) {
        let (ended, was_sent) = self.watch(call, column(sent).len()).await;
        assert_eq!(was_sent, column(sent), "{case}, {ended}");
        assert_eq!(ended, ends[DB::COLUMN], "{case}");
    }
}

fn column(lines: &[Line]) -> Vec<&'static str> {
    let of_this_engine = lines.iter().map(|line| line[DB::COLUMN]);
    of_this_engine.filter(|line| !line.is_empty()).collect()
}

fn word(ended: Ended) -> &'static str {
    let error = match ended {
        Ok(()) => return "ok",
        Err(Fault::Told) => return "err",
        Err(Fault::Txn(error)) => error,
        Err(Fault::Sqlx(error)) => error.into(),
    };
    match error {
        error if error.is_timeout() => "timeout",
        error if error.is_rollback_only() => "rollback-only",
        error if error.is_aborted() => "aborted",
        error if error.code().is_some() => "failed",
        error if error.to_string().contains("told to fail") => "err",
        error => {
            let text = error.to_string();
            assert!(
                REFUSALS.iter().any(|refusal| text.contains(refusal)),
                "{text}"
            );
            "refused"
        }
    }
}

/// Parts of the messages that refuse to open a scope.
const REFUSALS: [&str; 5] = [
    "asks for isolation",
    "has one writer",
    "may write, but joins",
    "no deferrable transactions",
    "runs every transaction serializable",
];

/// The statement without figures, because the time that is left when BEGIN is sent is not known
/// beforehand.
fn without_figures(sql: String) -> String {
    if !sql.contains("_timeout = ") {
        return sql;
    }
    let masked = sql.split(' ').map(|word| {
        let figure = word.trim_end_matches([',', ')', ';']);
        let is_figure =
            !figure.is_empty() && figure.chars().all(|c| c.is_ascii_digit() || c == '.');
        match is_figure {
            true => word.replacen(figure, "N", 1),
            false => word.to_owned(),
        }
    });
    masked.collect::<Vec<_>>().join(" ")
}
