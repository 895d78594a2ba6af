#![no_implicit_prelude]

use ::txn::{Sqlite, Tx, transactional};

#[transactional(isolation = serializable, commit_on(_))]
async fn touch(tx: &mut Tx<Sqlite>) -> ::core::result::Result<(), ::txn::Error> {
    ::sqlx::Executor::execute(tx, "SELECT 1").await?;
    ::core::result::Result::Ok(())
}

struct Shop {
    db: ::txn::Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as tx, name = "shop.touch")]
    async fn touch(&self) -> ::core::result::Result<(), ::txn::Error> {
        touch(tx).await
    }
}

fn main() {}
