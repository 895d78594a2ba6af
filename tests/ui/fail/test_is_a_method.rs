use txn::{Db, Sqlite};

struct Bank;

impl Bank {
    #[txn::test]
    async fn transfers(&self, db: Db<Sqlite>) {
        sqlx::query("SELECT 1").execute(&db).await.unwrap();
    }
}

fn main() {}
