use txn::{Db, Sqlite};

#[txn::test(migration = "migrations", env, env = "BANK_URL")]
#[should_panic]
unsafe fn transfers<'a>(cents: &'a i64, db: Db<Sqlite>) -> impl Sized {
    sqlx::query("SELECT ?").bind(cents).execute(&db).await.unwrap();
}

fn main() {}
