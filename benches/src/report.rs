//! What is shown and written.

pub mod plot;
pub mod promises;
pub mod table;
