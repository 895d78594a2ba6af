//! The output: tables and plots.

pub mod plot;
pub mod promises;
pub mod table;
