use txn::{Sqlite, Tx};

#[txn::test]
async fn transfers(tx: &mut Tx<Sqlite>) {
    sqlx::query("SELECT 1").execute(tx).await.unwrap();
}

fn main() {}
