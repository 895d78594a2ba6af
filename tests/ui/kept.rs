//! A `core::prelude` whose `#[test]` keeps the function. `cargo check`, which compiles these cases,
//! leaves out the functions that the real attribute marks, with all that is wrong in them.

pub mod v1 {
    pub use tracing::instrument as test;
}
