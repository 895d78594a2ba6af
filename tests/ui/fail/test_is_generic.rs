use txn::{Db, Engine};

#[txn::test]
async fn transfers<DB: Engine>(db: Db<DB>) {
    db.close().await;
}

fn main() {}
