//! Resets the session of a database in memory to how it was opened. It cannot be closed instead, or
//! the database would be lost. The session of a file is closed.

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Executor, Row, Sqlite, ValueRef};

use super::place::in_memory;
use super::pragma::OF_A_SESSION;
#[cfg(feature = "migrate")]
use super::pragma::has_foreign_keys;
use crate::engine::{AsOpened, Renewal, Resets};

/// Keys in [`AsOpened`] for attached databases and for temporary tables, views and triggers. All
/// other keys are names of settings, which do not begin with a space.
const ATTACHED: &str = " attached";
const TEMPORARY: &str = " temporary";

impl Resets for Sqlite {
    #[cfg(feature = "migrate")]
    fn after_migrations(options: &SqliteConnectOptions) -> Option<&'static str> {
        Some(match has_foreign_keys(options) {
            true => "PRAGMA foreign_keys = ON",
            false => "PRAGMA foreign_keys = OFF",
        })
    }

    async fn as_opened(
        connection: &mut SqliteConnection,
        options: &SqliteConnectOptions,
    ) -> Result<AsOpened, sqlx::Error> {
        match in_memory(options) {
            true => read_state(connection).await,
            false => Ok(AsOpened::default()),
        }
    }

    async fn reset(
        connection: &mut SqliteConnection,
        options: &SqliteConnectOptions,
        as_opened: &AsOpened,
    ) -> Result<Renewal, sqlx::Error> {
        if !in_memory(options) {
            return Ok(Renewal::Close);
        }
        restore(connection, as_opened).await?;
        Ok(Renewal::AsOpened)
    }

    /// PRAGMA is not here, since it leaves something only if it sets a value.
    const LEAVES: &'static [&'static str] = &["ATTACH", "DETACH"];
}

/// Reads everything that a user may change.
async fn read_state(connection: &mut SqliteConnection) -> Result<AsOpened, sqlx::Error> {
    let mut seen = Vec::new();
    for name in OF_A_SESSION {
        if let Some(value) = setting(connection, name).await? {
            seen.push(((*name).to_owned(), value));
        }
    }
    for database in attached(connection).await? {
        seen.push((ATTACHED.to_owned(), database));
    }
    for (_, name) in temporary(connection).await? {
        seen.push((TEMPORARY.to_owned(), name));
    }
    Ok(AsOpened(seen))
}

/// Restores what was read. Temporary tables are dropped first, since a change of `temp_store`
/// deletes them all.
async fn restore(connection: &mut SqliteConnection, to: &AsOpened) -> Result<(), sqlx::Error> {
    let was_there = |kind: &str, name: &str| to.0.iter().any(|(of, is)| of == kind && is == name);
    for (kind, name) in temporary(connection).await? {
        if !was_there(TEMPORARY, &name) {
            // A trigger may have gone with its table.
            run(
                connection,
                format!("DROP {kind} IF EXISTS temp.{}", quoted(&name)),
            )
            .await?;
        }
    }
    for name in attached(connection).await? {
        if !was_there(ATTACHED, &name) {
            run(connection, format!("DETACH {}", quoted(&name))).await?;
        }
    }
    for (name, value) in &to.0 {
        if !name.starts_with(' ') && setting(connection, name).await?.as_ref() != Some(value) {
            run(connection, format!("PRAGMA {name} = {}", quoted(value))).await?;
        }
    }
    Ok(())
}

/// Runs a statement.
async fn run(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(sql)).await.map(drop)
}

/// Runs a query, and reads its answer to the end.
async fn rows(
    connection: &mut SqliteConnection,
    sql: String,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    connection.fetch(AssertSqlSafe(sql)).try_collect().await
}

/// The value of a setting; `None` if it cannot be read.
async fn setting(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<Option<String>, sqlx::Error> {
    let rows = rows(connection, format!("PRAGMA {name}")).await?;
    let text = |row: &SqliteRow| match row.try_get_raw(0) {
        Ok(value) if !value.is_null() => row.try_get_unchecked::<String, _>(0).ok(),
        _ => None,
    };
    Ok(rows.first().and_then(text))
}

/// The names of the attached databases.
async fn attached(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let rows = rows(connection, "PRAGMA database_list".to_owned()).await?;
    let names = rows.iter().map(|row| row.try_get::<String, _>(1));
    let others = |name: &String| !matches!(&**name, "main" | "temp");
    names
        .filter(|name| name.as_ref().map_or(true, others))
        .collect()
}

/// The temporary tables, views and triggers, each with its kind and its name.
async fn temporary(
    connection: &mut SqliteConnection,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let select = "SELECT type, name FROM sqlite_temp_schema \
        WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let rows = rows(connection, select.to_owned()).await?;
    let named = |row: &SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(named).collect()
}

/// A name, or a value, in quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
