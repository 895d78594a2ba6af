//! Guides: how code on plain sqlx becomes code on txn, and how annotated functions are put together.
//!
//! All code in them is compiled, and what needs no server is run.

#[doc = include_str!("guide/from_sqlx.md")]
pub mod from_sqlx {}

#[doc = include_str!("guide/composition.md")]
pub mod composition {}
