//! The schema changes while sessions have statements prepared: what they remember is forgotten
//! before it can do more harm.

use futures_util::future::join_all;
use sqlx::{Executor, Row};
use tokio::sync::Barrier;
use txn::{Db, DbBuilder, Error, Reset, Session, Tx, transactional};

use super::{DB, Fixture, TestEngine, insert};

const ALL: &str = "SELECT * FROM t";
const SESSIONS: usize = 3;

/// A pool whose sessions all have the statement prepared, in a schema that somebody else changes.
struct Changing {
    db: Fixture<DB>,
    admin: Db<DB>,
}

impl Changing {
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(configure: impl FnOnce(DbBuilder<DB>) -> DbBuilder<DB>) -> Self {
        let configure = |builder: DbBuilder<DB>| configure(builder.max_sessions(SESSIONS));
        let db = Fixture::<DB>::with(configure).await;
        let admin = Db::connect(db.url()).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        let changing = Self { db, admin };
        changing.warm().await;
        changing
    }

    /// Prepares the statement on all sessions: those that are out at the same time are all there
    /// are.
    async fn warm(&self) {
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            let mut session = self.db.session().await.unwrap();
            assert_eq!(columns(&mut session).await.unwrap(), self.expected().await);
            sessions.push(session);
        }
    }

    /// The number of columns that a session sees which asks for the first time.
    async fn expected(&self) -> usize {
        let fresh = Db::<DB>::connect(self.db.url()).await.unwrap();
        let row = sqlx::query(ALL).fetch_one(&fresh).await.unwrap();
        fresh.close().await;
        row.columns().len()
    }

    async fn change(&self) {
        let add = "ALTER TABLE t ADD COLUMN m BIGINT NOT NULL DEFAULT 7";
        self.admin.execute(add).await.unwrap();
    }
}

async fn columns(session: &mut Session<DB>) -> Result<usize, Error> {
    let row = sqlx::query(ALL).fetch_one(session).await?;
    Ok(seen(&row))
}

/// Counts the columns of the row; the value of the last one can be read.
fn seen(row: &<DB as sqlx::Database>::Row) -> usize {
    let columns = row.columns().len();
    let _value: i64 = row.get(columns - 1);
    columns
}

#[transactional]
async fn read(tx: &mut Tx<DB>) -> Result<usize, Error> {
    Ok(seen(&sqlx::query(ALL).fetch_one(tx).await?))
}

#[transactional(retry)]
async fn read_with_retry(tx: &mut Tx<DB>) -> Result<(usize, u32), Error> {
    let row = sqlx::query(ALL).fetch_one(&mut *tx).await?;
    Ok((seen(&row), tx.attempt()))
}

/// Asks so often that every session has its turn; at most one of the calls may fail.
async fn failures(changing: &Changing, mut ask: impl AsyncFnMut() -> Result<usize, Error>) {
    let expected = changing.expected().await;
    let mut failed = 0;
    for _ in 0..3 * SESSIONS {
        match ask().await {
            Ok(columns) => assert_eq!(columns, expected),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                failed += 1;
            }
        }
    }
    assert!(failed <= 1, "{failed} failures");
    changing.db.assert_at_rest().await;
}

#[tokio::test]
async fn scopes_fail_once_at_most() {
    let changing = Changing::new().await;
    changing.change().await;
    failures(&changing, async || read(&*changing.db).await).await;
}

#[transactional(read_only)]
async fn read_beside_others(tx: &mut Tx<DB>, all_are_here: &Barrier) -> Result<usize, Error> {
    all_are_here.wait().await;
    Ok(seen(&sqlx::query(ALL).fetch_one(tx).await?))
}

