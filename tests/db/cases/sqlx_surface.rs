//! Users of `sqlx::Pool` find what they rely on, on `&Db`, `&mut Tx` and `&mut Session`.

use futures_util::TryStreamExt;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Arguments, Connection, Database, Executor, FromRow, QueryBuilder, Row, SqlSafeStr};
use tokio::time::timeout;
use txn::{Db, Tx, transactional};

use super::{DB, Fixture};
use crate::support::dialect::Dialect;
use crate::support::drop_points::{PLENTY, poll_at_most};
use crate::support::observer::PATIENCE;

static MIGRATIONS: Migrator = sqlx::migrate!("tests/db/support/migrations");

#[derive(Debug, FromRow, PartialEq)]
struct Line {
    id: i64,
    n: i64,
}

fn lines<const N: usize>(lines: [(i64, i64); N]) -> Vec<Line> {
    lines.map(|(id, n)| Line { id, n }).into()
}

async fn with_lines() -> Fixture<DB> {
    let db = Fixture::<DB>::of_sessions(2).await;
    db.execute("INSERT INTO t (id, n) VALUES (1, 10), (2, 20)")
        .await
        .unwrap();
    db
}

#[transactional]
async fn read_in_every_way(tx: &mut Tx<DB>) -> Result<(), sqlx::Error> {
    let read: Vec<Line> = sqlx::query_as("SELECT id, n FROM t ORDER BY id")
        .fetch_all(tx)
        .await?;
    assert_eq!(read, lines([(1, 10), (2, 20)]));
    let one: (i64,) = sqlx::query_as(DB::SELECT_WITH_BIND)
        .bind(1_i64)
        .fetch_one(tx)
        .await?;
    assert_eq!(one.0, 10);
    let n: Option<i64> = sqlx::query_scalar(DB::SELECT_WITH_BIND)
        .bind(9_i64)
        .fetch_optional(tx)
        .await?;
    assert_eq!(n, None);
    Ok(())
}

#[tokio::test]
async fn rows_are_read_into_types_everywhere() {
    let db = with_lines().await;
    read_in_every_way(&*db).await.unwrap();
    let mut session = db.session().await.unwrap();
    let by_session: Vec<Line> = sqlx::query_as("SELECT id, n FROM t ORDER BY id")
        .fetch_all(&mut session)
        .await
        .unwrap();
    let by_handle: Vec<Line> = sqlx::query_as("SELECT id, n FROM t ORDER BY id")
        .fetch_all(&*db)
        .await
        .unwrap();
    assert_eq!(by_session, by_handle);
}

/// `query!` and its siblings expand to this.
#[tokio::test]
async fn the_expansion_of_the_checked_macros_runs_everywhere() {
    let db = with_lines().await;
    let query = || {
        let mut arguments = <DB as Database>::Arguments::default();
        arguments.add(2_i64).unwrap();
        sqlx::query_with(DB::SELECT_WITH_BIND, arguments)
            .try_map(|row: <DB as Database>::Row| row.try_get::<i64, _>(0))
    };
    assert_eq!(query().fetch_one(&*db).await.unwrap(), 20);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(query().fetch_all(&mut tx).await.unwrap(), [20]);
    let streamed = query().fetch(&mut tx).try_next().await.unwrap();
    assert_eq!(streamed, Some(20));
    tx.commit().await.unwrap();
}

#[transactional]
async fn insert_built(tx: &mut Tx<DB>, ids: &[i64]) -> Result<u64, sqlx::Error> {
    let mut insert = QueryBuilder::<DB>::new("INSERT INTO t (id, n) ");
    insert.push_values(ids, |mut row, id| {
        row.push_bind(*id).push_bind(10 * id);
    });
    Ok(insert.build().execute(tx).await?.rows_affected())
}

#[tokio::test]
async fn a_query_builder_builds_for_every_executor() {
    let db = with_lines().await;
    assert_eq!(insert_built(&*db, &[3, 4, 5]).await.unwrap(), 3);
    let mut select = QueryBuilder::<DB>::new("SELECT id, n FROM t WHERE id IN (");
    let mut ids = select.separated(", ");
    ids.push_bind(2_i64).push_bind(5_i64);
    select.push(") ORDER BY id");
    let found: Vec<Line> = select.build_query_as().fetch_all(&*db).await.unwrap();
    assert_eq!(found, lines([(2, 20), (5, 50)]));
}

