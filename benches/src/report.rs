//! What is shown and written.

pub mod summary;
pub mod table;
