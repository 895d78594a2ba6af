use txn::{Db, Sqlite};

#[txn::test]
async fn transfers(db: Db<Sqlite>, cents: i64) {
    sqlx::query("SELECT ?").bind(cents).execute(&db).await.unwrap();
}

fn main() {}
