use txn::{Postgres, Sqlite, Tx, transactional};

type Session = Tx<Sqlite>;
type PgTx = Tx<Postgres>;

#[transactional]
async fn marked(#[tx] session: &mut Session) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(session).await?;
    Ok(())
}

#[transactional]
async fn by_ending(tx: &mut PgTx) -> Result<(), txn::Error> {
    sqlx::query("SELECT 1").execute(tx).await?;
    Ok(())
}

#[transactional]
async fn one_of_two(#[tx] to: &mut Session, from: &mut Tx<Postgres>) -> Result<(), txn::Error> {
    by_ending(from).await?;
    marked(to).await
}

fn main() {}
