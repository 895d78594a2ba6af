#![deny(missing_docs, unused_must_use, dead_code)]
//! Documented.

mod bank {
    use txn::{Sqlite, Tx, transactional};

    /// Documented too.
    #[must_use = "say what became of it"]
    #[allow(dead_code)]
    #[transactional]
    #[cfg(not(any()))]
    #[inline]
    pub(super) async fn post(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
        #![allow(unused_variables)]
        let unused = 1;
        sqlx::query("SELECT 1").execute(tx).await?;
        Ok(())
    }
}

/// Reaches it.
pub async fn post(db: &txn::Db<txn::Sqlite>) -> Result<(), txn::Error> {
    bank::post(db).await
}

fn main() {}
