//! The databases that are measured on: private servers, each with a proxy in front, and a file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use txn_test_servers::{Options, Server};

use crate::admin::Admin;
use crate::place::{Engine, Place};
use crate::plan::Way;
use crate::proxy::Proxy;

/// The delay of the proxy in each direction.
pub const DELAY: Duration = Duration::from_micros(500);

/// The databases. Each is started at its first use, and then kept.
#[derive(Default)]
pub struct Ground {
    postgres: Option<Station>,
    mariadb: Option<Station>,
    file: Option<(Place, TempDir)>,
}

/// A server and the routes to it.
pub struct Station {
    server: Server,
    socket: Place,
    tcp: Place,
    far: Place,
    proxy: Proxy,
}

/// The database that a cell runs on, by one route.
pub struct Spot<'a> {
    pub place: Place,
    /// The same database without a proxy in between.
    pub direct: Place,
    /// The processes that take part in a measurement.
    pub pids: Vec<u32>,
    pub proxy: Option<&'a mut Proxy>,
}

impl Ground {
    pub fn spot(&mut self, engine: Engine, way: Way) -> Result<Spot<'_>> {
        let station = match engine {
            Engine::Postgres => station(&mut self.postgres, engine)?,
            Engine::MariaDb => station(&mut self.mariadb, engine)?,
            Engine::Sqlite => {
                let place = file(&mut self.file)?;
                return Ok(Spot {
                    direct: place.clone(),
                    place,
                    pids: Vec::new(),
                    proxy: None,
                });
            }
        };
        station.spot(way)
    }
}

impl Station {
    fn start(engine: Engine) -> Result<Self> {
        let server = options(engine).tcp(true).durable(true).start()?;
        let socket = Place::server(engine, &server.url())?;
        let tcp = Place::server(engine, &server.tcp_url())?;
        prepare(&socket)?;
        let proxy = Proxy::start(tcp.port, DELAY)?;
        let far = tcp.through(proxy.port)?;
        Ok(Self {
            server,
            socket,
            tcp,
            far,
            proxy,
        })
    }

    fn spot(&mut self, way: Way) -> Result<Spot<'_>> {
        let mut pids = vec![self.server.pid().context("the server runs")?];
        let is_far = way == Way::Far;
        pids.extend(is_far.then(|| self.proxy.pid()));
        let place = match way {
            Way::Far => &self.far,
            Way::Socket => &self.socket,
            Way::Tcp | Way::File => &self.tcp,
        };
        Ok(Spot {
            place: place.clone(),
            direct: self.socket.clone(),
            pids,
            proxy: is_far.then_some(&mut self.proxy),
        })
    }
}

fn station(slot: &mut Option<Station>, engine: Engine) -> Result<&mut Station> {
    if slot.is_none() {
        *slot = Some(Station::start(engine)?);
    }
    slot.as_mut().context("just started")
}

/// Returns the options of a server as in production, except for the disk: the data is in memory if
/// there is /dev/shm, so that no figure depends on the disk.
fn options(engine: Engine) -> Options {
    match engine {
        Engine::MariaDb => Options::mariadb().arguments(["--innodb-buffer-pool-size=256M"]),
        _ => Options::postgres().arguments([
            "-c",
            "shared_buffers=256MB",
            // The harness vacuums between the runs. Autovacuum would hit a run by chance.
            "-c",
            "autovacuum=off",
            "-c",
            "max_wal_size=4GB",
        ]),
    }
}

fn file(slot: &mut Option<(Place, TempDir)>) -> Result<Place> {
    if slot.is_none() {
        let memory = Path::new("/dev/shm");
        let directory = match memory.is_dir() {
            true => TempDir::with_prefix_in("txn-bench-", memory)?,
            false => TempDir::with_prefix("txn-bench-")?,
        };
        let place = Place::sqlite(&directory.path().join("bench.db"));
        prepare(&place)?;
        *slot = Some((place, directory));
    }
    let (place, _) = slot.as_ref().context("just made")?;
    Ok(place.clone())
}

/// Creates the tables, and prints the settings of the database.
fn prepare(place: &Place) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut admin = Admin::connect(place).await?;
        admin.create_tables().await?;
        println!("{}", settings(&mut admin).await?);
        anyhow::Ok(())
    })
}

async fn settings(admin: &mut Admin) -> Result<String> {
    let (title, questions): (_, &[&str]) = match admin {
        Admin::Postgres(_) => (
            admin
                .text("SELECT 'PostgreSQL ' || current_setting('server_version')")
                .await?,
            &[
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "shared_buffers",
                "autovacuum",
            ],
        ),
        Admin::MariaDb(_) => (
            admin.text("SELECT concat('MariaDB ', version())").await?,
            &[
                "innodb_flush_log_at_trx_commit",
                "innodb_buffer_pool_size",
                "log_bin",
            ],
        ),
        Admin::Sqlite(_) => (
            admin.text("SELECT 'SQLite ' || sqlite_version()").await?,
            &["journal_mode"],
        ),
    };
    let mut said = Vec::new();
    for name in questions {
        let sql = match admin {
            Admin::Postgres(_) => format!("SHOW {name}"),
            Admin::MariaDb(_) => format!("SELECT CAST(@@{name} AS CHAR)"),
            Admin::Sqlite(_) => format!("PRAGMA {name}"),
        };
        said.push(format!("{name} {}", admin.text(&sql).await?));
    }
    Ok(format!("{title}: {}", said.join(", ")))
}
