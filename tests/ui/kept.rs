//! A `core::prelude` whose `#[test]` keeps the function: `cargo check`, which these cases are compiled by, leaves out what
//! the real one marks, with all that is wrong in it.

pub mod v1 {
    pub use tracing::instrument as test;
}
