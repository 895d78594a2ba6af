use txn::{Sqlite, Tx, transactional};

type Session = Tx<Sqlite>;

#[transactional]
async fn transfer(#[tx] mut session: Session) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(&mut session).await?;
    Ok(())
}

fn main() {}
