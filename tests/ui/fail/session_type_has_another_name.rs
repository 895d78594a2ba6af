use txn::{Sqlite, Tx, transactional};

type Session = Tx<Sqlite>;

#[transactional]
async fn transfer(session: &mut Session) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(session).await?;
    Ok(())
}

fn main() {}
