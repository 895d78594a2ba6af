//! Some settings of SQLite would do nothing where they stand, or harm.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use txn::{Db, Error, Sqlite, Tx, transactional};

use super::{Fixture, patient};

/// A parent row whose children are deleted with it.
async fn family() -> Fixture<Sqlite> {
    let db = Fixture::<Sqlite>::new().await;
    let tables = "CREATE TABLE parent (id INTEGER PRIMARY KEY); \
        CREATE TABLE child (parent INTEGER REFERENCES parent (id) ON DELETE CASCADE); \
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)";
    db.execute(sqlx::raw_sql(tables)).await.unwrap();
    db
}

async fn children(db: &Db<Sqlite>) -> i64 {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM child");
    count.fetch_one(db).await.unwrap()
}

/// The statements that people write to change a table:
/// <https://www.sqlite.org/lang_altertable.html#otheralter>.
const REBUILD: &str = "PRAGMA foreign_keys = OFF; \
    CREATE TABLE new_parent (id INTEGER PRIMARY KEY, name TEXT); \
    INSERT INTO new_parent (id) SELECT id FROM parent; DROP TABLE parent; \
    ALTER TABLE new_parent RENAME TO parent; \
    PRAGMA foreign_keys = ON;";

#[track_caller]
fn assert_refused(error: impl Into<Error>, words: &str) {
    let text = error.into().to_string();
    assert!(text.contains("was refused") && text.contains(words), "{text}");
}

/// The test tries each way to run the statement, and each way to write it.
#[tokio::test]
async fn foreign_keys_turned_off_inside_of_a_transaction_are_refused_with_the_way_that_works() {
    let db = family().await;
    for sql in [
        REBUILD,
        "PRAGMA foreign_keys=0",
        "pragma main.foreign_keys(NO)",
        "/* first */ -- this\nPRAGMA \"foreign_keys\" = FALSE",
        "SELECT 1; PRAGMA foreign_keys = off",
    ] {
        in_every_form(&db, sql, "no-transaction").await;
    }
    assert_eq!(children(&db).await, 1);
    db.assert_at_rest().await;
}

#[tokio::test]
async fn other_settings_that_a_transaction_ignores_or_suffers_from_are_refused() {
    let db = family().await;
    for (sql, words) in [
        ("PRAGMA journal_mode = MEMORY", "ignores it"),
        ("PRAGMA page_size = 8192", "ignores it"),
        ("PRAGMA auto_vacuum = 1", "ignores it"),
        ("PRAGMA encoding = 'UTF-16'", "ignores it"),
        ("PRAGMA synchronous = OFF", "connect options"),
        ("PRAGMA query_only = 0", "`read_only`"),
        ("PRAGMA locking_mode = EXCLUSIVE", "connect options"),
        ("PRAGMA wal_checkpoint", "outside"),
    ] {
        in_every_form(&db, sql, words).await;
    }
    db.assert_at_rest().await;
}

#[transactional]
async fn scope(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    joined(tx, sql).await?;
    nested(tx, sql).await?;
    assert_refused(tx.execute(sql).await.unwrap_err(), "");
    assert_refused(tx.fetch_all(sqlx::query(sql)).await.unwrap_err(), "");
    assert_refused(tx.fetch_optional(sqlx::raw_sql(sql)).await.unwrap_err(), "");
    assert_refused(tx.prepare(sql.into_sql_str()).await.err().unwrap(), "");
    tx.execute("DELETE FROM parent WHERE id = 2").await?;
    Ok(())
}

#[transactional]
async fn joined(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    assert_refused(tx.execute(sqlx::raw_sql(sql)).await.unwrap_err(), "");
    Ok(())
}

#[transactional(nested)]
async fn nested(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    assert_refused(tx.execute(sqlx::raw_sql(sql)).await.unwrap_err(), "");
    Ok(())
}

#[transactional(read_only)]
async fn reader(tx: &mut Tx<Sqlite>, sql: &'static str) -> Result<(), Error> {
    assert_refused(tx.execute(sqlx::raw_sql(sql)).await.unwrap_err(), "");
    tx.execute("DELETE FROM parent").await.unwrap_err();
    Ok(())
}

async fn in_every_form(db: &Db<Sqlite>, sql: &'static str, words: &str) {
    // A statement that is refused before it was sent harms nothing: the scope goes on, and commits.
    scope(db, sql).await.unwrap();
    reader(db, sql).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert_refused(tx.execute(sqlx::raw_sql(sql)).await.unwrap_err(), words);
    tx.rollback().await.unwrap();
    let sandbox = db.sandbox().await.unwrap();
    assert_refused(sandbox.execute(sqlx::raw_sql(sql)).await.unwrap_err(), words);
    scope(&sandbox, sql).await.unwrap();
    sandbox.close().await;
}

fn migrator(sql: &'static str, no_tx: bool) -> Migrator {
    let simple = |version, sql: &'static str, no_tx| {
        let sql = sql.into_sql_str();
        Migration::new(version, "".into(), MigrationType::Simple, sql, no_tx)
    };
    Migrator::with_migrations(vec![
        simple(1, "PRAGMA foreign_keys = ON; CREATE TABLE first (id INT)", false),
        simple(2, sql, no_tx),
    ])
}

