use txn::{Sqlite, Tx, transactional};

enum BankError {
    Overdrawn,
}

#[transactional]
async fn debit(tx: &mut Tx<Sqlite>, cents: i64) -> Result<(), BankError> {
    let done = sqlx::query("SELECT ?").bind(cents).execute(tx).await;
    done.map(drop).map_err(|_| BankError::Overdrawn)
}

fn main() {}