#[transactional]
async fn sum_of_a_stream(tx: &mut Tx<DB>) -> Result<i64, sqlx::Error> {
    let mut sum = 0;
    let mut rows = sqlx::query_as::<_, Line>("SELECT id, n FROM t").fetch(tx);
    while let Some(line) = rows.try_next().await? {
        sum += line.n;
    }
    Ok(sum)
}

#[tokio::test]
async fn rows_are_streamed_from_a_transaction_and_from_the_handle() {
    let db = with_lines().await;
    assert_eq!(sum_of_a_stream(&*db).await.unwrap(), 30);
    let ids: Vec<i64> = sqlx::query_scalar::<_, i64>("SELECT id FROM t ORDER BY id")
        .fetch(&*db)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn several_statements_in_one_text_run_as_raw_sql() {
    let db = with_lines().await;
    const TEXT: &str = "UPDATE t SET n = n + 1; DELETE FROM t WHERE id = 2";
    let mut tx = db.begin().await.unwrap();
    let done = sqlx::raw_sql(TEXT).execute(&mut tx).await.unwrap();
    assert_eq!(done.rows_affected(), 3);
    tx.rollback().await.unwrap();
    sqlx::raw_sql(TEXT).execute(&*db).await.unwrap();
    let left: Vec<Line> = sqlx::query_as("SELECT id, n FROM t")
        .fetch_all(&*db)
        .await
        .unwrap();
    assert_eq!(left, lines([(1, 11)]));
}

#[tokio::test]
async fn a_statement_is_described_in_a_transaction() {
    let db = with_lines().await;
    let mut tx = db.begin().await.unwrap();
    let sql = DB::SELECT_WITH_BIND.into_sql_str();
    assert_eq!(tx.describe(sql).await.unwrap().columns().len(), 1);
    tx.commit().await.unwrap();
}

async fn cents(db: &Db<DB>) -> Vec<i64> {
    let select = sqlx::query_scalar("SELECT cents FROM account");
    select.fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn migrations_run_once() {
    let db = Fixture::<DB>::of_sessions(1).await;
    db.migrate(&MIGRATIONS).await.unwrap();
    db.migrate(&MIGRATIONS).await.unwrap();
    assert_eq!(cents(&db).await, [1000]);
    db.assert_at_rest().await;
    db.assert_sessions(1, 1, 0, 0);
}

#[tokio::test]
async fn a_migrator_runs_on_a_session_as_on_a_connection_of_sqlx() {
    let db = Fixture::<DB>::new().await;
    let mut session = db.session().await.unwrap();
    MIGRATIONS.run(session.connection()).await.unwrap();
    drop(session);
    assert_eq!(cents(&db).await, [1000]);
}

/// The second migration is no SQL.
fn failing() -> Migrator {
    let migration = |version, sql: &'static str| {
        let sql = sql.into_sql_str();
        Migration::new(version, "".into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(vec![
        migration(1, "CREATE TABLE first (id BIGINT)"),
        migration(2, "CREATE NONSENSE"),
    ])
}

#[tokio::test]
async fn a_migration_that_fails_is_named_and_holds_no_lock() {
    let db = Fixture::<DB>::new().await;
    let error = db.migrate(&failing()).await.unwrap_err();
    assert!(error.to_string().contains("migration 2"), "{error}");
    assert!(db.fetch_all("SELECT id FROM first").await.is_ok());

    // Another program migrates: if the first still held its lock, it would wait for ever.
    let mut other = <DB as Database>::Connection::connect(db.url()).await.unwrap();
    let mut migrator = failing();
    migrator.dangerous_set_table_name("_other_migrations");
    let again = timeout(PATIENCE, migrator.run(&mut other)).await;
    assert!(again.expect("the lock is free").is_err(), "`first` exists");
    other.close().await.unwrap();
    db.assert_at_rest().await;
}

#[tokio::test]
async fn migrations_that_are_dropped_leave_no_session_behind() {
    let db = Fixture::<DB>::of_sessions(1).await;
    for polls in 0..PLENTY {
        let migrated = poll_at_most(polls, db.migrate(&MIGRATIONS)).await;
        db.assert_at_rest().await;
        if migrated.is_some() {
            return; // with an error where a CREATE TABLE that was given up commits by itself
        }
    }
    panic!("still not done after {PLENTY} polls");
}
