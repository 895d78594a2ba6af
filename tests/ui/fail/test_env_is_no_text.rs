use txn::{Db, Sqlite};

#[txn::test(env = BANK_URL)]
async fn transfers(db: Db<Sqlite>) {
    sqlx::query("SELECT 1").execute(&db).await.unwrap();
}

fn main() {}
