use txn::{Db, Sqlite};

#[txn::test("migrations")]
async fn transfers(db: Db<Sqlite>) {
    sqlx::query("SELECT 1").execute(&db).await.unwrap();
}

fn main() {}
