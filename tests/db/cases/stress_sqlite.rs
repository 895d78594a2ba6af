//! SQLite alone does this to a dropped operation: it waits for locks where nobody can wake it, is
//! interrupted from within, and keeps its log for as long as somebody reads.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor, Row};
use tokio::time::timeout;
use txn::{Error, Sqlite, Tx, transactional};

use super::{Fixture, insert, number, patient};
use crate::support::drop_points::{eager, poll_at_most};
use crate::support::drop_trial::Trial;
use crate::support::observer::PATIENCE;

/// A statement that inserts more rows than any machine writes in the time of the test.
const SLOW_INSERT: &str = "INSERT INTO t (id, n) \
    WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) \
    SELECT i, 0 FROM n";

async fn in_haste() -> Fixture<Sqlite> {
    let limit = Duration::from_millis(100);
    Fixture::with(|builder| builder.max_sessions(2).settle_timeout(limit)).await
}

/// The operation waits for the lock of another, where no interrupt reaches it.
#[tokio::test]
async fn busy() {
    let db = in_haste().await;
    let mut other = SqliteConnection::connect(db.url()).await.unwrap();
    for _ in 0..3 {
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        assert!(poll_at_most(1, db.begin()).await.is_none());
        assert!(poll_at_most(1, db.execute("INSERT INTO t (id, n) VALUES (1, 0)")).await.is_none());
        timeout(PATIENCE, db.settled()).await.unwrap();
        db.assert_at_rest().await;
        // Readers need no lock.
        assert!(db.ids().await.is_empty());
        other.execute("ROLLBACK").await.unwrap();
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        tx.rollback().await.unwrap();
    }
}

/// A reader with a shared cache waits for the writer's table, asleep until it is told.
#[tokio::test]
async fn locked() {
    let place = Fixture::<Sqlite>::new().await;
    let options: SqliteConnectOptions = place.url().parse().unwrap();
    let db = patient::<Sqlite>(options.shared_cache(true))
        .max_sessions(2)
        .settle_timeout(Duration::from_millis(100));
    let db = db.connect().await.unwrap();
    let mut writer = db.begin().await.unwrap();
    insert(&mut writer, 1).await.unwrap();
    assert!(poll_at_most(1, db.fetch_all("SELECT id FROM t")).await.is_none());
    timeout(PATIENCE, db.settled()).await.unwrap();
    let status = db.status();
    assert_eq!((status.in_use, status.settling), (1, 0), "{status:?}");
    insert(&mut writer, 2).await.unwrap();
    writer.commit().await.unwrap();
    let rows = timeout(PATIENCE, db.fetch_all("SELECT id FROM t")).await;
    assert_eq!(rows.unwrap().unwrap().len(), 2);
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(db.session().await.unwrap());
    }
}

#[transactional(nested)]
async fn writes_for_long(tx: &mut Tx<Sqlite>) -> Result<(), Error> {
    insert(tx, 2).await?;
    tx.execute(SLOW_INSERT).await?;
    Ok(())
}

/// An interrupted write takes the whole transaction with it: the outer scope is told, and nothing
/// autocommits.
#[tokio::test]
async fn interrupt_of_a_write_in_a_nested_scope() {
    let mut trial = Trial::<Sqlite>::of_sessions(2).await;
    for polls in 1..6 {
        let mut tx = trial.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        let dropped = poll_at_most(polls, eager(writes_for_long(&mut tx))).await;
        assert!(dropped.is_none(), "{dropped:?}");
        let went_on = insert(&mut tx, 3).await;
        let committed = tx.commit().await;
        assert_eq!(went_on.is_ok(), committed.is_ok(), "{went_on:?} {committed:?}");
        trial.assert_recovered(polls).await;
        let expected: &[i64] = if committed.is_ok() { &[1, 3] } else { &[] };
        assert_eq!(trial.ids().await, expected);
        trial.clear().await;
    }
}

#[tokio::test]
async fn interrupt_of_a_write_in_autocommit_mode() {
    let mut trial = Trial::<Sqlite>::of_sessions(1).await;
    let open = trial.status().open;
    for _ in 0..5 {
        assert!(poll_at_most(1, trial.execute(SLOW_INSERT)).await.is_none());
        trial.assert_recovered("interrupted").await;
        assert!(trial.ids().await.is_empty());
    }
    assert_eq!(trial.status().open, open);
}

#[transactional(read_only)]
async fn reads_for_long(tx: &mut Tx<Sqlite>) -> Result<i64, Error> {
    let rows = number(tx, "SELECT COUNT(*) FROM t").await?;
    tx.execute(<Sqlite as crate::support::engine::TestEngine>::SLOW_QUERY).await?;
    Ok(rows)
}

async fn checkpoint(other: &mut SqliteConnection) -> (i64, i64) {
    let row = other.fetch_one("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    (row.get(0), row.get(1))
}

/// A reader that was dropped keeps the log from being truncated no longer than its cleanup takes.
#[tokio::test]
async fn wal_checkpoint() {
    let db = Fixture::<Sqlite>::of_sessions(3).await;
    let options: SqliteConnectOptions = db.url().parse().unwrap();
    let at_once = options.busy_timeout(Duration::ZERO);
    let mut other = SqliteConnection::connect_with(&at_once).await.unwrap();
    for polls in 1..12 {
        let mut reader = Box::pin(eager(reads_for_long(&*db)));
        assert!(poll_at_most(polls, reader.as_mut()).await.is_none());
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, polls.try_into().unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        drop(reader);
        db.settled().await;
        assert_eq!(checkpoint(&mut other).await, (0, 0), "after {polls} polls");
    }
    let mut reader = db.begin().await.unwrap();
    insert(&mut reader, -1).await.unwrap();
    assert_eq!(checkpoint(&mut other).await.0, 1, "an open scope is in the way");
    drop(reader);
    db.settled().await;
    assert_eq!(checkpoint(&mut other).await, (0, 0));
}
