use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn label(tx: &mut Tx<Sqlite>, id: i64) -> Result<&'static str, txn::Error> {
    let label = format!("account {id}");
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(label.as_str())
}

fn main() {}