#[tokio::test]
async fn a_migration_that_turns_foreign_keys_off_is_refused_unless_it_is_in_no_transaction() {
    let db = family().await;
    let error = db.migrate(&migrator(REBUILD, false)).await.unwrap_err();
    assert!(error.to_string().contains("migration 2"), "{error}");
    assert_refused(error, "`-- no-transaction`");
    assert_eq!(children(&db).await, 1, "the parents were not dropped");
    assert!(db.fetch_all("SELECT id FROM first").await.is_ok(), "the one before it stays");

    db.migrate(&migrator(REBUILD, true)).await.unwrap();
    assert_eq!(children(&db).await, 1);
    assert!(db.fetch_all("SELECT name FROM parent").await.is_ok());
    db.assert_at_rest().await;
}

/// A migration that has run before is not looked at.
#[tokio::test]
async fn a_migration_that_was_run_by_others_before_is_not_refused() {
    let db = family().await;
    let migrator = migrator(REBUILD, false);
    let mut session = db.session().await.unwrap();
    migrator.run(session.connection()).await.unwrap();
    drop(session);
    db.migrate(&migrator).await.unwrap();
}

/// This is what the error advises.
#[tokio::test]
async fn foreign_keys_are_off_in_a_handle_that_was_opened_so_and_on_a_session() {
    let db = family().await;
    let options: SqliteConnectOptions = db.url().parse().unwrap();
    let without = patient::<Sqlite>(options.foreign_keys(false));
    let without = without.connect().await.unwrap();
    let mut tx = without.begin().await.unwrap();
    // The keys are off here, so this is the statement that a transaction would ignore.
    assert_refused(tx.execute("PRAGMA foreign_keys = ON").await.unwrap_err(), "ignores it");
    tx.execute("DELETE FROM parent").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(children(&db).await, 1);

    let mut session = db.session().await.unwrap();
    session.execute(sqlx::raw_sql("INSERT INTO parent VALUES (1)")).await.unwrap();
    session.execute("PRAGMA foreign_keys = OFF").await.unwrap();
    session.execute("DELETE FROM parent").await.unwrap();
    session.execute("PRAGMA foreign_keys = ON").await.unwrap();
    assert_eq!(children(&db).await, 1);
}

/// The keys are on, and to say so again loses nothing.
#[tokio::test]
async fn foreign_keys_that_are_on_may_be_turned_on_everywhere() {
    let db = family().await;
    for sql in ["PRAGMA foreign_keys = ON", "PRAGMA foreign_keys(1); SELECT 1"] {
        let sql = || sqlx::raw_sql(sql);
        db.execute(sql()).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn what_would_reach_one_session_of_many_is_refused_with_the_way_that_works() {
    let db = family().await;
    for sql in [
        "PRAGMA foreign_keys = OFF",
        "PRAGMA synchronous = NORMAL",
        "PRAGMA cache_size = 99",
        "SELECT 1; PRAGMA busy_timeout(7)",
        "PRAGMA journal_mode = MEMORY",
        "ATTACH 'file:other?mode=memory' AS other",
        "DETACH other",
    ] {
        assert_refused(db.execute(sqlx::raw_sql(sql)).await.unwrap_err(), "after_connect");
        assert_refused(db.fetch_all(sqlx::raw_sql(sql)).await.unwrap_err(), "after_connect");
        db.fetch_optional(AssertSqlSafe(sql).into_sql_str()).await.unwrap_err();
    }
    for sql in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA user_version = 7",
        "PRAGMA wal_checkpoint",
        "PRAGMA optimize",
    ] {
        db.execute(sql).await.expect(sql);
    }
    let seven: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&*db).await.unwrap();
    assert_eq!(seven, 7);
    db.assert_at_rest().await;
}

/// Everything is on the one session there.
#[tokio::test]
async fn a_pool_of_one_session_takes_settings_through_its_handle() {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    db.execute("PRAGMA cache_size = 99").await.unwrap();
    db.execute("ATTACH ':memory:' AS other").await.unwrap();
    db.execute("CREATE TABLE other.t (id INT)").await.unwrap();
    let size: i64 = sqlx::query_scalar("PRAGMA cache_size").fetch_one(&db).await.unwrap();
    assert_eq!(size, 99);
}

/// A scope on this session could not be rolled back.
#[tokio::test]
async fn a_session_cannot_be_robbed_of_its_journal() {
    let db = family().await;
    let mut session = db.session().await.unwrap();
    let off = "PRAGMA journal_mode = OFF";
    assert_refused(session.execute(off).await.unwrap_err(), "connect options");
    assert_refused(db.execute(off).await.unwrap_err(), "");
    let memory = Db::<Sqlite>::connect("sqlite::memory:").await.unwrap();
    assert_refused(memory.execute(off).await.unwrap_err(), "connect options");
}

/// The session gets back the setting that a migration forgot to turn on again, or that a failed one
/// could not.
#[tokio::test]
async fn foreign_keys_are_enforced_after_a_migration_that_left_them_off() {
    for (sql, fails) in [
        ("PRAGMA foreign_keys = OFF", false),
        ("PRAGMA foreign_keys = OFF; BEGIN; CREATE NONSENSE", true),
    ] {
        let db = Fixture::<Sqlite>::of_sessions(1).await;
        let migrated = db.migrate(&migrator(sql, true)).await;
        assert_eq!(migrated.is_err(), fails);
        let on: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&*db).await.unwrap();
        assert_eq!(on, 1, "{sql}");
        db.assert_at_rest().await;
    }
    let options: SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
    let db = Db::<Sqlite>::builder(options.foreign_keys(false)).connect().await.unwrap();
    // The first migration says that the keys are to be on, in a transaction.
    let refused = db.migrate(&migrator("SELECT 1", true)).await;
    assert_refused(refused.unwrap_err(), "ignores it");
}
