//! Drops scopes at every moment, injects faults into a server and the network to it, and proves
//! that nothing was lost. The examples `storm` and `dashboard` share this. The example `bank` uses
//! its abstraction over the engines.
//!
//! A [`Scenario`] says what one scope does and how it ends. [`run`] runs it on a [`Subject`], for
//! example a `Db` of txn, and a [`Record`] keeps what its caller and its hooks were told.
//! [`Violations`] compares all records of a [`Journal`] with [the contents of the
//! database](bank::Contents), which are read over a separate connection.
//!
//! - `transfer`, `bank`: the scopes, which are annotated functions, and the tables.
//! - `scenario`, `interrupt`, `record`, `journal`: the plan of a scope, its execution, its record,
//!   and the check of all records.
//! - `database`, `network`: a database, the connection to it, and the faults of both.
//! - `engine`, `query`: the differences between the engines, and statements for all of them.

#![allow(
    missing_docs,
    reason = "unpublished: a comment is for what a name does not say"
)]

pub mod bank;
mod database;
mod engine;
mod failure;
mod interrupt;
mod journal;
mod network;
mod query;
mod record;
mod scenario;
pub mod transfer;

pub use database::{Database, EngineName, FaultyServer, Target};
pub use engine::{Engine, Value};
pub use failure::Failure;
pub use interrupt::{Subject, run, unless_first};
pub use journal::{Journal, Violations};
pub use network::Network;
pub use query::{Statement, query};
pub use record::{Fee, HookOutcome, Note, Outcome, Record, silence_injected_panics};
pub use scenario::{Delay, Interruption, Limits, Phase, Scenario, Shape};