/// A change that one session has met is not met again on any other, when a scope is next begun on
/// it.
#[tokio::test]
async fn one_scope_fails_for_all_sessions() {
    let changing = Changing::new().await;
    changing.change().await;
    let expected = changing.expected().await;
    let first = read(&*changing.db).await;
    assert!(first.is_err() || first.unwrap() == expected);
    let all = Barrier::new(SESSIONS);
    let others = (0..SESSIONS).map(|_| read_beside_others(&*changing.db, &all));
    for columns in join_all(others).await {
        assert_eq!(columns.unwrap(), expected);
    }
    changing.db.assert_at_rest().await;
}

#[tokio::test]
async fn scopes_with_retry_never_fail() {
    let changing = Changing::new().await;
    changing.change().await;
    let expected = changing.expected().await;
    for _ in 0..3 * SESSIONS {
        let (columns, attempts) = read_with_retry(&*changing.db).await.unwrap();
        assert_eq!(columns, expected);
        assert!(attempts <= 2, "{attempts}");
    }
}

#[tokio::test]
async fn statements_on_the_handle_fail_once_at_most() {
    let changing = Changing::new().await;
    changing.change().await;
    failures(&changing, async || {
        let row = sqlx::query(ALL).fetch_one(&*changing.db).await?;
        Ok(seen(&row))
    })
    .await;
}

#[tokio::test]
async fn so_do_sessions_one_after_the_other() {
    let changing = Changing::new().await;
    changing.change().await;
    let ask = async || columns(&mut changing.db.session().await?).await;
    failures(&changing, ask).await;
}

/// A session that is reset by its next user forgets what it had prepared as well.
#[tokio::test]
async fn so_do_sessions_that_are_reset_in_between() {
    let changing = Changing::with(|builder| builder.reset(Reset::Everything)).await;
    changing.db.settled().await;
    changing.change().await;
    let expected = changing.expected().await;
    let first = columns(&mut changing.db.session().await.unwrap()).await;
    assert!(first.is_err() || first.unwrap() == expected);
    changing.db.settled().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let mut session = changing.db.session().await.unwrap();
        assert_eq!(columns(&mut session).await.unwrap(), expected);
        sessions.push(session);
    }
}

#[tokio::test]
async fn and_each_of_the_sessions_that_are_out_meanwhile() {
    let changing = Changing::new().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(changing.db.session().await.unwrap());
    }
    changing.change().await;
    let expected = changing.expected().await;
    for session in &mut sessions {
        let first = columns(session).await;
        assert!(first.is_err() || first.unwrap() == expected);
        assert_eq!(columns(session).await.unwrap(), expected);
    }
}

/// In a transaction that goes on, nested scopes may be tried again.
#[transactional(nested)]
async fn nested(tx: &mut Tx<DB>) -> Result<usize, Error> {
    Ok(seen(&sqlx::query(ALL).fetch_one(tx).await?))
}

#[tokio::test]
async fn a_sandbox_goes_on() {
    let changing = Changing::new().await;
    let sandbox = changing.db.sandbox().await.unwrap();
    if DB::ONE_WRITER {
        return; // nobody else can change anything
    }
    changing.change().await;
    let expected = changing.expected().await;
    for attempt in 0..3 {
        match read(&sandbox).await {
            Ok(columns) => assert_eq!(columns, expected),
            Err(error) => assert!(attempt == 0 && error.is_retryable(), "{error}"),
        }
    }
    sandbox.close().await;
    changing.db.assert_at_rest().await;
}

#[tokio::test]
async fn a_transaction_that_goes_on_fails_in_one_nested_scope_at_most() {
    let changing = Changing::new().await;
    let mut tx = changing.db.begin().await.unwrap();
    if DB::ONE_WRITER {
        return; // nobody else can change anything
    }
    changing.change().await;
    let expected = changing.expected().await;
    match nested(&mut tx).await {
        Ok(columns) => assert_eq!(columns, expected),
        Err(error) => assert!(error.is_retryable(), "{error}"),
    }
    assert_eq!(nested(&mut tx).await.unwrap(), expected);
    tx.commit().await.unwrap();
    changing.db.assert_at_rest().await;
}
