//! What is counted and measured, through the facade of the crate `metrics`.
//!
//! All metrics are rows of [`table`]; [`declare`] makes handles, descriptions and moves of them.
//! The [`listener`] holds the rows of a `Db`, and those of each name that its scopes have.

#[cfg(all(test, feature = "sqlite"))]
mod cost;
mod declare;
mod handle;
mod listener;
mod table;

pub(super) use self::listener::Metrics;
