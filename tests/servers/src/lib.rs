//! Private, throwaway PostgreSQL and MariaDB servers for tests.
//!
//! ```no_run
//! let server = txn_test_servers::Server::postgres()?;
//! println!("{}", server.url()); // postgres://postgres@localhost/postgres?host=...
//! # Ok::<(), txn_test_servers::Error>(())
//! ```
//!
//! Most tests use [`shared_postgres_url`] and [`shared_mariadb_url`]: each run has one server per
//! engine, and each test creates its own database there ([`with_database`]). A test that stops,
//! kills or restarts a server starts its own.
//!
//! A server listens on a unix socket in its own directory, so that ports cannot clash, and its data
//! is in `/dev/shm` if that is large enough. It never outlives its owner, however the owner ends:
//! see `home.rs`.

mod account;
mod engine;
mod error;
mod home;
mod mariadb;
mod options;
mod place;
mod postgres;
mod process;
mod programs;
mod server;
mod shared;
mod sweep;
mod template;

pub use error::Error;
pub use options::Options;
pub use programs::missing_packages;
pub use server::Server;
pub use shared::{Run, shared_mariadb_url, shared_postgres_url, with_database};

type Result<T, E = Error> = std::result::Result<T, E>;
