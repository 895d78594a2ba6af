//! What is measured on: private servers, a proxy in front of each, a file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use txn_test_servers::{Options, Server};

use crate::admin::Admin;
use crate::place::{Engine, Place};
use crate::plan::Way;
use crate::proxy::Proxy;

/// Each way.
pub const DELAY: Duration = Duration::from_micros(500);

/// Starts what is asked for first, and keeps it.
#[derive(Default)]
pub struct Ground {
    postgres: Option<Station>,
    mariadb: Option<Station>,
    file: Option<(Place, TempDir)>,
}

/// A server and the ways to it.
pub struct Station {
    server: Server,
    socket: Place,
    tcp: Place,
    far: Place,
    proxy: Proxy,
}

/// Where a cell runs.
pub struct Spot<'a> {
    pub place: Place,
    /// The same without a proxy in between.
    pub direct: Place,
    /// Processes that take part.
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

/// As in production, but for the disk: the data is in memory where there is /dev/shm, so that a commit costs what
/// client and server do for it, and no figure is the disk's.
fn options(engine: Engine) -> Options {
    match engine {
        Engine::MariaDb => Options::mariadb().arguments(["--innodb-buffer-pool-size=256M"]),
        _ => Options::postgres().arguments([
            "-c",
            "shared_buffers=256MB",
            // The harness cleans up between the runs; who would be hit by it otherwise is chance.
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

/// Makes the tables, and says what the database is set to.
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
