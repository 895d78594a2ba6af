use txn::{Sqlite, Tx, transactional};

#[transactional]
async fn forever(tx: &mut Tx<Sqlite>) -> ! {
    loop {
        let _ = sqlx::query("SELECT 1").execute(&mut *tx).await;
    }
}

fn main() {}
