//! The options with which connections are opened from now on. They can be replaced while the pool
//! is in use: passwords are rotated.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::Db;
use crate::engine::{ConnectOptionsOf, Engine};

/// The options of the next connection, of the pool's and of the control connection.
pub(crate) struct CurrentOptions<DB: Engine>(RwLock<Arc<ConnectOptionsOf<DB>>>);

impl<DB: Engine> CurrentOptions<DB> {
    pub(super) fn new(options: ConnectOptionsOf<DB>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(options))))
    }

    pub(super) fn get(&self) -> Arc<ConnectOptionsOf<DB>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn set(&self, options: ConnectOptionsOf<DB>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
    }
}

/// Without the options, which may have a password in them.
impl<DB: Engine> fmt::Debug for CurrentOptions<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentOptions").finish_non_exhaustive()
    }
}

impl<DB: Engine> Db<DB> {
    /// Sets the options with which sessions are opened from now on, such as a new password.
    /// Sessions that are open stay as they are.
    ///
    /// The options have to lead to the same database: a cancel is sent over a connection that is
    /// opened with them, and the settings of the builder stay. All clones of the handle are meant,
    /// and sandboxes too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use txn_runtime::{Db, Error, Postgres};
    /// # fn rotate(db: &Db<Postgres>, options: sqlx::postgres::PgConnectOptions, new: &str) {
    /// db.set_connect_options(options.password(new));
    /// # }
    /// ```
    pub fn set_connect_options(&self, options: ConnectOptionsOf<DB>) {
        self.connector().current.set(options);
    }
}
