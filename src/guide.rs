//! Guides: what txn promises and where that ends, what other crates do in the same place, how code
//! on plain sqlx becomes code on txn, how annotated functions are put together, what to do when a
//! service in operation says that something is wrong, and which faults that others have met were
//! tried.
//!
//! All code in them is compiled, and what needs no server is run.

#[doc = include_str!("guide/promises.md")]
pub mod promises {}

#[doc = include_str!("guide/beside.md")]
pub mod beside {}

#[doc = include_str!("guide/from_sqlx.md")]
pub mod from_sqlx {}

#[doc = include_str!("guide/composition.md")]
pub mod composition {}

#[doc = include_str!("guide/operations.md")]
pub mod operations {}

#[doc = include_str!("guide/tried.md")]
pub mod tried {}
