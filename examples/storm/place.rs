//! Where the storm takes place: a database that was given, or a throwaway one.

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::faults::Faults;
use crate::settings::Arguments;

pub(crate) struct Place<O> {
    /// The way there, which may be a rough one.
    pub(crate) options: O,
    /// The way for those who look after it.
    pub(crate) direct: O,
    pub(crate) faults: Option<Faults>,
    /// What goes when we do: a directory, a server.
    pub(crate) _keep: Option<Box<dyn Send>>,
}

impl<O: Clone> Place<O> {
    fn quiet(options: O) -> Self {
        Self {
            direct: options.clone(),
            options,
            faults: None,
            _keep: None,
        }
    }
}

pub(crate) fn sqlite(arguments: &Arguments) -> Result<Place<SqliteConnectOptions>> {
    if let Some(url) = &arguments.database {
        let options: SqliteConnectOptions = url.parse().context("--database: not a SQLite URL")?;
        return Ok(Place::quiet(options.create_if_missing(true)));
    }
    let directory: TempDir = tempfile::tempdir().context("make a temporary directory")?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("storm.db"))
        .create_if_missing(true);
    Ok(Place {
        _keep: Some(Box::new(directory)),
        ..Place::quiet(options)
    })
}

/// The two differ in names only.
macro_rules! on_a_server {
    ($name:ident, $Options:ty, $server:ident) => {
        pub(crate) async fn $name(arguments: &Arguments) -> Result<Place<$Options>> {
            use txn_test_servers::Options;
            if let Some(url) = &arguments.database {
                return Ok(Place::quiet(url.parse().context("--database")?));
            }
            let options = Options::$server()
                .durable(arguments.faults)
                .tcp(arguments.faults);
            let server = tokio::task::block_in_place(|| options.start())?;
            let place: Place<$Options> = Place::quiet(server.url().parse()?);
            if !arguments.faults {
                return Ok(Place {
                    _keep: Some(Box::new(server)),
                    ..place
                });
            }
            let options: $Options = server.tcp_url().parse()?;
            let faults = Faults::new(server, options.get_port(), arguments.settings.seed).await?;
            Ok(Place {
                options: options.port(faults.network.port),
                faults: Some(faults),
                ..place
            })
        }
    };
}

#[cfg(feature = "postgres")]
on_a_server!(postgres, sqlx::postgres::PgConnectOptions, postgres);
#[cfg(feature = "mysql")]
on_a_server!(mysql, sqlx::mysql::MySqlConnectOptions, mariadb);
