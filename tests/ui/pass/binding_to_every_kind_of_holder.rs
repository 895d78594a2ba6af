use std::sync::Arc;
use txn::{Db, Sqlite, Tx, transactional};

struct Shop<'a> {
    shared: Arc<Db<Sqlite>>,
    boxed: Box<Db<Sqlite>>,
    lent: &'a Db<Sqlite>,
}

impl Shop<'_> {
    #[transactional(self.shared as tx)]
    async fn shared(&self) -> Result<(), txn::Error> {
        touch(tx).await
    }

    #[transactional(self.boxed as tx)]
    async fn boxed(&self) -> Result<(), txn::Error> {
        touch(tx).await
    }

    #[transactional(self.lent as tx)]
    async fn lent(&self) -> Result<(), txn::Error> {
        touch(tx).await
    }

    #[transactional(self.shared.as_ref() as tx)]
    async fn called(&self) -> Result<(), txn::Error> {
        touch(tx).await
    }
}

#[transactional(db as tx)]
async fn argument(db: Db<Sqlite>) -> Result<(), txn::Error> {
    touch(tx).await
}

#[transactional]
async fn touch(tx: &mut Tx<Sqlite>) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), txn::Error> {
    let db = Db::<Sqlite>::connect("sqlite::memory:").await?;
    let shop = Shop {
        shared: Arc::new(db.clone()),
        boxed: Box::new(db.clone()),
        lent: &db,
    };
    shop.shared().await?;
    shop.boxed().await?;
    shop.lent().await?;
    shop.called().await?;
    argument(db.clone()).await?;
    Ok(())
}
