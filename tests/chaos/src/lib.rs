//! Scopes that are dropped at every moment, faults of a server and of the network to it, and the
//! proof that nothing was lost: what the examples `storm` and `dashboard` share, and with `bank`
//! the way to run one program on every engine.
//!
//! A [`Scenario`] says what one scope is to do and how it is to end. [`run`] does that to a
//! [`Subject`], a `Db` of txn for one, and a [`Record`] keeps what its caller and its hooks were
//! told. [`Violations`] holds all records of a [`Journal`] against [what the database
//! has](bank::Contents), which is read over a connection of its own.
//!
//! - `transfer`: the scopes, annotated functions; `bank`: the tables.
//! - `scenario`, `interrupt`, `record`, `journal`: what is to become of a scope, seeing to it, and
//!   whether it is so.
//! - `database`, `network`: a database, the way to it, and the faults of both.
//! - `engine`, `query`: what differs between the engines, and statements for all of them.

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
