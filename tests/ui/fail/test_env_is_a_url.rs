use txn::{Db, Sqlite};

#[txn::test(env = "postgres://localhost/bank")]
async fn transfers(db: Db<Sqlite>) {
    sqlx::query("SELECT 1").execute(&db).await.unwrap();
}

fn main() {}
