use txn::{Db, Postgres, Sqlite, Tx, transactional};

#[transactional]
async fn log(tx: &mut Tx<Postgres>, id: i64) -> Result<(), txn::Error> {
    sqlx::query("SELECT $1").bind(id).execute(tx).await?;
    Ok(())
}

#[transactional]
async fn with_a_second_handle(
    tx: &mut Tx<Sqlite>,
    other: &Db<Postgres>,
    id: i64,
) -> Result<(), txn::Error> {
    sqlx::query("SELECT ?").bind(id).execute(tx).await?;
    log(other, id).await
}

#[transactional]
async fn with_a_second_transaction(
    #[tx] tx: &mut Tx<Sqlite>,
    other: &mut Tx<Postgres>,
    id: i64,
) -> Result<(), txn::Error> {
    log(&mut *other, id).await?;
    sqlx::query("SELECT ?").bind(id).execute(tx).await?;
    log(other, id).await
}

struct Shop {
    files: Db<Sqlite>,
    books: Db<Postgres>,
}

impl Shop {
    #[transactional(self.books as books)]
    async fn with_a_handle_of_its_own(&self, id: i64) -> Result<(), txn::Error> {
        let mut files = self.files.begin().await?;
        with_a_second_transaction(&mut files, books, id).await?;
        files.commit().await
    }
}

fn sent(shop: Shop, files: Db<Sqlite>, books: Db<Postgres>) {
    tokio::spawn(async move { shop.with_a_handle_of_its_own(1).await });
    tokio::spawn(async move { with_a_second_handle(&files, &books, 1).await });
}

fn main() {}
