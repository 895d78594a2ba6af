use txn::{Db, Sqlite, transactional};

struct Shop {
    db: Db<Sqlite>,
}

impl Shop {
    #[transactional(self.db as &mut tx)]
    async fn place(&self, order: i64) -> Result<i64, txn::Error> {
        Ok(order)
    }
}

fn main() {}
