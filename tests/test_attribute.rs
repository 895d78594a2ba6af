//! The shapes of functions that `#[txn::test]` can be written on. `cargo check` leaves tests out,
//! so the shapes that must compile are here, and run.

#![deny(warnings, unused)]

use std::io;

use txn::{Db, Sandbox, Sqlite, transactional};

async fn one(db: &Db<Sqlite>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT 1").fetch_one(db).await
}

#[txn::test]
async fn returns_unit(db: Db<Sqlite>) {
    assert_eq!(one(&db).await.unwrap(), 1);
}

#[txn::test]
async fn returns_a_result(db: Db<Sqlite>) -> Result<(), sqlx::Error> {
    one(&db).await?;
    Ok(())
}

#[txn::test()]
async fn returns_an_error_of_any_type(db: Db<Sqlite>) -> Result<(), Box<dyn std::error::Error>> {
    if one(&db).await? == 1 {
        return Ok(());
    }
    Err(Box::new(io::Error::other("no database")))
}

#[txn::test]
#[ignore = "shows that it can be"]
async fn ignored(db: Db<Sqlite>) {
    drop(db);
    panic!("was not to run");
}

#[txn::test]
#[should_panic(expected = "no account")]
async fn panics(db: Db<Sqlite>) {
    one(&db).await.expect("a database");
    panic!("no account");
}

#[should_panic(expected = "no account")]
#[txn::test]
async fn attributes_above(_: Db<Sqlite>) {
    panic!("no account");
}

#[txn::test]
async fn parameter_is_not_used(_db: Db<Sqlite>) {}

#[txn::test]
async fn parameter_is_mutable(mut db: Db<Sqlite>) {
    db = db.clone();
    one(&db).await.unwrap();
}

#[txn::test]
async fn parameter_is_a_sandbox(sandbox: Sandbox<Sqlite>) {
    one(&sandbox).await.unwrap();
}

#[cfg(feature = "postgres")]
#[txn::test(env = "TXN_NO_SUCH_DATABASE_URL")]
#[should_panic(expected = "TXN_NO_SUCH_DATABASE_URL")]
async fn parameter_is_of_an_engine_that_needs_a_server(db: Db<txn::Postgres>) {
    drop(db);
}

type TestDb = Db<Sqlite>;

#[txn::test]
async fn parameter_has_an_alias(db: TestDb) {
    one(&db).await.unwrap();
}

mod renamed {
    pub(super) use txn::*;
}

#[renamed::test(crate = crate::renamed)]
async fn crate_has_another_path(db: renamed::Db<Sqlite>) {
    one(&db).await.unwrap();
}

#[cfg(feature = "migrate")]
#[txn::test(
    migrations = "tests/db/support/migrations",
    env = "TXN_NO_SUCH_DATABASE_URL"
)]
async fn migrates(db: Db<Sqlite>) -> Result<(), sqlx::Error> {
    let accounts: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'")
            .fetch_one(&db)
            .await?;
    assert!(accounts > 0);
    Ok(())
}

/// Each test on a server is run by another test, in a process whose environment names the server.
#[cfg(all(feature = "postgres", feature = "mysql", feature = "migrate"))]
mod servers {
    use std::process::Command;

    use txn::{Db, MySql, Postgres, Sandbox};
    use txn_test_servers::{shared_mariadb_url, shared_postgres_url, with_database};

    const ACCOUNTS: &str = "SELECT COUNT(*) FROM account";

    macro_rules! on {
        ($($first:ident $second:ident: $db:ident, $number:literal;)*) => {$(
            #[txn::test(migrations = "tests/db/support/migrations")]
            #[ignore = "run by the test of that server"]
            async fn $first(db: Db<$db>) -> Result<(), sqlx::Error> {
                adds_an_account(&db, $number).await
            }

            #[txn::test(migrations = "tests/db/support/migrations")]
            #[ignore = "run by the test of that server"]
            async fn $second(sandbox: Sandbox<$db>) -> Result<(), sqlx::Error> {
                adds_an_account(&sandbox, $number).await
            }
        )*};
    }

    on! {
        postgres_first postgres_second: Postgres, "2";
        mysql_first mysql_second: MySql, "3";
    }

    /// Finds the rows that the migrations have left, and no others.
    async fn adds_an_account<DB: txn::Engine>(db: &Db<DB>, id: &str) -> Result<(), sqlx::Error>
    where
        for<'r> i64: sqlx::Decode<'r, DB> + sqlx::Type<DB>,
        usize: sqlx::ColumnIndex<DB::Row>,
    {
        let count = async || sqlx::Executor::fetch_one(db, ACCOUNTS).await;
        let before: i64 = sqlx::Row::get(&count().await?, 0);
        assert_eq!(before, 1);
        let insert = format!("INSERT INTO account VALUES ({id}, 0)");
        sqlx::Executor::execute(db, sqlx::AssertSqlSafe(insert)).await?;
        let after: i64 = sqlx::Row::get(&count().await?, 0);
        assert_eq!(after, 2);
        Ok(())
    }

    /// Runs both tests twice: the second run finds the database migrated and otherwise as it was.
    fn run(tests: &str, url: &str) {
        for _ in 0..2 {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--include-ignored", tests]);
            let output = command.env("TEST_DATABASE_URL", url).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{text}");
            assert!(text.contains("2 passed"), "{text}");
        }
    }

    /// Creates an empty database for this process.
    fn created<DB: txn::Engine>(server: &str) -> String {
        let name = format!("test_attribute_{}", std::process::id());
        let create = format!("CREATE DATABASE {name}");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let db = Db::<DB>::connect(server).await.unwrap();
            sqlx::Executor::execute(&db, sqlx::AssertSqlSafe(create))
                .await
                .unwrap();
            db.close().await;
        });
        with_database(server, &name)
    }

    #[test]
    fn on_postgresql() {
        run("postgres_", &created::<Postgres>(shared_postgres_url()));
    }

    #[test]
    fn on_mysql() {
        run("mysql_", &created::<MySql>(shared_mariadb_url()));
    }
}

/// The expansion has names of its own, and this constant has one of them.
const SETUP: i64 = 1;

#[txn::test]
async fn run(run: Db<Sqlite>) {
    assert_eq!(one(&run).await.unwrap(), SETUP);
}

#[txn::test]
async fn r#move(db: Db<Sqlite>) {
    one(&db).await.unwrap();
}

#[txn::test]
#[transactional(_db as tx)]
async fn body_is_a_transaction(_db: Db<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

macro_rules! tests {
    ($($name:ident: $db:ty, $env:literal;)*) => {$(
        #[txn::test(env = $env)]
        async fn $name(db: $db) {
            one(&db).await.unwrap();
        }
    )*};
}

tests! {
    made_by_a_macro: Db<Sqlite>, "TXN_NO_SUCH_DATABASE_URL";
    made_by_a_macro_too: TestDb, "TXN_NO_SUCH_DATABASE_URL";
}

mod imported {
    use txn::test;

    use super::{Db, Sqlite};

    #[test]
    async fn by_its_short_name(db: Db<Sqlite>) -> Result<(), txn::Error> {
        super::one(&db).await?;
        Ok(())
    }
}

mod shadowed {
    use super::{Db, Sqlite};

    #[allow(dead_code, reason = "what the expansion could mistake for its own")]
    mod txn {}
    #[allow(dead_code, reason = "what the expansion could mistake for its own")]
    mod core {}

    #[::txn::test]
    async fn crates(db: Db<Sqlite>) {
        super::one(&db).await.unwrap();
    }
}
