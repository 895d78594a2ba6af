//! The helpers that the cases are made of; no module here is itself a case.
//!
//! | module | gives a case |
//! |---|---|
//! | `fixture` | a handle on a database of its own, with the table `t` |
//! | `engine`, `dialect`, `row_streams`, `session_leftovers` | what differs between the engines |
//! | `server_engine`, `server_limits` | what differs between the engines that have a server |
//! | `observer` | what the server itself says of the sessions of a test |
//! | `proxy`, `route` | a hand on the wire, and on the way to the server |
//! | `drop_points`, `drop_trial` | futures dropped at exact points, and what must follow |
//! | `statement_recorder`, `wire_statements` | the statements that a database was sent |
//! | `warnings`, `metrics_ledger` | the log lines and the metrics of the runtime |
//! | `operations_page` | the guide to operations, and what it quotes |
//! | `child_process` | a process that runs nothing but this test |

pub(crate) mod child_process;
pub(crate) mod dialect;
pub(crate) mod drop_points;
pub(crate) mod drop_trial;
pub(crate) mod engine;
pub(crate) mod fixture;
#[cfg(feature = "metrics")]
pub(crate) mod metrics_ledger;
pub(crate) mod observer;
pub(crate) mod operations_page;
pub(crate) mod proxy;
pub(crate) mod route;
pub(crate) mod row_streams;
pub(crate) mod server_engine;
pub(crate) mod server_limits;
pub(crate) mod session_leftovers;
pub(crate) mod statement_recorder;
pub(crate) mod warnings;
pub(crate) mod wire_statements;
