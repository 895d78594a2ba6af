use txn::{Db, Sqlite};

#[txn::test]
async fn transfers(db: Db<Sqlite>) -> impl std::process::Termination {
    sqlx::query("SELECT 1").execute(&db).await.map(drop)
}

fn main() {}
