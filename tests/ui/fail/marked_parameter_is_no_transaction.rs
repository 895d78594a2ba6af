use txn::transactional;

#[transactional]
async fn transfer(#[tx] connection: &mut sqlx::SqliteConnection) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(connection).await?;
    Ok(())
}

fn main() {}
