//! Creates the tables, and checks their contents.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};

use crate::place::{Engine, Place, sqlite_options};
use crate::workloads::{ACCOUNTS, Effect};

/// A connection of the harness itself.
pub enum Admin {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// The contents of the tables before a run.
#[derive(Clone, Copy)]
pub struct Before {
    sum: i64,
}

impl Admin {
    pub async fn connect(place: &Place) -> Result<Self> {
        let url = &place.url;
        Ok(match place.engine {
            Engine::Postgres => Self::Postgres(PgConnection::connect(url).await?),
            Engine::MariaDb => Self::MariaDb(MySqlConnection::connect(url).await?),
            Engine::Sqlite => {
                Self::Sqlite(SqliteConnection::connect_with(&sqlite_options(place)?).await?)
            }
        })
    }

    pub async fn create_tables(&mut self) -> Result<()> {
        self.run("DROP TABLE IF EXISTS account").await?;
        self.run("DROP TABLE IF EXISTS ledger").await?;
        // Free space on each page means that a new version of a row needs no new index entry.
        let room = match self {
            Self::Postgres(_) => "WITH (fillfactor = 50)",
            _ => "",
        };
        self.run(&format!(
            "CREATE TABLE account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL) {room}"
        ))
        .await?;
        self.run("CREATE TABLE ledger (debtor BIGINT, creditor BIGINT, cents BIGINT)")
            .await?;
        if let Self::MariaDb(_) = self {
            self.run("SET max_recursive_iterations = 1000000").await?;
        }
        self.run(&format!(
            "INSERT INTO account WITH RECURSIVE n (id) AS \
             (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {ACCOUNTS}) \
             SELECT id, 100000 FROM n"
        ))
        .await
    }

    /// Gives every run the same start: an empty ledger, and nothing left to clean up.
    pub async fn before_run(&mut self) -> Result<Before> {
        let clean: &[&str] = match self {
            Self::Postgres(_) => &["TRUNCATE ledger", "VACUUM account", "CHECKPOINT"],
            Self::MariaDb(_) => &["TRUNCATE ledger"],
            Self::Sqlite(_) => &["DELETE FROM ledger", "PRAGMA wal_checkpoint(TRUNCATE)"],
        };
        for statement in clean {
            self.run(statement).await?;
        }
        Ok(Before {
            sum: self.sum().await?,
        })
    }

    /// Returns how many of the finished transactions are missing. It is an error if there are
    /// changes that no transaction made.
    pub async fn missing(
        &mut self,
        before: Before,
        effect: Effect,
        finished: i64,
        dropped: i64,
    ) -> Result<i64> {
        let rows = self.number("SELECT count(*) FROM ledger").await?;
        let sum = self.sum().await? - before.sum;
        ensure!(
            effect.sum == 1 || sum == 0,
            "the sum of all balances has changed by {sum}: a transaction was done by halves"
        );
        let found = if effect.sum == 1 { sum } else { rows };
        let expected = finished * effect.rows.max(effect.sum);
        let most = expected + dropped * effect.rows.max(effect.sum);
        ensure!(
            found <= most,
            "{found} of at most {most} transactions happened"
        );
        Ok((expected - found).max(0))
    }

    pub async fn run(&mut self, sql: &str) -> Result<()> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Postgres(it) => it.execute(sql).await.map(|_| ())?,
            Self::MariaDb(it) => it.execute(sql).await.map(|_| ())?,
            Self::Sqlite(it) => it.execute(sql).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Queries a setting as text.
    pub async fn text(&mut self, sql: &str) -> Result<String> {
        let sql = AssertSqlSafe(sql);
        Ok(match self {
            Self::Postgres(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
            Self::MariaDb(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
            Self::Sqlite(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
        })
    }

    async fn sum(&mut self) -> Result<i64> {
        let kind = match self {
            Self::MariaDb(_) => "SIGNED",
            _ => "BIGINT",
        };
        self.number(&format!("SELECT CAST(sum(balance) AS {kind}) FROM account"))
            .await
    }

    async fn number(&mut self, sql: &str) -> Result<i64> {
        let sql = AssertSqlSafe(sql);
        Ok(match self {
            Self::Postgres(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
            Self::MariaDb(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
            Self::Sqlite(it) => sqlx::query_scalar(sql).fetch_one(it).await?,
        })
    }
}
