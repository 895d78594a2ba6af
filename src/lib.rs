//! Facade; documented later.

pub use sqlx;
pub use txn_macros::transactional;
pub use txn_runtime::*;

#[doc(hidden)]
pub use txn_runtime::private as __private;
