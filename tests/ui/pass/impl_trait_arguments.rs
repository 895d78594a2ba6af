use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn log(
    tx: &mut Tx<Sqlite>,
    text: impl Into<String>,
    lines: impl IntoIterator<Item = i64>,
) -> Result<i64, txn::Error> {
    sqlx::query("SELECT ?")
        .bind(text.into())
        .execute(tx)
        .await?;
    Ok(lines.into_iter().sum())
}

fn main() {}
