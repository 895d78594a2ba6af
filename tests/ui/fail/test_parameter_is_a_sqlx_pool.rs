extern crate self as core;
#[path = "../kept.rs"]
mod prelude;

#[txn::test]
async fn transfers(pool: sqlx::SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT 1").execute(&pool).await?;
    Ok(())
}

fn main() {}
