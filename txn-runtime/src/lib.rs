//! The runtime of [txn](https://docs.rs/txn-rs): sessions, scopes, settling. Use it through the
//! crate `txn-rs`.
//!
//! The invariants that the modules cite:
//!
//! 1. A session is in the pool only if its last protocol exchange completed and it is outside a
//!    transaction.
//! 2. The guard exists before the statement is sent and is defused after its answer was read, never
//!    the other way.
//! 3. All transaction SQL (BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, ROLLBACK TO) goes through
//!    one module.
//! 4. Every cleanup is bounded by `settle_timeout`; past it the session is closed and its slot
//!    freed.
//! 5. A cleanup holds its pool slot until it ends or its connection is lost, so that the pool never
//!    has more than `max_sessions` connections, and a server that is gone holds no slot.
//! 6. `Ok` is returned only after the server confirmed the COMMIT of a transaction that was not
//!    aborted.
//! 7. A failed scope's own error is never masked by a failure of its rollback (that one is an
//!    event; the session is closed). Only the news that a part of it may be committed takes its
//!    place, and quotes it.
//! 8. Cleanup never needs the caller's runtime context: `Drop` uses the runtime that the `Db` was
//!    made with, and if that is gone, another.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(
        dead_code,
        unused,
        reason = "without an engine there is nothing to run"
    )
)]

mod db;
mod engine;
mod model;
mod observe;
mod pool;
#[doc(hidden)]
pub mod private;
mod scope;
mod tx;

#[cfg(feature = "mysql")]
pub use sqlx::MySql;
#[cfg(feature = "postgres")]
pub use sqlx::Postgres;
#[cfg(feature = "sqlite")]
pub use sqlx::Sqlite;

pub use crate::db::{Autocommit, DbBuilder};
pub use crate::engine::{ConnectOptionsOf, Engine};
pub use crate::model::error::{Cause, Error};
pub use crate::model::location::Location;
pub use crate::model::open_scope::{Holder, OpenScope, ScopeState, WaitsFor};
pub use crate::model::options::{BeginOptions, Isolation};
pub use crate::model::outcome::{Outcome, Verdict};
pub use crate::model::reset::{Reset, SessionMeta};
pub use crate::model::retry::Retry;
pub use crate::pool::gate::Breaker;
pub use crate::pool::hooks::CommittedHook;
pub use crate::pool::{Cancel, Db, Session, Status};
pub use crate::scope::{Joinable, Provide, Source};
pub use crate::tx::{Sandbox, Tx};
